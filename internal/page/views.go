package page

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/routes"
)

const (
	// pageRows is how many rows a table has at first, mostRows how many it has
	// where more are asked for: an attacker makes as many clients as they like.
	pageRows = 100
	mostRows = 1000
	// fewRows is how many the lists of the first view have.
	fewRows = 8
)

// model is what the templates show.
type model struct {
	View, Title string
	At          time.Time
	Status      overview.Status
	Changed     state.Overrides
	// Signed says that this browser may act; Form is what its forms carry, Back
	// the page that they lead back to.
	Signed     bool
	Form, Back string
	Notice     notice
	// Live is where the script gets news from.
	Live string
	// Show is the chosen filter, Sort the column, Rows how many are shown of
	// Total.
	Show, Sort  string
	Rows, Total int

	Now        overview.Sample
	Sums       overview.Sums
	Clients    []ban.Offender
	Client     *ban.Explanation
	Bans       []ban.Ban
	Routes     []overview.Route
	Counts     routeCounts
	Unresolved []routes.Unresolved
	Rules      []ban.RuleReport
	AppEvents  []app.Event
	Exceptions []overview.Raised
	Events     []overview.Event
}

// routeCounts are the routes by the filters of their view.
type routeCounts struct{ All, Unused, Errors, Learned int }

// view is one of the page's sections, with an address of its own.
type view struct {
	name, path, title string
	fill              func(*Page, *model)
}

// views are the tabs, in their order; the number of each is its key.
func views() []view {
	return []view{
		{"now", "/{$}", "Now", (*Page).fillNow},
		{"app", "/app", "App", (*Page).fillApp},
		{"routes", "/routes", "Routes", (*Page).fillRoutes},
		{"clients", "/clients", "Clients", (*Page).fillClients},
		{"bans", "/bans", "Bans", (*Page).fillBans},
		{"rules", "/rules", "Rules", (*Page).fillRules},
		{"events", "/events", "Events", (*Page).fillEvents},
	}
}

// Tab is a view as the navigation shows it.
type Tab struct {
	Path, Title, Key string
	Current          bool
}

// Tabs is the navigation.
func (m model) Tabs() []Tab {
	var tabs []Tab
	for i, v := range views() {
		path := v.path
		if v.name == "now" {
			path = "/"
		}
		current := v.name == m.View || v.name == "clients" && m.View == "client"
		tabs = append(tabs, Tab{path, v.title, strconv.Itoa(i + 1), current})
	}
	return tabs
}

// model is what all views show.
func (p *Page) model(r *http.Request, name string) model {
	q := r.URL.Query()
	m := model{View: name, At: p.now(), Show: q.Get("show"), Sort: q.Get("sort"), Rows: pageRows, Changed: p.config.Changed()}
	if n, err := strconv.Atoi(q.Get("rows")); err == nil {
		m.Rows = min(max(n, 1), mostRows)
	}
	if s := p.sessions.of(r); s != nil {
		m.Signed, m.Form = true, s.form
	}
	return m
}

// show answers with a whole page.
func (p *Page) show(v view) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		m := p.viewed(r, v)
		if s := p.sessions.of(r); s != nil {
			m.Notice = p.sessions.take(s)
		}
		p.render(w, r, http.StatusOK, v.name, m)
	}
}

// viewed fills a view's model.
func (p *Page) viewed(r *http.Request, v view) model {
	m := p.model(r, v.name)
	m.Title, m.Status = v.title, p.config.Overview.Status()
	m.Live = "/live/" + v.name + "?" + r.URL.RawQuery
	m.Back = m.link(v.path, nil)
	v.fill(p, &m)
	return m
}

// filler makes the models of an open page; nil where there is no such view.
func (p *Page) filler(r *http.Request) func() model {
	name := r.PathValue("view")
	if name == "client" {
		client, err := ban.ParseClient(r.URL.Query().Get("client"))
		if err != nil {
			return nil
		}
		return func() model { return p.explained(r, client) }
	}
	i := slices.IndexFunc(views(), func(v view) bool { return v.name == name })
	if i < 0 {
		return nil
	}
	return func() model { return p.viewed(r, views()[i]) }
}

// link is a view's address with the choices in force and those of change.
func (m model) link(path string, change map[string]string) string {
	if path == "/{$}" {
		path = "/"
	}
	q := url.Values{}
	for key, value := range map[string]string{"show": m.Show, "sort": m.Sort} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if m.Rows != pageRows {
		q.Set("rows", strconv.Itoa(m.Rows))
	}
	for key, value := range change {
		q.Set(key, value)
		if value == "" {
			q.Del(key)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// With is the address of this view with another choice, for links.
func (m model) With(key, value string) string {
	return m.link("/"+m.View, map[string]string{key: value})
}

// More is the address with more rows; empty where all are shown, or as many as
// can be.
func (m model) More() string {
	if m.Total <= m.Rows || m.Rows >= mostRows {
		return ""
	}
	return m.With("rows", strconv.Itoa(min(m.Rows*5, mostRows)))
}

func (p *Page) fillNow(m *model) {
	o := p.config.Overview
	m.Now, m.Sums = o.Latest(), o.Sums()
	m.Clients, m.Total = o.Clients(fewRows)
	m.Bans = o.LatestBans(fewRows)
	m.Events = o.Events(fewRows)
}

func (p *Page) fillApp(m *model) {
	m.AppEvents, m.Exceptions = p.config.Overview.AppEvents(), p.config.Overview.Exceptions()
}

func (p *Page) fillClients(m *model) { m.Clients, m.Total = p.config.Overview.Clients(m.Rows) }

func (p *Page) fillBans(m *model) {
	bans := p.config.Overview.Bans()
	m.Bans, m.Total = first(bans, m.Rows), len(bans)
}

func (p *Page) fillRules(m *model) { m.Rules = p.config.Overview.Rules() }

func (p *Page) fillEvents(m *model) {
	for _, e := range p.config.Overview.Events(mostRows) {
		if m.Show != "warnings" || e.Level != "info" {
			m.Events = append(m.Events, e)
		}
	}
	m.Total = len(m.Events)
	m.Events = first(m.Events, m.Rows)
}

func (p *Page) fillRoutes(m *model) {
	filters := map[string]func(overview.Route) bool{
		"unused":  func(r overview.Route) bool { return r.Hits == 0 },
		"errors":  func(r overview.Route) bool { return r.ServerErrors > 0 },
		"learned": func(r overview.Route) bool { return r.Source == routes.Learned },
	}
	all := p.config.Overview.Routes()
	count := func(f func(overview.Route) bool) (n int) {
		for _, r := range all {
			if f(r) {
				n++
			}
		}
		return n
	}
	m.Counts = routeCounts{len(all), count(filters["unused"]), count(filters["errors"]), count(filters["learned"])}
	if f, ok := filters[m.Show]; ok {
		all = slices.DeleteFunc(all, func(r overview.Route) bool { return !f(r) })
	}
	sortRoutes(all, m.Sort)
	m.Routes, m.Total = first(all, m.Rows), len(all)
	m.Unresolved = first(p.config.Overview.Unresolved(), mostRows)
}

// sortRoutes sorts by a column; by hits they come.
func sortRoutes(list []overview.Route, column string) {
	by := map[string]func(overview.Route) float64{
		"errors": func(r overview.Route) float64 { return r.ServerErrors },
		"p50":    func(r overview.Route) float64 { return r.P50 },
		"p95":    func(r overview.Route) float64 { return r.P95 },
	}
	if value, ok := by[column]; ok {
		slices.SortStableFunc(list, func(a, b overview.Route) int {
			switch {
			case value(a) > value(b):
				return -1
			case value(a) < value(b):
				return 1
			}
			return 0
		})
	}
	if column == "rule" {
		slices.SortStableFunc(list, func(a, b overview.Route) int {
			if a.Rule < b.Rule {
				return -1
			}
			return 1
		})
	}
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

// showClient explains one client.
func (p *Page) showClient(w http.ResponseWriter, r *http.Request) {
	client, err := ban.ParseClient(r.PathValue("client"))
	if err != nil {
		p.refuse(w, r, http.StatusNotFound, "There is no such client: an address looks like 192.0.2.1 or 2001:db8::1.")
		return
	}
	m := p.explained(r, client)
	if s := p.sessions.of(r); s != nil {
		m.Notice = p.sessions.take(s)
	}
	p.render(w, r, http.StatusOK, "client", m)
}

func (p *Page) explained(r *http.Request, client netip.Prefix) model {
	m := p.model(r, "client")
	x := p.config.Engine.Why(m.At, client)
	slices.Reverse(x.Evidence)
	m.Title, m.Status, m.Client = x.Client, p.config.Overview.Status(), &x
	m.Live = "/live/client?" + url.Values{"client": {x.Client}}.Encode()
	m.Back = "/clients/" + x.Client
	return m
}

// Ignored says since when a client is exempt by what was done on the page; zero
// where it isn't.
func (m model) Ignored(client string) time.Time {
	for _, i := range m.Changed.Ignore {
		if i.Client == client {
			return i.Since
		}
	}
	return time.Time{}
}
