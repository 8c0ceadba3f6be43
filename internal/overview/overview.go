// Package overview gathers what goes on in a running flask2ban for those who
// show it to people: the status page, the JSON API, and the terminal.
//
// Nothing here is on a request's way: it reads counters and asks the engine when
// somebody looks, and a sampler notes the counters every few seconds.
package overview

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/routes"
)

// Config is where a Collector looks. Functions are called from many goroutines
// at once.
type Config struct {
	// Engine judges clients; required.
	Engine *ban.Engine
	// Metrics are the counters; nil: no rates, no history, no hits of routes.
	Metrics *metrics.Metrics
	// Table is what requests are matched against at present; nil: no routes
	// are counted in the status.
	Table func() *routes.Table
	// Project is what the source and the app told of the routes; nil: none.
	Project func() *routes.Project
	// AppState tells how the app is, AppEvents what happened to it, oldest
	// first; nil in a sidecar, which runs no app.
	AppState  func() app.State
	AppEvents func() []app.Event
	// Queue tells how busy the app is; nil: the status doesn't say.
	Queue func() Queue
	// Ready says why the proxy would not forward at present; nil: always ready.
	Ready func() error
	// Mode is enforce or observe at present; nil: as Info has it.
	Mode func() string
	// Exceptions and Events are kept by others; nil: there are none.
	Exceptions *Exceptions
	Events     *Events
	// Now is the engine's clock; nil: time.Now.
	Now  func() time.Time
	Info Info
}

// Collector tells what goes on. It is safe for concurrent use.
type Collector struct {
	config  Config
	history history
	bans    look[[]ban.Ban]
	clients look[offenders]
	stats   look[ban.Stats]
}

// New makes a Collector. The only error is a missing engine.
func New(c Config) (*Collector, error) {
	if c.Engine == nil {
		return nil, errors.New("overview without a ban engine")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Exceptions == nil {
		c.Exceptions = &Exceptions{}
	}
	if c.Events == nil {
		c.Events = &Events{}
	}
	return &Collector{config: c}, nil
}

// Overview is the answer to GET /api/v1/overview.
type Overview struct {
	At     time.Time `json:"at"`
	Status Status    `json:"status"`
	// Now is the latest sample, Sums count from the start.
	Now  Sample `json:"now"`
	Sums Sums   `json:"sums"`
	// Clients are those with most against them, of ClientsTotal.
	Clients      []ban.Offender `json:"clients"`
	ClientsTotal int            `json:"clients_total"`
	// Bans are those that end first, of BansTotal.
	Bans      []ban.Ban `json:"bans"`
	BansTotal int       `json:"bans_total"`
	// Routes are those asked most, of RoutesTotal.
	Routes      []Route             `json:"routes"`
	RoutesTotal int                 `json:"routes_total"`
	Rules       []ban.RuleReport    `json:"rules"`
	Exceptions  []Raised            `json:"exceptions"`
	AppEvents   []app.Event         `json:"app_events"`
	Events      []Event             `json:"events"`
	Unresolved  []routes.Unresolved `json:"unresolved"`
}

// Overview tells all at once; each list has at most limit entries.
func (c *Collector) Overview(limit int) Overview {
	now := c.config.Now()
	o := Overview{
		At:         now.UTC().Round(0),
		Status:     c.Status(),
		Now:        c.history.latest(),
		Rules:      c.config.Engine.Rules(),
		Exceptions: firstOf(c.config.Exceptions.List(), limit),
		AppEvents:  firstOf(c.AppEvents(), limit),
		Events:     firstOf(c.config.Events.Recent(limit), limit),
	}
	o.Clients, o.ClientsTotal = c.Clients(limit)
	bans := c.Bans()
	o.Bans, o.BansTotal = firstOf(bans, limit), len(bans)
	totals := c.totals()
	o.Sums = sumsOf(totals)
	table := c.routesOf(totals)
	o.Routes, o.RoutesTotal = firstOf(table, limit), len(table)
	o.Unresolved = firstOf(c.Unresolved(), limit)
	return o
}

// firstOf is at most n of a list, and never nil: JSON's lists are lists.
func firstOf[T any](list []T, n int) []T {
	if list == nil {
		return []T{}
	}
	return list[:min(n, len(list))]
}

func (c *Collector) totals() metrics.Totals {
	if c.config.Metrics == nil {
		return metrics.Totals{}
	}
	return c.config.Metrics.Totals()
}

// Now is the clock that all times here are of.
func (c *Collector) Now() time.Time { return c.config.Now() }

// Latest is the last sample; zero where there is none yet.
func (c *Collector) Latest() Sample { return c.history.latest() }

// Sums counts from the start.
func (c *Collector) Sums() Sums { return sumsOf(c.totals()) }

// Rules lists the rules with their hits.
func (c *Collector) Rules() []ban.RuleReport { return c.config.Engine.Rules() }

// AppEvents is what happened to the app, the latest first.
func (c *Collector) AppEvents() []app.Event {
	if c.config.AppEvents == nil {
		return nil
	}
	events := slices.Clone(c.config.AppEvents())
	slices.Reverse(events)
	return events
}

// Exceptions are the app's, the latest first.
func (c *Collector) Exceptions() []Raised { return c.config.Exceptions.List() }

// Events are the last n lines of the log, the latest first.
func (c *Collector) Events(n int) []Event { return c.config.Events.Recent(n) }

// Unresolved are the places of the source whose routes could not be read.
func (c *Collector) Unresolved() []routes.Unresolved {
	if c.config.Project == nil {
		return nil
	}
	return c.config.Project().Unresolved
}

// Route is one rule of the app with what was asked of it.
type Route struct {
	Rule     string        `json:"rule"`
	Methods  []string      `json:"methods"`
	Endpoint string        `json:"endpoint,omitempty"`
	Source   routes.Source `json:"source"`
	File     string        `json:"file,omitempty"`
	Line     int           `json:"line,omitempty"`
	// Hits are the requests for it; ClientErrors of them were answered 4xx,
	// ServerErrors 5xx.
	Hits         float64 `json:"hits"`
	ClientErrors float64 `json:"client_errors"`
	ServerErrors float64 `json:"server_errors"`
	// P50, P95 and Mean are seconds; 0 without hits.
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	Mean float64 `json:"mean"`
}

// Routes lists the app's routes, those asked most first. Routes with the same
// rule are one: they are counted together.
func (c *Collector) Routes() []Route { return c.routesOf(c.totals()) }

func (c *Collector) routesOf(t metrics.Totals) []Route {
	if c.config.Project == nil {
		return nil
	}
	known := c.config.Project().Routes
	out := make([]Route, 0, len(known))
	at := make(map[string]int, len(known))
	for _, r := range known {
		if i, ok := at[r.Rule]; ok {
			out[i].Methods = union(out[i].Methods, r.Methods)
			continue
		}
		at[r.Rule] = len(out)
		out = append(out, countedRoute(r, t.Routes[r.Rule]))
	}
	slices.SortStableFunc(out, func(a, b Route) int { return cmp.Or(cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Rule, b.Rule)) })
	return out
}

func countedRoute(r routes.Route, t metrics.RouteTotals) Route {
	return Route{
		Rule: r.Rule, Methods: r.Methods, Endpoint: r.Endpoint, Source: r.Source, File: r.File, Line: r.Line,
		Hits: t.Requests, ClientErrors: t.ClientErrors, ServerErrors: t.ServerErrors,
		P50: t.Latency.Quantile(0.5), P95: t.Latency.Quantile(0.95), Mean: t.Latency.Mean(),
	}
}

// union is nil, every method, where one of them is.
func union(a, b []string) []string {
	if a == nil || b == nil {
		return nil
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
