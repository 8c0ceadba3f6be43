package routes

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// oracle is one of the committed files of cases whose outcome Werkzeug
// computed; see testdata/README.md.
type oracle struct {
	Werkzeug string       `json:"werkzeug"`
	Sets     []oracleSet  `json:"sets"`
	Cases    []oracleCase `json:"cases"`
}

type oracleSet struct {
	ID         int            `json:"id"`
	Name       string         `json:"name"`
	ServerName string         `json:"server_name"`
	Options    map[string]any `json:"options"`
	Rules      []oracleRule   `json:"rules"`
}

type oracleRule struct {
	Rule          string         `json:"rule"`
	Endpoint      string         `json:"endpoint"`
	Methods       []string       `json:"effective_methods"`
	Subdomain     *string        `json:"subdomain"`
	Host          string         `json:"host"`
	StrictSlashes *bool          `json:"strict_slashes"`
	MergeSlashes  *bool          `json:"merge_slashes"`
	Defaults      map[string]any `json:"defaults"`
	WebSocket     bool           `json:"websocket"`
	BuildOnly     bool           `json:"build_only"`
	Alias         bool           `json:"alias"`
	RedirectTo    string         `json:"redirect_to"`
}

type oracleCase struct {
	Set       int            `json:"set"`
	Method    string         `json:"method"`
	Target    string         `json:"target"`
	Host      string         `json:"host"`
	WebSocket bool           `json:"websocket"`
	Dev       oracleOutcome  `json:"dev"`
	Gun       *oracleOutcome `json:"gun"`
}

type oracleOutcome struct {
	Kind     string         `json:"kind"`
	Endpoint string         `json:"endpoint"`
	Rule     string         `json:"rule"`
	Args     map[string]any `json:"args"`
	Location string         `json:"location"`
	Allow    []string       `json:"allow"`
}

// oracleConverters are the custom converters of the oracle's rule sets.
var oracleConverters = map[string]Converter{
	"regex":    {RegexFromArg: true, PartIsolating: true},
	"list":     {Regex: `\w+(?:,\w+)*`, PartIsolating: true},
	"itemname": {Regex: `([a-z0-9]{8}-[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{4}-[a-z0-9]{12})|([234679ACDEFGHJKLMNPQRTUVWXYZabcdefghijkmnopqrstuvwxyz]{8})`, Weight: 200, PartIsolating: true},
}

func readOracle(t testing.TB, name string) *oracle {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var o oracle
	if err := json.NewDecoder(z).Decode(&o); err != nil {
		t.Fatal(err)
	}
	return &o
}

func option(options map[string]any, name string, otherwise bool) bool {
	if v, ok := options[name].(bool); ok {
		return v
	}
	return otherwise
}

func orDefault[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// project turns a rule set into a project as an extractor would report it.
func (s oracleSet) project(werkzeug, server string) *Project {
	o := Options{
		StrictSlashes:      option(s.Options, "strict_slashes", true),
		MergeSlashes:       option(s.Options, "merge_slashes", true),
		HostMatching:       option(s.Options, "host_matching", false),
		SubdomainMatching:  s.ServerName != "",
		ServerName:         s.ServerName,
		Converters:         oracleConverters,
		Werkzeug:           werkzeug,
		Server:             server,
		NoRedirectDefaults: !option(s.Options, "redirect_defaults", true),
	}
	if www, ok := s.Options["default_subdomain"].(string); ok {
		// Those cases were computed as Flask binds without subdomain_matching.
		o.DefaultSubdomain, o.SubdomainMatching = www, false
	}
	p := &Project{App: s.Name, Complete: true, Options: o}
	for _, r := range s.Rules {
		p.Routes = append(p.Routes, Route{
			Rule: r.Rule, Methods: r.Methods, Endpoint: r.Endpoint, Host: r.Host,
			Subdomain:     orDefault(r.Subdomain, o.DefaultSubdomain),
			StrictSlashes: orDefault(r.StrictSlashes, o.StrictSlashes),
			MergeSlashes:  orDefault(r.MergeSlashes, o.MergeSlashes),
			Defaults:      r.Defaults, WebSocket: r.WebSocket, BuildOnly: r.BuildOnly,
			Alias: r.Alias, RedirectTo: r.RedirectTo, Source: Static,
		})
	}
	return p
}

var oracleKinds = map[string]Kind{
	"match": Found, "redirect": Redirect, "notfound": UnexpectedPath, "method": UnexpectedMethod,
	"ws": WebSocketOnly, "badhost": BadHost, "error": Failed, "server": BadRequest,
}

// notFound are the kinds that refine the oracle's notfound.
var notFound = []Kind{UnexpectedPath, BadValue, Honeypath, Benign}

func TestMatchAgreesWithWerkzeug(t *testing.T) {
	for _, name := range []string{"2.2", "3.1"} {
		o := readOracle(t, "testdata/routing_cases_werkzeug_"+name+".json.gz")
		t.Run(name, func(t *testing.T) { o.run(t) })
	}
}

func (o *oracle) run(t *testing.T) {
	dev, gun := map[int]*Table{}, map[int]*Table{}
	for _, s := range o.Sets {
		dev[s.ID] = mustTable(t, TableConfig{Project: s.project(o.Werkzeug, ""), Lists: DefaultLists()})
		gun[s.ID] = mustTable(t, TableConfig{Project: s.project(o.Werkzeug, "gunicorn"), Lists: DefaultLists()})
	}
	agreed, failed := 0, 0
	for _, c := range o.Cases {
		problem := c.check(dev[c.Set], c.Dev)
		if problem == "" {
			want := c.Dev
			if c.Gun != nil {
				want = *c.Gun
			}
			if problem = c.check(gun[c.Set], want); problem != "" {
				problem = "gunicorn: " + problem
			}
		}
		if problem == "" {
			agreed++
			continue
		}
		if failed++; failed <= 25 {
			t.Errorf("set %d %s %q host %q websocket %v: %s", c.Set, c.Method, cut(c.Target), c.Host, c.WebSocket, problem)
		}
	}
	t.Logf("Werkzeug %s: %d of %d cases agreed", o.Werkzeug, agreed, len(o.Cases))
}

func cut(s string) string { return s[:min(len(s), 80)] }

func mustTable(t testing.TB, c TableConfig) *Table {
	t.Helper()
	table, err := NewTable(c)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// check returns what differs from the outcome, or "".
func (c oracleCase) check(table *Table, want oracleOutcome) string {
	host, target := unlatin1(c.Host), unlatin1(c.Target)
	verdict, e := table.Match(host, c.Method, target), table.Explain(host, c.Method, target)
	if c.WebSocket {
		verdict, e = table.MatchUpgrade(host, c.Method, target), table.ExplainUpgrade(host, c.Method, target)
	}
	if verdict.Kind != e.Verdict || verdict.Route != e.Route {
		return fmt.Sprintf("Match says %v %v, Explain %v %v", verdict.Kind, verdict.Route, e.Verdict, e.Route)
	}
	if k := oracleKinds[want.Kind]; k != verdict.Kind && (k != UnexpectedPath || !slices.Contains(notFound, verdict.Kind)) {
		return fmt.Sprintf("got %v, want %s (rule %q)", verdict.Kind, want.Kind, e.Rule)
	}
	switch want.Kind {
	case "match":
		if e.Rule != want.Rule || e.Endpoint != want.Endpoint {
			return fmt.Sprintf("got rule %q %q, want %q %q", e.Rule, e.Endpoint, want.Rule, want.Endpoint)
		}
		return checkArgs(e, want.Args)
	case "redirect":
		if e.Location != want.Location {
			return fmt.Sprintf("got location %q, want %q", e.Location, want.Location)
		}
	case "method":
		if !slices.Equal(e.Allow, want.Allow) {
			return fmt.Sprintf("got allow %q, want %q", e.Allow, want.Allow)
		}
	}
	return ""
}

// checkArgs compares the raw texts with the values that Werkzeug's converters
// made of them.
func checkArgs(e Explanation, want map[string]any) string {
	if len(e.Args) != len(want) {
		return fmt.Sprintf("got args %q, want %v", e.Args, want)
	}
	for name, value := range want {
		raw, ok := e.Args[name]
		if !ok || pythonValue(raw, value) != fmt.Sprint(value) {
			return fmt.Sprintf("got arg %s %q, want %v", name, raw, value)
		}
	}
	return ""
}

// pythonValue prints what a raw text becomes in the type of the wanted value.
func pythonValue(raw string, want any) string {
	switch want := want.(type) {
	case nil:
		if raw == "None" {
			return "<nil>"
		}
	case []any:
		return fmt.Sprint(strings.Split(raw, ","))
	case map[string]any:
		switch want["type"] {
		case "int":
			n, _ := new(big.Int).SetString(asciiDigits(raw), 10)
			return fmt.Sprint(map[string]any{"type": "int", "str": n.String()})
		case "float":
			f, _ := strconv.ParseFloat(asciiDigits(raw), 64)
			return fmt.Sprint(map[string]any{"type": "float", "str": pythonFloat(f)})
		case "NoneType":
			return fmt.Sprint(map[string]any{"type": "NoneType", "str": raw})
		case "UUID":
			return fmt.Sprint(map[string]any{"type": "UUID", "str": strings.ToLower(raw)})
		}
	}
	return raw
}
