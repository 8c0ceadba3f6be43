package routes

import (
	"maps"
	"slices"
	"strings"
)

// Explanation is the long form of a verdict, as `flask2ban explain` prints it.
type Explanation struct {
	Method  string `json:"method"`
	Target  string `json:"target"`
	Verdict Kind   `json:"verdict"`
	// Rule and Endpoint are those of the rule that matched, or for
	// unexpected_method and bad_value the one that came nearest.
	Rule     string `json:"rule"`
	Endpoint string `json:"endpoint"`
	// Args are the raw texts from the URL, and the rule's defaults as Python
	// would print them.
	Args map[string]string `json:"args"`
	// Location is where a redirect leads; empty where only the app knows.
	Location string `json:"location"`
	// Allow are the methods that the app offers here, sorted.
	Allow []string `json:"allow"`
	// Path is the path as the app sees it.
	Path string `json:"-"`
	// Route is the rule's route, nil where there is none.
	Route *Route `json:"-"`
	// Why says in one sentence what decided.
	Why string `json:"-"`
	// Nearest are the routes that come nearest to a path that is none, the
	// best first.
	Nearest []Nearest `json:"-"`
}

// MarshalText writes the kind's word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Explain says what the table makes of one request and why. It agrees with
// Match always.
func (t *Table) Explain(host, method, target string) Explanation {
	return t.explain(host, method, target, false)
}

// ExplainUpgrade is Explain for a WebSocket handshake.
func (t *Table) ExplainUpgrade(host, method, target string) Explanation {
	return t.explain(host, method, target, true)
}

func (t *Table) explain(host, method, target string, websocket bool) Explanation {
	e := Explanation{Method: method, Target: target, Path: Path(target), Args: map[string]string{}, Allow: []string{}}
	var r request
	if refusal := t.read(&r, host, method, target); refusal != Found {
		e.Verdict = refusal
		e.Why = t.why(&e)
		return e
	}
	if r.authority != "" {
		host = r.authority
	}
	path, mounted := t.unmount(string(t.pathInfo(nil, &r)))
	s := &search{
		path: path, domain: t.hosts.domain(host), method: askedMethod(method),
		websocket: websocket, allow: map[string]bool{},
	}
	e.Path = path
	if !mounted {
		e.Path = string(t.pathInfo(nil, &r)[1:])
		e.Verdict = t.elsewhere(e.Path).Kind
		e.Why = "the app is mounted below " + t.options.Prefix
		return e
	}
	t.explainRouted(&e, s, path, t.adapter(host, s, r.query))
	return e
}

// adapter gathers what redirects are built from.
func (t *Table) adapter(host string, s *search, query string) *adapter {
	name, _ := t.hosts.name(host)
	return &adapter{
		table: t, name: name, subdomain: s.domain, websocket: s.websocket,
		query: string(appendInvalid(latin1(query))),
	}
}

// explainRouted fills in what routing says.
func (t *Table) explainRouted(e *Explanation, s *search, path string, a *adapter) {
	kind, r := t.decide(s)
	e.Verdict = kind
	if kind == UnexpectedPath {
		v := t.unexpected(s, path)
		e.Verdict, e.Route = v.Kind, v.Route
	}
	if r != nil {
		e.Route = r.route
	}
	if e.Route != nil {
		e.Rule, e.Endpoint = e.Route.Rule, e.Route.Endpoint
	}
	switch kind {
	case Found:
		e.Args = r.viewArgs(s)
	case Redirect:
		e.Location = a.location(s, r)
	case UnexpectedMethod:
		e.Allow = slices.Sorted(maps.Keys(s.allow))
	case UnexpectedPath:
		e.Nearest = t.nearest(path)
	}
	e.Why = t.why(e)
}

// appendInvalid decodes a query as Werkzeug does: UTF-8, invalid bytes replaced.
func appendInvalid(query string) []byte {
	return []byte(strings.ToValidUTF8(query, "\ufffd"))
}
