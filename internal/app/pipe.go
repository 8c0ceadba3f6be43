package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

// What the hook writes is bounded, for the app's user can write there too.
const (
	maxMessage = 4096 // PIPE_BUF: longer lines would not be whole
	maxRules   = 20000
	maxReports = 256 // processes that are reporting at one time
)

// message is one line of the hook's pipe.
type message struct {
	Type      string          `json:"t"`
	PID       int             `json:"pid"`
	Python    string          `json:"python"`
	Flask     string          `json:"flask"`
	Werkzeug  string          `json:"werkzeug"`
	Options   messageOptions  `json:"options"`
	Server    string          `json:"server"`
	TLS       bool            `json:"tls"`
	Rules     int             `json:"rules"`
	Mounts    []string        `json:"mounts"`
	Where     string          `json:"where"`
	Error     string          `json:"error"`
	ID        string          `json:"id"`
	Board     bool            `json:"board"`
	Direct    bool            `json:"direct"`
	Processes int             `json:"processes"`
	Port      int             `json:"port"`
	Count     int             `json:"count"`
	Threads   int             `json:"threads"`
	Class     string          `json:"type"`
	Message   string          `json:"message"`
	Trace     string          `json:"traceback"`
	Method    string          `json:"method"`
	Path      string          `json:"path"`
	raw       json.RawMessage // the line, for rules
	Rule      string          `json:"rule"`
}

type messageOptions struct {
	StrictSlashes     bool   `json:"strict_slashes"`
	MergeSlashes      bool   `json:"merge_slashes"`
	HostMatching      bool   `json:"host_matching"`
	SubdomainMatching bool   `json:"subdomain_matching"`
	ServerName        string `json:"server_name"`
	ScriptName        string `json:"script_name"`
	DefaultSubdomain  string `json:"default_subdomain"`
	// RedirectDefaults is Werkzeug's default where it is absent.
	RedirectDefaults *bool `json:"redirect_defaults"`
}

// messageRule is the rest of a "rule" line.
type messageRule struct {
	Rule          string                      `json:"rule"`
	Methods       []string                    `json:"methods"`
	Endpoint      string                      `json:"endpoint"`
	Subdomain     string                      `json:"subdomain"`
	Host          string                      `json:"host"`
	StrictSlashes bool                        `json:"strict_slashes"`
	MergeSlashes  bool                        `json:"merge_slashes"`
	Defaults      map[string]any              `json:"defaults"`
	WebSocket     bool                        `json:"websocket"`
	BuildOnly     bool                        `json:"build_only"`
	Alias         bool                        `json:"alias"`
	RedirectTo    string                      `json:"redirect_to"`
	Converters    map[string]routes.Converter `json:"converters"`
}

func (r messageRule) route() routes.Route {
	return routes.Route{
		Rule: r.Rule, Methods: r.Methods, Endpoint: r.Endpoint, Host: r.Host, Subdomain: r.Subdomain,
		StrictSlashes: r.StrictSlashes, MergeSlashes: r.MergeSlashes, Defaults: r.Defaults, Source: routes.Runtime,
		WebSocket: r.WebSocket, BuildOnly: r.BuildOnly, Alias: r.Alias, RedirectTo: r.RedirectTo, Converters: r.Converters,
	}
}

// listener is told what the hook says, from one goroutine.
type listener interface {
	// hooked is told of each Python process; board says that the process
	// looks at the board before it begins a request.
	hooked(pid int, board bool)
	bound(binding)
	// serving is told by each process that serves; direct says that nothing
	// of the app's own comes before the hook in a request's way.
	serving(u routes.URLMap, pid int, direct bool)
	// other is told of a port on which the process serves another Flask app
	// than the one that it is about.
	other(port int)
	// counted is told of requests that did not pass through us.
	counted(n int)
	begun(pid int, id string)
	raised(Exception)
	problem(where, text string)
}

// binding is what a server that takes our socket says of itself.
type binding struct {
	server string
	tls    bool
	// processes and threads of each are what it works on at one time; 0
	// threads is as many as come, or not known.
	processes, threads int
}

// report is an app's url_map on its way.
type report struct {
	routes.URLMap
	direct bool
}

// readPipe reads the hook's pipe to its end. Lines that are no message of ours
// are left out.
func readPipe(r io.Reader, to listener) {
	reports := map[int]*report{}
	in := bufio.NewReaderSize(r, 64*1024)
	for {
		line, err := in.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return
		}
		if pid, id, ok := begunRequest(line); ok {
			to.begun(pid, id)
		} else if len(line) <= maxMessage {
			dispatch(line, reports, to)
		}
	}
}

// begunRequest reads the one message that comes with each request without a
// JSON parser; ids have no escapes ([App.Prepare]).
func begunRequest(line []byte) (pid int, id string, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(`{"t":"req","pid":`))
	if !ok {
		return 0, "", false
	}
	number, rest, ok := bytes.Cut(rest, []byte(`,"id":"`))
	if !ok {
		return 0, "", false
	}
	for _, digit := range number {
		pid = 10*pid + int(digit-'0')
	}
	name, _, ok := bytes.Cut(rest, []byte(`"`))
	return pid, string(name), ok
}

func dispatch(line []byte, reports map[int]*report, to listener) {
	var m message
	if json.Unmarshal(line, &m) != nil {
		return
	}
	m.raw = line
	if act, ok := messages[m.Type]; ok {
		act(m, reports, to)
	}
}

// messages says what each kind of line means.
var messages = map[string]func(message, map[int]*report, listener){
	"hook": func(m message, _ map[int]*report, to listener) { to.hooked(m.PID, m.Board) },
	"bound": func(m message, _ map[int]*report, to listener) {
		to.bound(binding{m.Server, m.TLS, m.Processes, m.Threads})
	},
	"other": func(m message, _ map[int]*report, to listener) { to.other(m.Port) },
	"count": func(m message, _ map[int]*report, to listener) { to.counted(m.Count) },
	"app":   beginReport,
	"rule":  addRule,
	"serving": func(m message, reports map[int]*report, to listener) {
		if u := endReport(m, reports); u != nil {
			to.serving(u.URLMap, m.PID, u.direct)
		}
	},
	"exc":     func(m message, _ map[int]*report, to listener) { to.raised(m.exception(time.Now())) },
	"problem": func(m message, _ map[int]*report, to listener) { to.problem(m.Where, m.Error) },
}

func beginReport(m message, reports map[int]*report, _ listener) {
	if len(reports) >= maxReports {
		clear(reports)
	}
	reports[m.PID] = &report{direct: m.Direct, URLMap: routes.URLMap{
		Python: m.Python, Flask: m.Flask, Werkzeug: m.Werkzeug,
		Options: routes.Options{
			StrictSlashes: m.Options.StrictSlashes, MergeSlashes: m.Options.MergeSlashes,
			HostMatching: m.Options.HostMatching, SubdomainMatching: m.Options.SubdomainMatching,
			ServerName: m.Options.ServerName, Prefix: m.Options.ScriptName, Werkzeug: m.Werkzeug, Flask: m.Flask,
			DefaultSubdomain:   m.Options.DefaultSubdomain,
			NoRedirectDefaults: m.Options.RedirectDefaults != nil && !*m.Options.RedirectDefaults,
		},
	}}
}

func addRule(m message, reports map[int]*report, _ listener) {
	u := reports[m.PID]
	if u == nil || len(u.Routes) >= maxRules {
		return
	}
	var rule messageRule
	if json.Unmarshal(m.raw, &rule) == nil {
		u.Routes = append(u.Routes, rule.route())
	}
}

// endReport is complete where every rule of the app's own count has arrived.
func endReport(m message, reports map[int]*report) *report {
	u := reports[m.PID]
	if u == nil {
		return nil
	}
	delete(reports, m.PID)
	u.Mounts = m.Mounts
	u.Complete = len(u.Routes) == m.Rules && m.Rules < maxRules
	return u
}

func (m message) exception(now time.Time) Exception {
	return Exception{
		Type: m.Class, Message: m.Message, Traceback: strings.ToValidUTF8(m.Trace, "?"),
		RequestID: m.ID, Method: m.Method, Path: m.Path, Route: m.Rule, At: now,
	}
}
