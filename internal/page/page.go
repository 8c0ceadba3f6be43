// Package page is the status page: what goes on, for a person with a browser.
//
// It is made on the server with html/template and needs no network but ours. A
// small script takes fresh sections from a stream of server-sent events and
// morphs them into the page, so that focus, scroll position and opened details
// stay; without the script the page works, too, as it was when it was loaded.
//
// Whoever may read the API may read the page. Who wants to change something
// signs in, with a one-time code or the API's token, and gets a cookie; each
// change then also needs that session's own form token, and must come from this
// very origin. The Content-Security-Policy allows no inline script or style.
package page

import (
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/state"
)

// Operator does what a person asks for on the page. Each method returns a
// sentence that says what was done, or an error that says why not.
type Operator interface {
	Ban(r *http.Request, client, duration, reason string) (string, error)
	Unban(r *http.Request, client string) (string, error)
	// Ignore exempts a client from judgement, or where off ends that.
	Ignore(r *http.Request, client string, off bool) (string, error)
	// SetMode has a rule enforced or observed; an empty rule means all judging,
	// an empty mode what the configuration says.
	SetMode(r *http.Request, rule, mode string) (string, error)
}

// Config is what the page shows and acts through.
type Config struct {
	// Overview tells what goes on; required.
	Overview *overview.Collector
	// Engine explains clients; required.
	Engine *ban.Engine
	// Operator acts; required.
	Operator Operator
	// Changed is what was changed on the page and holds until it is taken back;
	// nil: nothing can be.
	Changed func() state.Overrides
	// MayRead says whether a request may see the page without signing in; nil:
	// none may.
	MayRead func(*http.Request) bool
	// IsToken says whether a secret is the API's token; nil: none is.
	IsToken func(string) bool
	// Ending is closed when the request's server ends; nil: never.
	Ending func(*http.Request) <-chan struct{}
	// Log gets a line for each sign-in; nil: slog.Default.
	Log *slog.Logger
}

// Page answers the status page's requests. It is safe for concurrent use.
type Page struct {
	config    Config
	templates map[string]*template.Template
	sessions  sessions
	failures  failures
	origin    *http.CrossOriginProtection
	live      live
	mux       *http.ServeMux
}

// New makes a Page.
func New(c Config) (*Page, error) {
	if c.Overview == nil || c.Engine == nil || c.Operator == nil {
		return nil, errors.New("status page without an overview, an engine or an operator")
	}
	if c.Changed == nil {
		c.Changed = func() state.Overrides { return state.Overrides{} }
	}
	if c.MayRead == nil {
		c.MayRead = func(*http.Request) bool { return false }
	}
	if c.IsToken == nil {
		c.IsToken = func(string) bool { return false }
	}
	if c.Ending == nil {
		c.Ending = func(*http.Request) <-chan struct{} { return nil }
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	p := &Page{config: c, origin: http.NewCrossOriginProtection(), mux: http.NewServeMux()}
	p.sessions.now = c.Overview.Now
	var err error
	if p.templates, err = parseTemplates(); err != nil {
		return nil, err
	}
	for _, h := range p.handlers() {
		p.mux.HandleFunc(h.pattern, h.serve)
	}
	return p, nil
}

type handler struct {
	pattern string
	serve   http.HandlerFunc
}

// handlers are all that the page answers. Views need permission to read,
// actions a session.
func (p *Page) handlers() []handler {
	all := []handler{
		{"GET /signin", p.showSignIn},
		{"POST /signin", p.signIn},
		{"POST /signout", p.signOut},
		{"GET /assets/{file...}", p.asset},
		{"GET /live/{view}", p.reader(p.stream)},
		{"POST /actions/ban", p.action(p.ban)},
		{"POST /actions/unban", p.action(p.unban)},
		{"POST /actions/ignore", p.action(p.ignore)},
		{"POST /actions/mode", p.action(p.mode)},
		{"GET /find", p.reader(p.find)},
		{"GET /clients/{client...}", p.reader(p.showClient)},
	}
	for _, v := range views() {
		all = append(all, handler{"GET " + v.path, p.reader(p.show(v))})
	}
	return all
}

// Patterns are what the page answers, for the mux of the server that it is part
// of.
func (p *Page) Patterns() []string {
	var patterns []string
	for _, h := range p.handlers() {
		patterns = append(patterns, h.pattern)
	}
	return patterns
}

// policy allows what we serve ourselves and nothing else: no inline script or
// style, no frame around us, no form to elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	p.mux.ServeHTTP(w, r)
}

// reader lets those pass who may read, and sends others to sign in.
func (p *Page) reader(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case p.mayRead(r):
			next(w, r)
		case r.Header.Get("Accept") == "text/event-stream":
			http.Error(w, "sign in first", http.StatusUnauthorized)
		default:
			http.Redirect(w, r, "/signin", http.StatusSeeOther)
		}
	}
}

// mayRead says whether a request may see the page.
func (p *Page) mayRead(r *http.Request) bool { return p.config.MayRead(r) || p.sessions.of(r) != nil }

// now is the clock of all that is shown.
func (p *Page) now() time.Time { return p.config.Overview.Now() }

// find leads from the search field to a client.
func (p *Page) find(w http.ResponseWriter, r *http.Request) {
	client, err := ban.ParseClient(r.URL.Query().Get("client"))
	if err != nil {
		p.refuse(w, r, http.StatusBadRequest, "Write an address such as 192.0.2.1 or 2001:db8::1, or a network such as 192.0.2.0/24.")
		return
	}
	http.Redirect(w, r, clientPath(client), http.StatusSeeOther)
}

func clientPath(client netip.Prefix) string { return "/clients/" + ban.FormatClient(client) }
