package ban

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Measure is what a policy rule does about those it matches.
type Measure string

// The measures, those that go before others first: who is ignored is not
// blocked, who is blocked is not throttled.
const (
	// Ignore serves whatever is held against the client, an operator's ban
	// included, and makes no evidence. It takes no in-between: MaxRetry does
	// not go with it.
	Ignore Measure = "ignore"
	// Block refuses.
	Block Measure = "block"
	// Throttle delays and then refuses what comes too fast, or too much of it
	// at one time.
	Throttle Measure = "throttle"
	// Priority chooses the class under overload.
	Priority Measure = "priority"
)

// measures are all of them in the order of precedence.
var measures = [...]Measure{Ignore, Block, Throttle, Priority}

// Scope is what shares one throttle.
type Scope string

// The scopes. The empty one is PerClient.
const (
	PerClient Scope = "client" // each client has its own
	PerRule   Scope = "rule"   // all that the rule matches have one
	PerRoute  Scope = "route"  // each route has one, whoever asks it
)

// Rule is one policy rule. What of its Match depends on the answer (Evidence,
// Status), and every rule with a MaxRetry, is counted as requests are observed:
// from the MaxRetry-th match within FindTime on the measure is taken against
// the client. Other rules apply to the very requests that they match.
type Rule struct {
	// Name identifies the rule; it must be unique and not that of a built-in.
	Name  string
	Match Match
	// MaxRetry matches within FindTime bring the measure about. 0 and 1: the
	// first does. FindTime 0: that of the configuration.
	MaxRetry int
	FindTime time.Duration
	Measure  Measure
	// BanTime is how long a block lasts that a client brought upon itself. 0:
	// as the ladder has it, longer each time. A Block rule without it, and with
	// nothing to be counted, refuses what it matches and bans nobody.
	BanTime time.Duration
	// Penalty is what blocked requests get (empty: Config.Penalty).
	Penalty Penalty
	// Limits are a Throttle's; one of them must be set.
	Limits Limits
	// Class is a Priority's.
	Class Class
	// Observe decides and counts, but takes no measure.
	Observe bool
}

// Limits bound what a throttle lets through. Zero values are no limits.
type Limits struct {
	// Rate is in requests a second, Burst how many may come at once; 0 means
	// what Rate lets through in a second, at least 1.
	Rate  float64
	Burst int
	// InFlight is how many requests may be served at one time.
	InFlight int
	// Connections is how many may be open at one time, ConnectionRate how many
	// may begin in a second. They are judged before anything was asked.
	Connections    int
	ConnectionRate float64
	// Per is what shares the limits. PerRoute is nothing to connections.
	Per Scope
}

// Match says which requests a rule is about: those for which every list that
// isn't empty has an entry.
type Match struct {
	// Peers and Hosts are one list: clients by address, or by their confirmed
	// host name (see Hosts for its form).
	Peers []netip.Prefix
	Hosts []string
	// Evidence are the kinds that the answer must be evidence of.
	Evidence []Kind
	// Routes are patterns of the route table.
	Routes []string
	// Methods are in upper case; GET stands for HEAD too, as in Flask.
	Methods []string
	// Status are those of the answer.
	Status []StatusRange
}

// StatusRange is a range of statuses; both ends are included.
type StatusRange struct{ From, To int }

// Hosts knows clients by name. Match must not block: where the names of an
// address aren't known yet, it says that they are pending, for a bounded time.
// A pattern is a name, or with a dot before it a domain and all below.
type Hosts interface {
	Match(a netip.Addr, patterns []string) (matched, pending bool)
}

// noHosts is for engines that know no names.
type noHosts struct{}

func (noHosts) Match(netip.Addr, []string) (matched, pending bool) { return false, false }

// counted says whether the rule is decided as requests are observed.
func (r *Rule) counted() bool {
	return r.MaxRetry > 1 || len(r.Match.Evidence)+len(r.Match.Status) > 0
}

// atAccept says whether the rule can be decided when all that is known is who
// connects.
func (r *Rule) atAccept() bool { return len(r.Match.Routes)+len(r.Match.Methods) == 0 }

// withDefaults fills in what the rule takes from the configuration.
func (r Rule) withDefaults(c Config) Rule {
	fill(&r.FindTime, c.FindTime)
	fill(&r.Penalty, c.Penalty)
	fill(&r.MaxRetry, 1)
	fill(&r.Limits.Per, PerClient)
	if r.Limits.Rate > 0 {
		fill(&r.Limits.Burst, secondsWorth(r.Limits.Rate))
	}
	r.Observe = r.Observe || c.Observe
	return r
}

// secondsWorth is how many a rate lets through in a second, at least one.
func secondsWorth(rate float64) int { return max(1, int(math.Ceil(math.Min(rate, 1e9)))) }

// validateRules checks all rules of a configuration.
func validateRules(rules []Rule) error {
	var errs []error
	seen := map[string]bool{RuleUnexpected: true, RuleSuspect: true, RuleOperator: true, RuleSiblings: true}
	for i := range rules {
		r := &rules[i]
		if r.Name == "" || seen[r.Name] {
			errs = append(errs, fmt.Errorf("rule %d: its name %q is empty or taken", i+1, r.Name))
		}
		seen[r.Name] = true
		if err := r.validate(); err != nil {
			errs = append(errs, fmt.Errorf("rule %q: %w", r.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Rule) validate() error {
	l := &r.Limits
	checks := []struct {
		bad  bool
		text string
	}{
		{precedence(r.Measure) < 0, fmt.Sprintf("measure %q: want ignore, block, throttle or priority", r.Measure)},
		{r.MaxRetry < 0 || r.FindTime < 0 || r.BanTime < 0, "maxretry, findtime and bantime must not be negative"},
		{r.Measure == Ignore && r.MaxRetry > 1, "ignore takes no maxretry"},
		{r.Measure == Throttle && !l.any(), "throttle lacks a limit"},
		{!(l.Rate >= 0) || !(l.ConnectionRate >= 0) || min(l.Burst, l.InFlight, l.Connections) < 0, "limits must not be negative"},
		{l.atAccept() && !r.atAccept(), "connections are judged before a route or method is known"},
		{precedenceOf(l.Per, "", PerClient, PerRule, PerRoute) < 0, fmt.Sprintf("scope %q: want client, rule or route", l.Per)},
		{r.Class > Low, "class must be high, normal or low"},
	}
	var errs []error
	for _, c := range checks {
		if c.bad {
			errs = append(errs, errors.New(c.text))
		}
	}
	for _, p := range r.Match.Peers {
		if !p.IsValid() {
			errs = append(errs, errors.New("a peer is no valid network"))
		}
	}
	return errors.Join(errs...)
}

// atAccept says whether there is a limit on connections.
func (l *Limits) atAccept() bool { return l.Connections > 0 || l.ConnectionRate > 0 }

func (l *Limits) any() bool { return l.atAccept() || l.Rate > 0 || l.InFlight > 0 }

// precedence is the measure's place, the lower the earlier; -1 for none.
func precedence(m Measure) int { return precedenceOf(m, measures[:]...) }

func precedenceOf[T cmp.Ordered](v T, among ...T) int {
	for i, a := range among {
		if a == v {
			return i
		}
	}
	return -1
}
