package config

import (
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBadRulePlaces has, for each key of a rule, a mistake in a block of YAML as
// people write it: the error names line and column, and the nearest key.
func TestBadRulePlaces(t *testing.T) {
	rule := func(lines ...string) string {
		return "rules:\n  - name: r\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	tests := []struct {
		name, file string
		want       []string
	}{
		{"slip of name", "rules:\n  - nmae: r\n    action: throttle\n    rate: 1\n", []string{
			`f.yaml:2:5: rules[0].nmae: unknown key (did you mean "name"?)`, `f.yaml:2:5: rules[0]: lacks name`}},
		{"slip of match", rule("action: throttle", "rate: 1", "macth:", "  peers: 192.0.2.1"), []string{`f.yaml:5:5: rules[0].macth: unknown key (did you mean "match"?)`}},
		{"slip of action", rule("acton: throttle"), []string{`f.yaml:3:5: rules[0].acton: unknown key (did you mean "action"?)`, `f.yaml:2:5: rules[0]: lacks action`}},
		{"slip of an action", rule("action: throtle", "rate: 1"), []string{`f.yaml:3:13: rules[0].action: want block, throttle, priority or ignore, not "throtle" (did you mean "throttle"?)`}},
		{"slip of routes", rule("action: block", "match:", "  route: /login"), []string{`f.yaml:5:7: rules[0].match.route: unknown key (did you mean "routes"?)`}},
		{"slip of methods", rule("action: block", "match:", "  method: POST"), []string{`f.yaml:5:7: rules[0].match.method: unknown key (did you mean "methods"?)`}},
		{"slip of status", rule("action: block", "match:", "  stauts: 401"), []string{`f.yaml:5:7: rules[0].match.stauts: unknown key (did you mean "status"?)`}},
		{"slip of evidence", rule("action: block", "match:", "  evidnce: honeypath"), []string{`f.yaml:5:7: rules[0].match.evidnce: unknown key (did you mean "evidence"?)`}},
		{"slip of maxretry", rule("action: block", "max_retry: 3", "match: {status: 401}"), []string{`f.yaml:4:5: rules[0].max_retry: unknown key (did you mean "maxretry"?)`}},
		{"slip of findtime", rule("action: block", "find_time: 3m", "match: {status: 401}"), []string{`f.yaml:4:5: rules[0].find_time: unknown key (did you mean "findtime"?)`}},
		{"slip of in_flight", rule("action: throttle", "inflight: 3", "rate: 1"), []string{`f.yaml:4:5: rules[0].inflight: unknown key (did you mean "in_flight"?)`}},
		{"slip of connection_rate", rule("action: throttle", "connections_rate: 3", "rate: 1"), []string{`f.yaml:4:5: rules[0].connections_rate: unknown key (did you mean "connection_rate"?)`}},
		{"slip of mode", rule("action: throttle", "mod: observe", "rate: 1"), []string{`f.yaml:4:5: rules[0].mod: unknown key (did you mean "mode"?)`}},
		{"slip of observe", rule("action: throttle", "mode: observ", "rate: 1"), []string{`f.yaml:4:11: rules[0].mode: want enforce or observe, not "observ" (did you mean "observe"?)`}},
		{"slip of class", rule("action: priority", "class: hihg"), []string{`f.yaml:4:12: rules[0].class: want high, normal or low, not "hihg" (did you mean "high"?)`}},
		{"slip of penalty", rule("action: block", "penalty: tar_pit", "match: {status: 401}"), []string{`f.yaml:4:14: rules[0].penalty: want reject, too_many, drop or tarpit, not "tar_pit" (did you mean "tarpit"?)`}},
		{"slip of per", rule("action: throttle", "rate: 1", "per: clients"), []string{`f.yaml:5:10: rules[0].per: want client, rule or route, not "clients" (did you mean "client"?)`}},

		{"no name", "rules:\n  - name:\n    action: throttle\n    rate: 1\n", []string{`f.yaml:2:10: rules[0].name: has no value; give one or remove the key`}},
		{"maxretry of half", rule("action: block", "maxretry: 0.5", "match: {status: 401}"), []string{`f.yaml:4:15: rules[0].maxretry: want a whole number from 1 to 1000000, not "0.5"`}},
		{"maxretry of none", rule("action: block", "maxretry: 0", "match: {status: 401}"), []string{`f.yaml:4:15: rules[0].maxretry: want a whole number from 1 to 1000000, not "0"`}},
		{"findtime without unit", rule("action: block", "findtime: 60", "match: {status: 401}"), []string{`f.yaml:4:15: rules[0].findtime: want a duration such as 90s, 10m, 12h, 1d or 1w, not "60"`}},
		{"bantime too short", rule("action: block", "bantime: 1ms", "match: {status: 401}"), []string{`f.yaml:4:14: rules[0].bantime: want at least 1s, not "1ms"`}},
		{"rate of words", rule("action: throttle", "rate: fast"), []string{`f.yaml:4:11: rules[0].rate: want a rate such as 10/s or 100/m, not "fast"`}},
		{"negative rate", rule("action: throttle", "connection_rate: -1/s"), []string{`f.yaml:4:22: rules[0].connection_rate: want a rate such as 10/s or 100/m, not "-1/s"`}},
		{"burst of none", rule("action: throttle", "rate: 1", "burst: 0"), []string{`f.yaml:5:12: rules[0].burst: want a whole number from 1 to 1000000, not "0"`}},
		{"connections of a few", rule("action: throttle", "connections: few"), []string{`f.yaml:4:18: rules[0].connections: want a whole number from 1 to 1000000, not "few"`}},
		{"in_flight as a list", rule("action: throttle", "in_flight: [1]"), []string{`f.yaml:4:16: rules[0].in_flight: want one value, not a list`}},
		{"routes as a mapping", rule("action: block", "match:", "  routes: {a: b}"), []string{`f.yaml:5:15: rules[0].match.routes: want a value or a list of values, not a mapping`}},
		{"empty list", rule("action: block", "match: {peers: [], status: 401}"), []string{`f.yaml:4:20: rules[0].match.peers: is an empty list; give an entry or remove the key`}},
		{"second peer of three", rule("action: block", "match:", "  peers:", "    - 192.0.2.1", "    - 192.0.2.0/33", "    - example.org"), []string{`f.yaml:7:11: rules[0].match.peers: want an address or a CIDR such as 192.0.2.0/24, not "192.0.2.0/33"`}},
		{"peer with bits beyond", rule("action: block", "match: {peers: 192.0.2.1/24}"), []string{`f.yaml:4:20: rules[0].match.peers: "192.0.2.1/24" has bits beyond its size (did you mean "192.0.2.0/24"?)`}},
		{"operator's own rule", "rules: [{name: operator, action: throttle, rate: 5}]\n", []string{`f.yaml:1:16: rules[0].name: "operator" is a built-in rule's name`}},

		{"burst alone", rule("action: throttle", "burst: 5", "in_flight: 1"), []string{`f.yaml:4:5: rules[0].burst: has no effect without rate`}},
		{"counted ignore", rule("action: ignore", "match: {peers: 192.0.2.1}", "maxretry: 3"), []string{`f.yaml:5:5: rules[0].maxretry: does not go with ignore: it applies to each request`}},
		{"findtime alone", rule("action: block", "match: {peers: 192.0.2.1}", "findtime: 1m"), []string{`f.yaml:5:5: rules[0].findtime: has no effect without maxretry, evidence or status: nothing is counted`}},
		{"connections of a route", rule("action: throttle", "connections: 5", "match: {routes: /a}"), []string{`f.yaml:4:5: rules[0].connections: does not go with routes and methods: connections are judged before a request is read`}},
		{"connection rate of a method", rule("action: throttle", "match: {methods: PUT}", "connection_rate: 5"), []string{`f.yaml:5:5: rules[0].connection_rate: does not go with routes and methods: connections are judged before a request is read`}},
		{"per of a block", rule("action: block", "per: rule", "match: {status: 401}"), []string{`f.yaml:4:5: rules[0].per: belongs to action throttle, not to block`}},
		{"penalty of a throttle", rule("action: throttle", "rate: 1", "penalty: drop"), []string{`f.yaml:5:5: rules[0].penalty: belongs to action block, not to throttle`}},
		{"class of an ignore", rule("action: ignore", "match: {peers: 192.0.2.1}", "class: low"), []string{`f.yaml:5:5: rules[0].class: belongs to action priority, not to ignore`}},
		{"the second of two", "rules:\n  - {name: a, action: throttle, rate: 1}\n  - {name: b, action: throttle, rte: 1}\n", []string{
			`f.yaml:3:33: rules[1].rte: unknown key (did you mean "rate"?)`, `f.yaml:3:5: rules[1]: throttle lacks a limit: rate, connections, connection_rate or in_flight`}},
		{"all at once", rule("action: throttle", "burst: x", "bantime: 1h", "match: {}"), []string{
			`f.yaml:4:12: rules[0].burst: want a whole number from 1 to 1000000, not "x"`,
			`f.yaml:6:12: rules[0].match: want some of peers, evidence, routes, methods, status`,
			`f.yaml:5:5: rules[0].bantime: belongs to action block, not to throttle`,
			`f.yaml:2:5: rules[0]: throttle lacks a limit: rate, connections, connection_rate or in_flight`,
			`f.yaml:4:5: rules[0].burst: has no effect without rate`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantErrors(t, Check(yamlFile(t, tt.file)), tt.want) })
	}
}

// Every key of a rule has a test of a mistake in it above, or in TestBadRules.
func TestBadRulePlacesNamesAllKeys(t *testing.T) {
	var content []byte
	for _, name := range []string{"rules_test.go", "bad_test.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, b...)
	}
	var keys []string
	for _, f := range ruleFields {
		keys = append(keys, "]."+f.key+":")
	}
	for _, f := range matchFields {
		keys = append(keys, "].match."+f.key+":")
	}
	for _, key := range keys {
		if !bytes.Contains(content, []byte(key)) {
			t.Errorf("no test of a bad %s", key)
		}
	}
}

// TestExampleRules holds that the example that people copy from is valid, and
// says what its comments say.
func TestExampleRules(t *testing.T) {
	c, err := Load(nil, noEnv, "../../examples/rules/flask2ban.yaml")
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) Rule {
		t.Helper()
		i := slices.IndexFunc(c.Rules, func(r Rule) bool { return r.Name == name })
		if i < 0 {
			t.Fatalf("no rule %s", name)
		}
		return c.Rules[i]
	}
	if r := find("friends"); r.Action != "ignore" || len(r.Match.Peers) != 4 || r.Match.Peers[2].Host != ".googlebot.com" {
		t.Errorf("%+v", r)
	}
	if r := find("checker"); r.Match.Peers[0].Prefix != netip.MustParsePrefix("203.0.113.7/32") || r.Match.Evidence[0] != "unexpected_path" {
		t.Errorf("%+v", r)
	}
	if r := find("unwanted"); r.Action != "block" || r.BanTime != 0 || r.Penalty != "drop" {
		t.Errorf("%+v", r)
	}
	if r := find("login"); r.MaxRetry != 10 || r.FindTime != time.Minute || r.BanTime != time.Hour || len(r.Match.Status) != 2 {
		t.Errorf("%+v", r)
	}
	if r := find("trap"); r.BanTime != 24*time.Hour || r.MaxRetry != 0 || r.Penalty != "tarpit" {
		t.Errorf("%+v", r)
	}
	if r := find("api"); r.Rate != 10 || r.Burst != 50 || len(r.Match.Routes) != 2 {
		t.Errorf("%+v", r)
	}
	if r := find("report"); r.InFlight != 2 || r.Per != "rule" {
		t.Errorf("%+v", r)
	}
	if r := find("connections"); r.Connections != 50 || r.ConnectionRate != 20 {
		t.Errorf("%+v", r)
	}
	if r := find("clumsy"); r.Class != "low" || r.Match.Status[0] != (StatusRange{500, 599}) {
		t.Errorf("%+v", r)
	}
	if r := find("search"); !r.Observe || r.Rate != 0.5 {
		t.Errorf("%+v", r)
	}
}

// The example shows every key of a rule.
func TestExampleRulesAreComplete(t *testing.T) {
	content, err := os.ReadFile("../../examples/rules/flask2ban.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range ruleFields {
		if !bytes.Contains(content, []byte(f.key+":")) {
			t.Errorf("the example lacks %s", f.key)
		}
	}
	for _, f := range matchFields {
		if !bytes.Contains(content, []byte("      "+f.key+":")) {
			t.Errorf("the example lacks match.%s", f.key)
		}
	}
	for _, a := range actions {
		if !bytes.Contains(content, []byte("action: "+a+"\n")) {
			t.Errorf("the example lacks action %s", a)
		}
	}
}

// Presets keep to the rules of the file.
func TestRulesUnderEachPreset(t *testing.T) {
	for _, preset := range presetNames {
		c, err := Load(nil, noEnv, yamlFile(t, "preset: "+preset+"\nrules: [{name: a, action: throttle, rate: 1}]\n"))
		if err != nil || len(c.Rules) != 1 || c.Preset != preset {
			t.Errorf("%s: %v %+v", preset, err, c)
		}
	}
}
