package page_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/page"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/routes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// hostile is what attackers put where it will be shown.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>` + "\x1b[31m\u202egpj"

// site is a page with a real engine behind it, as a server on loopback.
type site struct {
	t          *testing.T
	engine     *ban.Engine
	metrics    *metrics.Metrics
	exceptions *overview.Exceptions
	events     *overview.Events
	project    *routes.Project
	instance   *app.State
	page       *page.Page
	url        string
	ending     chan struct{}

	mu      sync.Mutex
	now     time.Time
	readers bool // may read without signing in
	changed state.Overrides
	asked   []string // of the operator
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) later(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func newSite(t *testing.T) *site {
	t.Helper()
	engine, err := ban.New(ban.Config{BanJitter: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{
		t: t, engine: engine, metrics: metrics.New("x"), exceptions: &overview.Exceptions{}, events: &overview.Events{},
		now: start, readers: true, ending: make(chan struct{}),
		project:  &routes.Project{App: "app.py"},
		instance: &app.State{Name: app.Ready, PID: 4711, Since: start},
	}
	o, err := overview.New(overview.Config{
		Engine: engine, Metrics: s.metrics, Exceptions: s.exceptions, Events: s.events, Now: s.clock,
		Project:  func() *routes.Project { return s.project },
		AppState: func() app.State { return *s.instance },
		AppEvents: func() []app.Event {
			return []app.Event{{At: start, Seen: "it died of " + hostile, Done: hostile, Cost: hostile, Stacks: []string{hostile}}}
		},
		Info: overview.Info{Version: "v1", App: "app.py", Mode: "enforce", Started: start, Listen: []string{"127.0.0.1:8080"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.page, err = page.New(page.Config{
		Overview: o, Engine: engine, Operator: (*operator)(s), Log: slog.New(slog.DiscardHandler),
		MayRead: func(*http.Request) bool { s.mu.Lock(); defer s.mu.Unlock(); return s.readers },
		IsToken: func(secret string) bool { return secret == "the-token" },
		Changed: func() state.Overrides { s.mu.Lock(); defer s.mu.Unlock(); return s.changed },
		Ending:  func(*http.Request) <-chan struct{} { return s.ending },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.page)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// operator notes what it is asked for, and bans in the engine.
type operator site

func (o *operator) note(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, fmt.Sprintf(format, args...))
}

func (o *operator) Ban(_ *http.Request, client, duration, reason string) (string, error) {
	o.note("ban %s %s %s", client, duration, reason)
	p, err := ban.ParseClient(client)
	if err != nil {
		return "", err
	}
	return client + " is banned.", o.engine.Add(start, ban.Ban{Client: p, Until: start.Add(time.Hour), Reason: reason})
}

func (o *operator) Unban(_ *http.Request, client string) (string, error) {
	o.note("unban %s", client)
	p, _ := ban.ParseClient(client)
	o.engine.Remove(start, p)
	return client + " is unbanned.", nil
}

func (o *operator) Ignore(_ *http.Request, client string, off bool) (string, error) {
	o.note("ignore %s %v", client, off)
	return "done", nil
}

func (o *operator) SetMode(_ *http.Request, rule, mode string) (string, error) {
	o.note("mode %s %s", rule, mode)
	if rule == "none" {
		return "", errors.New("there is no rule none")
	}
	return "done", nil
}

func (s *site) calls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, ", ")
}

// browser keeps cookies and follows no redirects.
type browser struct {
	*site
	client *http.Client
}

func (s *site) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &browser{s, &http.Client{
		Jar: jar, Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, path string, form url.Values, header ...string) answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) get(path string) answer { b.t.Helper(); return b.do("GET", path, nil) }

// signIn returns what the session's forms carry.
func (b *browser) signIn() string {
	b.t.Helper()
	got := b.do("POST", "/signin", url.Values{"secret": {b.page.NewCode()}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/" {
		b.t.Fatalf("sign-in: %+v", got)
	}
	match := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindStringSubmatch(b.get("/").body)
	if match == nil {
		b.t.Fatal("a signed-in page has no form")
	}
	return match[1]
}

// scan has a client offend.
func (s *site) scan(client string, paths ...string) {
	s.t.Helper()
	for _, path := range paths {
		s.engine.Observe(s.clock(), ban.Observation{Client: netip.MustParsePrefix(client), Status: 404,
			Evidence: &ban.Evidence{Kind: ban.UnexpectedPath, Method: "GET", Path: path, Verdict: "unexpected_path"}})
	}
}

func TestNewNeedsItsParts(t *testing.T) {
	if _, err := page.New(page.Config{}); err == nil || err.Error() != "status page without an overview, an engine or an operator" {
		t.Errorf("got %v", err)
	}
}

// TestEmptyViews: before anything happened each view says what to do.
func TestEmptyViews(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	for path, want := range map[string]string{
		"/":                   "Nobody has anything against them",
		"/app":                "The app has raised nothing",
		"/routes":             "flask2ban routes APP --lint",
		"/routes?show=errors": "No route is like that",
		"/clients":            "curl --interface 127.0.0.2 127.0.0.1:8080/nonsense",
		"/bans":               "flask2ban bans add",
		"/rules":              "unexpected",
		"/events":             "Nothing to tell",
		"/clients/192.0.2.1":  "this client is served as everyone",
		"/signin":             "flask2ban page",
	} {
		if got := b.get(path); got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %d without %q:\n%s", path, got.status, want, got.body)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	b := newSite(t).browser()
	for path, want := range map[string]int{
		"/nothing": 404, "/clients/nobody": 404, "/assets/": 404, "/assets/../page.go": 404, "/assets/vendor": 404,
		"/live/nothing": 404, "/find?client=x": 400, "/actions/ban": 405,
	} {
		if got := b.get(path); got.status != want && got.status != 301 && got.status != 307 {
			t.Errorf("%s: got %d, want %d", path, got.status, want)
		}
	}
	if got := b.get("/find?client=192.0.2.1"); got.status != 303 || got.header.Get("Location") != "/clients/192.0.2.1" {
		t.Errorf("find: %+v", got)
	}
}

// populate fills every view with what attackers would write there.
func (s *site) populate() {
	s.project.Routes = []routes.Route{
		{Rule: "/" + hostile, Methods: []string{"GET", "HEAD", "<b>"}, Source: routes.Static, File: hostile, Line: 3},
		{Rule: "/unused", Source: routes.Learned},
	}
	s.project.Unresolved = []routes.Unresolved{{File: hostile, Line: 7, Reason: hostile, Prefix: hostile}}
	s.metrics.Request("/"+hostile, "GET", 500, time.Millisecond, 0)
	s.scan("192.0.2.1/32", "/"+hostile)
	s.scan("192.0.2.2/32", "/a", "/b", "/c", "/d", "/"+hostile)
	if err := s.engine.Add(start, ban.Ban{Client: netip.MustParsePrefix("198.51.100.0/24"), Until: start.Add(time.Hour), Reason: hostile}); err != nil {
		s.t.Fatal(err)
	}
	s.exceptions.Add(app.Exception{Type: hostile, Message: hostile, Traceback: hostile, Path: hostile, Method: hostile, Route: hostile, RequestID: hostile, At: start})
	slog.New(s.events.Tee(slog.DiscardHandler)).Warn(hostile, hostile, hostile)
	s.instance.Name, s.instance.Reason, s.instance.Output = app.Restarting, hostile, []string{hostile}
	s.instance.Command, s.instance.LastExit = []string{hostile}, hostile
	s.changed = state.Overrides{Ignore: []state.Ignored{{Client: "203.0.113.9", Since: start}}}
}

func paths() []string {
	return []string{"/", "/app", "/routes", "/routes?show=learned&sort=p95", "/clients", "/bans", "/rules", "/events", "/events?show=warnings",
		"/clients/192.0.2.1", "/clients/192.0.2.2", "/clients/198.51.100.0/24", "/signin", "/find?client=" + url.QueryEscape(hostile),
		"/routes?show=" + url.QueryEscape(hostile) + "&sort=" + url.QueryEscape(hostile) + "&rows=" + url.QueryEscape(hostile)}
}

// TestHostileTextIsInert holds every view against what attackers choose, in both
// states of the reader.
func TestHostileTextIsInert(t *testing.T) {
	s := newSite(t)
	s.populate()
	b := s.browser()
	handlers := regexp.MustCompile(`(?i)<[^>]*\son[a-z]+\s*=`)
	for range 2 {
		seen := 0
		for _, path := range paths() {
			got := b.get(path)
			for _, bad := range []string{"<script>", "<img", "\x1b", "\u202e", "<b>"} {
				if strings.Contains(got.body, bad) {
					t.Errorf("%s: %q stands there unescaped", path, bad)
				}
			}
			if at := handlers.FindString(got.body); at != "" {
				t.Errorf("%s: %s", path, at)
			}
			seen += strings.Count(got.body, "&lt;script&gt;")
		}
		if seen < 20 {
			t.Errorf("the text is shown %d times only: is it shown at all?", seen)
		}
		b.signIn()
	}
}

// TestNothingInline: the policy would refuse inline scripts and styles, and the
// pages have none; all that they load is ours.
func TestNothingInline(t *testing.T) {
	s := newSite(t)
	s.populate()
	b := s.browser()
	b.signIn()
	inline := regexp.MustCompile(`(?i)<script>|<script [^>]*[^/]>[^<]|<style|\sstyle=|javascript:`)
	links := regexp.MustCompile(`(?:src|href|action|hx-post)="([^"]*)"`)
	for _, path := range paths() {
		got := b.get(path)
		if at := inline.FindString(got.body); at != "" {
			t.Errorf("%s: %s", path, at)
		}
		for _, link := range links.FindAllStringSubmatch(got.body, -1) {
			if !strings.HasPrefix(link[1], "/") && !strings.HasPrefix(link[1], "#") || strings.HasPrefix(link[1], "//") {
				t.Errorf("%s leads to %q", path, link[1])
			}
			if strings.HasPrefix(link[1], "/assets/") {
				if asset := b.get(link[1]); asset.status != 200 || !strings.Contains(asset.header.Get("Cache-Control"), "immutable") {
					t.Errorf("%s: %d, %v", link[1], asset.status, asset.header)
				}
			}
		}
		h := got.header
		if p := h.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; script-src 'self'; style-src 'self';") || strings.Contains(p, "unsafe") {
			t.Errorf("%s: policy %q", path, p)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Cache-Control": "no-store"} {
			if h.Get(name) != want {
				t.Errorf("%s: %s %q", path, name, h.Get(name))
			}
		}
	}
}

// TestVendoredLicences: what is not ours comes with its licence.
func TestVendoredLicences(t *testing.T) {
	b := newSite(t).browser()
	for name, want := range map[string]string{"htmx": "Zero-Clause BSD", "uPlot": "MIT License"} {
		if got := b.get("/assets/vendor/" + name + ".LICENSE"); !strings.Contains(got.body, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestTablesAreBounded(t *testing.T) {
	s := newSite(t)
	for i := range 1200 {
		s.scan(fmt.Sprintf("10.0.%d.%d/32", i/250, i%250), "/x")
		s.project.Routes = append(s.project.Routes, routes.Route{Rule: fmt.Sprintf("/r%d", i), Methods: []string{"GET"}, Source: routes.Static})
	}
	b := s.browser()
	for path, want := range map[string]int{"/clients": 100, "/clients?rows=7": 7, "/clients?rows=999999": 1000, "/clients?rows=-3": 1, "/routes": 100, "/routes?rows=500": 500} {
		got := b.get(path).body
		if n := strings.Count(got, "<tr id="); n != want {
			t.Errorf("%s: %d rows, want %d", path, n, want)
		}
		if more := strings.Contains(got, "Show more"); more != (want < 1000) {
			t.Errorf("%s: a link to more: %v", path, more)
		}
	}
}

func TestRoutesAreFilteredAndSorted(t *testing.T) {
	s := newSite(t)
	for _, rule := range []string{"/b", "/a", "/c"} {
		s.project.Routes = append(s.project.Routes, routes.Route{Rule: rule, Methods: []string{"GET"}, Source: routes.Static})
	}
	s.project.Routes[2].Source = routes.Learned
	s.metrics.Request("/b", "GET", 200, 5*time.Second, 0)
	for range 9 {
		s.metrics.Request("/a", "GET", 200, time.Millisecond, 0)
	}
	s.metrics.Request("/a", "GET", 502, time.Millisecond, 0)
	b := s.browser()
	rules := regexp.MustCompile(`<td class="mono path">([^<]*)`)
	for path, want := range map[string]string{
		"/routes": "/a /b /c", "/routes?sort=p95": "/b /a /c", "/routes?sort=errors": "/a /b /c", "/routes?sort=rule": "/a /b /c",
		"/routes?show=unused": "/c", "/routes?show=errors": "/a", "/routes?show=learned": "/c", "/routes?show=nonsense": "/a /b /c",
	} {
		var got []string
		for _, m := range rules.FindAllStringSubmatch(b.get(path).body, -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", path, got, want)
		}
	}
}
