package config

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	actions   = []string{"block", "throttle", "priority", "ignore"}
	penalties = []string{"reject", "too_many", "drop", "tarpit"}
	classes   = []string{"high", "normal", "low"}
	scopes    = []string{"client", "rule", "route"}
)

// ruleFields are the keys of one rule.
var ruleFields = []field[Rule]{
	{"name", one(ruleName, func(r *Rule) *string { return &r.Name })},
	{"match", matches{}},
	{"maxretry", one(integer(1, 1e6), func(r *Rule) *int { return &r.MaxRetry })},
	{"findtime", one(duration(time.Second), func(r *Rule) *time.Duration { return &r.FindTime })},
	{"action", one(choice(actions...), func(r *Rule) *string { return &r.Action })},
	{"bantime", one(duration(time.Second), func(r *Rule) *time.Duration { return &r.BanTime })},
	{"penalty", one(choice(penalties...), func(r *Rule) *string { return &r.Penalty })},
	{"rate", one(rate, func(r *Rule) *float64 { return &r.Rate })},
	{"burst", one(integer(1, 1e6), func(r *Rule) *int { return &r.Burst })},
	{"connections", one(integer(1, 1e6), func(r *Rule) *int { return &r.Connections })},
	{"connection_rate", one(rate, func(r *Rule) *float64 { return &r.ConnectionRate })},
	{"in_flight", one(integer(1, 1e6), func(r *Rule) *int { return &r.InFlight })},
	{"per", one(choice(scopes...), func(r *Rule) *string { return &r.Per })},
	{"class", one(choice(classes...), func(r *Rule) *string { return &r.Class })},
	{"mode", one(flagWords("enforce", "observe"), func(r *Rule) *bool { return &r.Observe })},
}

// actionOf says which action a key belongs to; keys of every action are left
// out.
var actionOf = map[string]string{
	"bantime": "block", "penalty": "block",
	"rate": "throttle", "burst": "throttle", "connections": "throttle",
	"connection_rate": "throttle", "in_flight": "throttle", "per": "throttle",
	"class": "priority",
}

// limits are the keys of which a throttle needs one.
var limits = []string{"rate", "connections", "connection_rate", "in_flight"}

// matchFields are the keys of a rule's match.
var matchFields = []field[Match]{
	{"peers", several(peer, func(m *Match) *[]Peer { return &m.Peers })},
	{"evidence", several(kind, func(m *Match) *[]string { return &m.Evidence })},
	{"routes", several(route, func(m *Match) *[]string { return &m.Routes })},
	{"methods", several(method, func(m *Match) *[]string { return &m.Methods })},
	{"status", several(status, func(m *Match) *[]StatusRange { return &m.Status })},
}

// nested binds what only a file can hold; flags and texts have no form for it.
type nested struct{}

func (nested) check(string) error      { return errors.New("is set in the configuration file only") }
func (nested) many() bool              { return true }
func (nested) split(s string) []string { return whole(s) }

type rules struct{ nested }

func (rules) kind() string                { return "list of rules" }
func (rules) set(*Config, []string) error { return nil } // no text, no rule

func (rules) texts(c *Config) []string {
	var texts []string
	for i := range c.Rules {
		texts = append(texts, flow(&c.Rules[i], ruleFields))
	}
	return texts
}

func (rules) setNode(r *reader, n *yaml.Node, key string, c *Config) {
	if n.Kind != yaml.SequenceNode {
		r.complain(n, key, errors.New("want a list of rules"))
		return
	}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", key, i)
		if item.Kind != yaml.MappingNode {
			r.complain(item, at, errors.New("want a rule with name and action"))
			continue
		}
		rule := Rule{Place: r.place(item)}
		places := decode(r, item, at+".", ruleFields, &rule)
		for _, e := range rule.check(places, c.Rules) {
			e.Key = at + e.Key
			e.Place = or(e.Place, rule.Place)
			r.errs = append(r.errs, e)
		}
		c.Rules = append(c.Rules, rule)
	}
}

// check says what of a rule does not go together. places has the keys that were
// set; those that were wrong in themselves count as set.
func (rule *Rule) check(places map[string]string, others []Rule) []*Error {
	var errs []*Error
	for _, key := range []string{"name", "action"} {
		if places[key] == "" {
			errs = append(errs, &Error{Problem: "lacks " + key})
		}
	}
	if slices.ContainsFunc(others, func(o Rule) bool { return o.Name == rule.Name && o.Name != "" }) {
		errs = append(errs, &Error{Place: places["name"], Key: ".name", Problem: fmt.Sprintf("%q names another rule already", rule.Name)})
	}
	if rule.Action == "" {
		return errs
	}
	errs = append(errs, rule.checkAction(places)...)
	for _, u := range useless {
		if places[u.key] != "" && u.when(rule, func(key string) bool { return places[key] != "" }) {
			errs = append(errs, &Error{Place: places[u.key], Key: "." + u.key, Problem: u.problem})
		}
	}
	return errs
}

// useless are the keys that other keys make mean nothing. given says which keys
// the rule has.
var useless = []struct {
	key     string
	when    func(rule *Rule, given func(key string) bool) bool
	problem string
}{
	{"burst", func(_ *Rule, given func(string) bool) bool { return !given("rate") },
		"has no effect without rate"},
	{"maxretry", func(r *Rule, _ func(string) bool) bool { return r.Action == "ignore" },
		"does not go with ignore: it applies to each request"},
	{"findtime", func(r *Rule, given func(string) bool) bool { return !given("maxretry") && !r.Match.ofAnswer() },
		"has no effect without maxretry, evidence or status: nothing is counted"},
	{"connections", (*Rule).namesRequest, needsRequest},
	{"connection_rate", (*Rule).namesRequest, needsRequest},
}

const needsRequest = "does not go with routes and methods: connections are judged before a request is read"

func (rule *Rule) namesRequest(func(string) bool) bool {
	return len(rule.Match.Routes)+len(rule.Match.Methods) > 0
}

// checkAction says which keys lack for the action, and which are another's.
func (rule *Rule) checkAction(places map[string]string) []*Error {
	var errs []*Error
	for _, f := range ruleFields {
		belongs := actionOf[f.key]
		if places[f.key] != "" && belongs != "" && belongs != rule.Action {
			errs = append(errs, &Error{Place: places[f.key], Key: "." + f.key,
				Problem: fmt.Sprintf("belongs to action %s, not to %s", belongs, rule.Action)})
		}
	}
	wanted := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return places[k] != "" })
	}
	switch {
	case rule.Action == "throttle" && !wanted(limits...):
		errs = append(errs, &Error{Problem: "throttle lacks a limit: " + orList(limits)})
	case rule.Action == "priority" && !wanted("class"):
		errs = append(errs, &Error{Problem: "priority lacks class: " + orList(classes)})
	case (rule.Action == "block" || rule.Action == "ignore") && rule.Match.empty() && !wanted("match"):
		errs = append(errs, &Error{Problem: rule.Action + " lacks match: it would apply to everyone"})
	}
	return errs
}

// matches binds a rule's match.
type matches struct{ nested }

func (matches) kind() string              { return "mapping" }
func (matches) set(*Rule, []string) error { return nil }

func (matches) texts(rule *Rule) []string {
	if rule.Match.empty() {
		return nil
	}
	return []string{flow(&rule.Match, matchFields)}
}

func (matches) setNode(r *reader, n *yaml.Node, key string, rule *Rule) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		r.complain(n, key, errors.New("want some of peers, evidence, routes, methods, status"))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if list := n.Content[i+1]; list.Kind == yaml.SequenceNode && len(list.Content) == 0 {
			// Without entries it would mean everything, not nothing.
			r.complain(list, key+"."+strconvSafe(n.Content[i].Value), errors.New("is an empty list; give an entry or remove the key"))
		}
	}
	decode(r, n, key+".", matchFields, &rule.Match)
}
