package routes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unsafe"
)

// TableConfig is what a Table is made of.
type TableConfig struct {
	// Project must not be nil. The table keeps its routes; they must not be
	// changed afterwards.
	Project *Project
	// Retired are routes that the previous version of the app had and this
	// one lacks; a path only they match is unresolved, not unexpected. Rules
	// with a path converter are left out where no literal segment comes first,
	// since they would excuse anything.
	Retired []Route
	// Lists decides which unknown paths are benign and which are honeypaths;
	// the zero value has none, see DefaultLists.
	Lists Lists
}

// Table matches requests against the routes of one app as Werkzeug would. It
// does not change after NewTable and is safe for concurrent use.
type Table struct {
	routes     []Route
	unresolved []Unresolved
	complete   bool
	options    Options
	behaviour  behaviour
	server     server
	hosts      hosts
	rules      []*rule
	byEndpoint map[string][]*rule
	machine    *machine
	retired    *machine // nil where nothing is retired
	open       []string // the prefixes of what is unresolved
	lists      compiledLists
	catchAll   *Route
	buffers    sync.Pool // *[]byte, for paths that must be decoded
}

// NewTable compiles the routes of a project. A rule that Werkzeug would refuse
// does not fail the table: it becomes an unresolved entry. Errors are bad
// options and bad list patterns.
func NewTable(c TableConfig) (*Table, error) {
	if c.Project == nil {
		return nil, fmt.Errorf("new table: no project: give TableConfig.Project")
	}
	o := c.Project.Options
	if o.Prefix != "" && (o.Prefix[0] != '/' || strings.HasSuffix(o.Prefix, "/")) {
		return nil, fmt.Errorf("new table: prefix %q: write it as /app, with a slash at its start and none at its end", o.Prefix)
	}
	lists, err := c.Lists.compile()
	if err != nil {
		return nil, fmt.Errorf("new table: %w", err)
	}
	b := behaviourOf(o)
	t := &Table{
		routes:     slices.Clone(c.Project.Routes),
		unresolved: slices.Clone(c.Project.Unresolved),
		complete:   c.Project.Complete,
		options:    o,
		behaviour:  b,
		server:     serverOf(o),
		hosts:      newHosts(o, b),
		lists:      lists,
	}
	t.buffers.New = func() any { b := make([]byte, 0, 256); return &b }
	t.compileRules()
	t.retire(c.Retired)
	for _, u := range t.unresolved {
		t.open = append(t.open, openPrefix(u.Prefix))
	}
	return t, nil
}

func (t *Table) compileRules() {
	compiler := ruleCompiler{t.options, t.behaviour}
	for i := range t.routes {
		r := &t.routes[i]
		compiled, err := compiler.compile(r, len(t.rules))
		if err != nil {
			t.giveUp(r, err)
			continue
		}
		t.rules = append(t.rules, compiled)
		if t.catchAll == nil && compiled.catchesAll() {
			t.catchAll = r
		}
	}
	t.machine = newMachine(t.rules, t.options, t.behaviour)
	t.linkEndpoints()
}

// giveUp turns a rule that cannot be compiled into an unresolved entry.
func (t *Table) giveUp(r *Route, err error) {
	prefix, _, _ := strings.Cut(r.Rule, "<")
	if i := strings.LastIndexByte(prefix, '/'); i > 0 {
		prefix = prefix[:i]
	} else {
		prefix = "/"
	}
	t.complete = false
	t.unresolved = append(t.unresolved, Unresolved{File: r.File, Line: r.Line, Reason: err.Error(), Prefix: prefix})
}

// linkEndpoints finds for each rule the ones that redirect_defaults prefers
// (MapAdapter.get_default_redirect).
func (t *Table) linkEndpoints() {
	t.byEndpoint = map[string][]*rule{}
	for _, r := range t.rules {
		t.byEndpoint[r.route.Endpoint] = append(t.byEndpoint[r.route.Endpoint], r)
	}
	for _, group := range t.byEndpoint {
		slices.SortStableFunc(group, func(a, b *rule) int {
			x, y := a.buildKey(), b.buildKey()
			return slices.Compare(x[:], y[:])
		})
		if t.options.NoRedirectDefaults {
			continue
		}
		for i, r := range group {
			for _, better := range group[:i] {
				if better.providesDefaultsFor(r) {
					r.defaultsFrom = append(r.defaultsFrom, better)
				}
			}
		}
	}
}

func (t *Table) retire(routes []Route) {
	compiler := ruleCompiler{t.options, t.behaviour}
	var rules []*rule
	for _, r := range routes {
		compiled, err := compiler.compile(&r, len(rules))
		if err == nil && (!compiled.hasPath() || compiled.rooted()) {
			rules = append(rules, compiled)
		}
	}
	if len(rules) > 0 {
		t.retired = newMachine(rules, t.options, t.behaviour)
	}
}

// hasPath says that a variable of the rule may hold slashes.
func (r *rule) hasPath() bool {
	return slices.ContainsFunc(r.parts, func(p *part) bool { return p.final })
}

// rooted says that the rule's first segment is a literal.
func (r *rule) rooted() bool {
	return len(r.parts) > 2 && r.parts[2].static && r.parts[2].literal() != ""
}

// catchesAll says that the rule matches nearly every path there is.
func (r *rule) catchesAll() bool {
	if r.route.BuildOnly || r.route.WebSocket || len(r.parts) < 3 {
		return false
	}
	p := r.parts[2]
	return p.final && p.prefix() == "" && len(p.elements) == 1 && p.elements[0].variable.converter.accepts != nil &&
		p.elements[0].variable.converter.accepts("a/b.c")
}

// Routes returns the table's routes in the order of registration. The slice is
// the caller's.
func (t *Table) Routes() []Route { return slices.Clone(t.routes) }

// Unresolved returns the places where more routes may be, ordered by file and
// line. The slice is the caller's.
func (t *Table) Unresolved() []Unresolved {
	out := slices.Clone(t.unresolved)
	slices.SortStableFunc(out, func(a, b Unresolved) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line)
	})
	return out
}

// Complete says that the table has every route of the app, so that an unknown
// path may be answered without asking the app.
func (t *Table) Complete() bool { return t.complete && len(t.unresolved) == 0 }

// CatchAll returns the first rule that matches nearly every path, or nil. Below
// such a rule paths are no evidence.
func (t *Table) CatchAll() *Route { return t.catchAll }

// Listed says that the target's path is on the honeypath list, whether or not a
// route matches it: for variable routes whose view says not found.
func (t *Table) Listed(target string) bool {
	name := foldPath(Path(target))
	return t.lists.honeypath(&name)
}

// Match says what the table makes of one request. host is the Host field,
// method as received, target the raw request target (origin or absolute form,
// with or without a query). It allocates nothing for usual targets.
func (t *Table) Match(host, method, target string) Verdict {
	return t.match(host, method, target, false)
}

// MatchUpgrade is Match for a WebSocket handshake.
func (t *Table) MatchUpgrade(host, method, target string) Verdict {
	return t.match(host, method, target, true)
}

func (t *Table) match(host, method, target string, websocket bool) Verdict {
	var r request
	if refusal := t.read(&r, host, method, target); refusal != Found {
		return Verdict{Kind: refusal}
	}
	if r.authority != "" {
		host = r.authority
	}
	if !r.decode && t.options.Prefix == "" {
		return t.judge(host, method, r.path, websocket)
	}
	buf := t.buffers.Get().(*[]byte)
	defer t.buffers.Put(buf)
	*buf = t.pathInfo((*buf)[:0], &r)
	// Nothing below keeps the path, so it may live in the buffer.
	path, mounted := t.unmount(unsafe.String(unsafe.SliceData(*buf), len(*buf)))
	if !mounted {
		return t.elsewhere(string((*buf)[1:]))
	}
	return t.judge(host, method, path, websocket)
}

// read takes the target apart; the kind is not Found where the app's server or
// Werkzeug refuses the request before routing.
func (t *Table) read(r *request, host, method, target string) Kind {
	if lineTooLong(t.server, method, target) {
		return BadRequest
	}
	r.read(target, t.server, t.behaviour)
	if r.bad {
		return BadRequest
	}
	if r.authority != "" {
		host = r.authority
	}
	if t.hosts.refused(host) {
		return BadHost
	}
	return Found
}

// pathInfo appends the decoded path with one more slash in front.
func (t *Table) pathInfo(buf []byte, r *request) []byte {
	return appendPath(append(buf, '/'), r.path)
}

// unmount takes the prefix off a path from pathInfo and reduces the slashes at
// its start to one, as MapAdapter.match does. It is false where the path is
// not below the prefix.
func (t *Table) unmount(path string) (string, bool) {
	if prefix := t.options.Prefix; prefix != "" {
		below := strings.TrimPrefix(path[1:], prefix)
		if len(below) == len(path)-1 || below != "" && below[0] != '/' {
			return "", false
		}
		path = below
	} else if len(path) == 1 {
		return "", true
	}
	for len(path) > 1 && path[1] == '/' && path[0] == '/' {
		path = path[1:]
	}
	return path, true
}

// judge matches a decoded path.
func (t *Table) judge(host, method, path string, websocket bool) Verdict {
	s := search{path: path, method: askedMethod(method), websocket: websocket}
	if t.hosts.fixed {
		s.domain = t.hosts.fixedDomain()
	} else {
		s.domain = t.hosts.domain(host)
	}
	kind, r := t.decide(&s)
	if kind == UnexpectedPath {
		return t.unexpected(&s, path)
	}
	if r == nil {
		return Verdict{Kind: kind}
	}
	return Verdict{Kind: kind, Route: r.route}
}
