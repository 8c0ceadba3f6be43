package routes

import (
	"fmt"
	"slices"
	"strings"
)

// URLMap is what a running app reported of its own routing.
type URLMap struct {
	// Python, Flask and Werkzeug are the versions that serve the app.
	Python, Flask, Werkzeug string
	// Options are those of the app's url_map.
	Options Options
	// Routes are its rules in the map's order.
	Routes []Route
	// Mounts are URL prefixes that other WSGI applications answer.
	Mounts []string
	// Complete says that the report has every rule.
	Complete bool
}

// Diff is what the source and the running app say of each other.
type Diff struct {
	// Confirmed routes are in both, RuntimeOnly ones were registered by what
	// the source does not show (extensions), StaticOnly ones are in the source
	// and not in the running app.
	Confirmed, RuntimeOnly, StaticOnly []Route
}

// CheckStaticOnly is the lint of a route that the running app does not have.
const CheckStaticOnly = "static-only"

// Merge returns the project with what the running app reported. The app's word
// is final: with a complete report nothing is unresolved but its mounts, and
// routes that only the source has are left out of the table and become lint.
// With an incomplete report everything is kept. The receiver stays as it was.
func (p *Project) Merge(m URLMap) (*Project, Diff) {
	out := &Project{App: p.App, Options: p.mergeOptions(m), Lint: slices.Clone(p.Lint)}
	var d Diff
	pairs := pairRoutes(p.Routes, m.Routes)
	for i, r := range m.Routes {
		r.Source = Runtime
		if from := pairs.ofRuntime[i]; from >= 0 {
			r = confirm(p.Routes[from], r)
			d.Confirmed = append(d.Confirmed, r)
		} else {
			d.RuntimeOnly = append(d.RuntimeOnly, r)
		}
		out.Routes = append(out.Routes, r)
	}
	var unpaired []Route
	for i, r := range p.Routes {
		if pairs.staticTaken[i] {
			continue
		}
		unpaired = append(unpaired, r)
		if r.Source == Static {
			d.StaticOnly = append(d.StaticOnly, r)
		}
	}
	out.settle(p, m, unpaired)
	return out, d
}

// settle decides what becomes of the routes that the app did not report.
func (p *Project) settle(static *Project, m URLMap, unpaired []Route) {
	if !m.Complete {
		p.Unresolved = slices.Clone(static.Unresolved)
	}
	for _, r := range unpaired {
		if !m.Complete || r.Source == Learned {
			p.Routes = append(p.Routes, r)
		}
		if m.Complete && r.Source == Static {
			p.Lint = append(p.Lint, Finding{
				File: r.File, Line: r.Line, Check: CheckStaticOnly,
				Message: fmt.Sprintf("the source registers %s, the running app does not have it", r.Rule),
			})
		}
	}
	for _, mount := range m.Mounts {
		p.Unresolved = append(p.Unresolved, Unresolved{
			Reason: "another WSGI application is mounted here",
			Prefix: "/" + strings.Trim(mount, "/"),
		})
	}
	p.Complete = m.Complete && len(p.Unresolved) == 0
}

// mergeOptions takes the app's word for its url_map and keeps what only the
// operator knows.
func (p *Project) mergeOptions(m URLMap) Options {
	o := m.Options
	o.Prefix, o.Server = p.Options.Prefix, p.Options.Server
	if m.Options.Prefix != "" {
		o.Prefix = m.Options.Prefix
	}
	if m.Options.Server != "" {
		o.Server = m.Options.Server
	}
	if m.Werkzeug != "" {
		o.Werkzeug = m.Werkzeug
	}
	if m.Flask != "" {
		o.Flask = m.Flask
	}
	if o.Converters == nil {
		o.Converters = p.Options.Converters
	}
	return o
}

// confirm joins a route's two witnesses: the app's word for what it does, the
// source's for where it stands.
func confirm(static, runtime Route) Route {
	runtime.Source, runtime.Confirmed = static.Source, true
	runtime.File, runtime.Line = static.File, static.Line
	if static.Source != Static {
		runtime.Confirmed = false
	}
	if runtime.Converters == nil {
		runtime.Converters = static.Converters
	}
	return runtime
}

// pairing says which static route belongs to which runtime route.
type pairing struct {
	ofRuntime   []int // -1 where there is none
	staticTaken []bool
}

// pairRoutes pairs first what agrees wholly, then what has the same rule and
// endpoint, then the same rule.
func pairRoutes(static, runtime []Route) pairing {
	p := pairing{ofRuntime: make([]int, len(runtime)), staticTaken: make([]bool, len(static))}
	for i := range p.ofRuntime {
		p.ofRuntime[i] = -1
	}
	keys := []func(Route) string{
		func(r Route) string { return placeOf(r) + r.Endpoint + "\x00" + strings.Join(r.Methods, ",") },
		func(r Route) string { return placeOf(r) + r.Endpoint },
		placeOf,
	}
	for _, key := range keys {
		p.pairBy(static, runtime, key)
	}
	return p
}

// placeOf is what makes two routes one for the client.
func placeOf(r Route) string { return r.Host + "\x00" + r.Subdomain + "\x00" + r.Rule + "\x00" }

func (p *pairing) pairBy(static, runtime []Route, key func(Route) string) {
	free := map[string][]int{}
	for i, r := range static {
		if !p.staticTaken[i] {
			free[key(r)] = append(free[key(r)], i)
		}
	}
	for i, r := range runtime {
		k := key(r)
		if p.ofRuntime[i] >= 0 || len(free[k]) == 0 {
			continue
		}
		p.ofRuntime[i] = free[k][0]
		p.staticTaken[free[k][0]] = true
		free[k] = free[k][1:]
	}
}
