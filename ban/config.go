package ban

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"
)

// The defaults of Config, fail2ban's where it has them.
const (
	DefaultMaxRetry   = 5.0
	DefaultFindTime   = 10 * time.Minute
	DefaultBanTime    = 10 * time.Minute
	DefaultBanTimeMax = 7 * 24 * time.Hour
	DefaultBanJitter  = 0.1
	DefaultMaxClients = 1_000_000
	DefaultMaxWait    = 2 * time.Second
	DefaultWaiters    = 4
	DefaultWaitersAll = 1000
)

// The names of the built-in rules.
const (
	RuleUnexpected = "unexpected" // blocks clients whose score reached maxretry
	RuleSuspect    = "suspect"    // throttles clients from half of that on
	RuleOperator   = "operator"   // blocks whom a person banned
)

// Rate is a throttle: requests per second, and how many may come at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Config says how the engine judges. The zero value of every field means the
// default that its comment names.
type Config struct {
	// MaxRetry is the score that blocks (5); half of it makes a suspect.
	MaxRetry float64
	// FindTime is how long a piece of evidence counts (10 minutes).
	FindTime time.Duration
	// BanTime is how long the first ban lasts (10 minutes); each further one
	// twice as long as the one before, up to BanTimeMax (1 week).
	BanTime, BanTimeMax time.Duration
	// BanJitter is the share by which bans are longer or shorter at random
	// (0.1), so that nobody can tell when to come back. Negative means none.
	BanJitter float64
	// Penalty is what clients blocked by their score get (Reject).
	Penalty Penalty
	// Observe decides, counts and reports, but refuses and delays nobody.
	Observe bool
	// MaxClients bounds the clients remembered (1 million, at most 150 MB). It
	// is fixed when the engine is made.
	MaxClients int
	// Weights replaces the weights of kinds of evidence; 0 switches a kind off.
	Weights map[Kind]float64
	// SuspectKnown and SuspectUnknown throttle suspects on URLs that the app
	// has (10 a second, 50 at once) and on others (1 a second, 5 at once).
	SuspectKnown, SuspectUnknown Rate
	// MaxWait is how long a throttled request is held before it is refused
	// instead (2 seconds); Waiters and WaitersAll how many may be held of one
	// client (4) and in all (1000).
	MaxWait             time.Duration
	Waiters, WaitersAll int
	// IPv4Bits and IPv6Bits are the prefix lengths that make one client (32
	// and 64). Bans of longer prefixes are widened to them.
	IPv4Bits, IPv6Bits int
	// IPv6Widest is the shortest prefix that bans of IPv6 clients grow to where
	// many siblings are banned and nobody near them behaves (48); 64 or more
	// means that none grows.
	IPv6Widest int
	// Rules are the policy rules, in their order.
	Rules []Rule
	// Hosts knows the clients' names for rules that name hosts (nil: nobody
	// has a name). It is called from many goroutines.
	Hosts Hosts
	// Standing says who can be banned (nil: everyone). It is called seldom,
	// from many goroutines, and must neither block nor call the engine.
	Standing func(netip.Addr) Standing
	// Rand returns numbers in [0,1) for the jitter (nil: math/rand/v2).
	Rand func() float64
	// StoreError is told of each failed attempt to save, and called with nil
	// once saving works again (nil: nobody is told).
	StoreError func(error)
	// SharedBan is told of bans that no Outcome has: decided by another engine
	// with the same store, or here from the evidence of several, or of a range
	// for many clients in it (nil: nobody is told). It must neither block nor call the engine.
	SharedBan func(b Ban, here bool)
}

// withDefaults returns the configuration with every zero field filled in.
func (c Config) withDefaults() Config {
	fill(&c.MaxRetry, DefaultMaxRetry)
	fill(&c.FindTime, DefaultFindTime)
	fill(&c.BanTime, DefaultBanTime)
	fill(&c.BanTimeMax, max(DefaultBanTimeMax, c.BanTime))
	fill(&c.BanJitter, DefaultBanJitter)
	fill(&c.Penalty, Reject)
	fill(&c.MaxClients, DefaultMaxClients)
	fill(&c.SuspectKnown, Rate{PerSecond: 10, Burst: 50})
	fill(&c.SuspectUnknown, Rate{PerSecond: 1, Burst: 5})
	fill(&c.MaxWait, DefaultMaxWait)
	fill(&c.Waiters, DefaultWaiters)
	fill(&c.WaitersAll, DefaultWaitersAll)
	fill(&c.IPv4Bits, 32)
	fill(&c.IPv6Bits, 64)
	fill(&c.IPv6Widest, DefaultIPv6Widest)
	if c.Standing == nil {
		c.Standing = func(netip.Addr) Standing { return Bannable }
	}
	if c.Hosts == nil {
		c.Hosts = noHosts{}
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	if c.StoreError == nil {
		c.StoreError = func(error) {}
	}
	if c.SharedBan == nil {
		c.SharedBan = func(Ban, bool) {}
	}
	return c
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks a configuration whose defaults are filled in.
func (c Config) validate() error {
	checks := []struct {
		bad  bool
		text string
	}{
		{!(c.MaxRetry > 0), fmt.Sprintf("maxretry %v: must be above 0", c.MaxRetry)},
		{c.FindTime < time.Second, fmt.Sprintf("findtime %v: must be 1s or more", c.FindTime)},
		{c.BanTime < time.Second, fmt.Sprintf("bantime %v: must be 1s or more", c.BanTime)},
		{c.BanTimeMax < c.BanTime, fmt.Sprintf("longest bantime %v: is shorter than bantime %v", c.BanTimeMax, c.BanTime)},
		{c.BanJitter >= 1, fmt.Sprintf("ban jitter %v: must be below 1", c.BanJitter)},
		{c.MaxClients < 1, fmt.Sprintf("max clients %d: must be 1 or more", c.MaxClients)},
		{!c.SuspectKnown.valid(), fmt.Sprintf("throttle of suspects on known URLs %v: rate and burst must be above 0", c.SuspectKnown)},
		{!c.SuspectUnknown.valid(), fmt.Sprintf("throttle of suspects on unknown URLs %v: rate and burst must be above 0", c.SuspectUnknown)},
		{c.IPv4Bits < 1 || c.IPv4Bits > 32, fmt.Sprintf("IPv4 prefix /%d: must be /1 to /32", c.IPv4Bits)},
		{c.IPv6Widest < widenings[0].bits || c.IPv6Widest > 128, fmt.Sprintf("widest IPv6 prefix /%d: must be /48 to /128", c.IPv6Widest)},
		{c.IPv6Bits < 1 || c.IPv6Bits > 128, fmt.Sprintf("IPv6 prefix /%d: must be /1 to /128", c.IPv6Bits)},
	}
	var errs []error
	for _, check := range checks {
		if check.bad {
			errs = append(errs, errors.New(check.text))
		}
	}
	for kind, weight := range c.Weights {
		if !(weight >= 0) {
			errs = append(errs, fmt.Errorf("weight %v of evidence %q: must be 0 or more", weight, kind))
		}
	}
	if err := validateRules(c.Rules); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r Rate) valid() bool { return r.PerSecond > 0 && r.Burst > 0 }
