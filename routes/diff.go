package routes

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ProjectDiff is what one version of an app offers and another does not. The
// methods of each route are only those that differ; nil means all.
type ProjectDiff struct {
	Added   []Route `json:"added"`
	Removed []Route `json:"removed"`
}

// DiffProjects says what a deploy of new over old adds and removes for clients.
// Renamed endpoints and moved lines are no difference.
func DiffProjects(old, new *Project) ProjectDiff {
	return ProjectDiff{Added: missing(new, old), Removed: missing(old, new)}
}

// missing returns what p offers and other does not, ordered by rule.
func missing(p, other *Project) []Route {
	has := map[string]*offer{}
	for _, r := range other.Routes {
		if !r.BuildOnly {
			offerOf(has, r).add(r.Methods)
		}
	}
	found := map[string]*offer{}
	out := []Route{}
	for _, r := range p.Routes {
		if r.BuildOnly {
			continue
		}
		lacking, any := offerOf(has, r).lacks(r.Methods)
		if !any {
			continue
		}
		lacking, any = offerOf(found, r).lacks(lacking)
		if any {
			offerOf(found, r).add(lacking)
			r.Methods = lacking
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Route) int { return cmp.Compare(placeOf(a), placeOf(b)) })
	return out
}

// offer are the methods known of one place.
type offer struct {
	all     bool
	methods map[string]bool
}

func offerOf(offers map[string]*offer, r Route) *offer {
	o := offers[placeOf(r)]
	if o == nil {
		o = &offer{methods: map[string]bool{}}
		offers[placeOf(r)] = o
	}
	return o
}

func (o *offer) add(methods []string) {
	o.all = o.all || methods == nil
	for _, m := range methods {
		o.methods[m] = true
	}
}

// lacks returns which of the methods are not offered, and whether any is not.
func (o *offer) lacks(methods []string) ([]string, bool) {
	if o.all {
		return nil, false
	}
	if methods == nil {
		return nil, true
	}
	var out []string
	for _, m := range methods {
		if !o.methods[m] {
			out = append(out, m)
		}
	}
	return out, len(out) > 0
}

// WriteTo writes the difference for people, one route a line. Errors are the
// writer's.
func (d ProjectDiff) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	for _, r := range d.Removed {
		fmt.Fprintf(&b, "- %s\n", describe(r))
	}
	for _, r := range d.Added {
		fmt.Fprintf(&b, "+ %s\n", describe(r))
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// describe names a route for people: methods, host, rule, place.
func describe(r Route) string {
	text := methodWords(r.Methods) + " " + hostWord(r) + r.Rule
	if place := placeWord(r); place != "" {
		text += " (" + place + ")"
	}
	return text
}

func hostWord(r Route) string {
	switch {
	case r.Host != "":
		return r.Host
	case r.Subdomain != "":
		return r.Subdomain + ".*"
	}
	return ""
}

// placeWord is file:line, empty where no source line registers the route.
func placeWord(r Route) string {
	if r.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", r.File, r.Line)
}

// methodWords names methods as people think of them: HEAD goes with GET, and
// OPTIONS with everything in Flask.
func methodWords(methods []string) string {
	if methods == nil {
		return "any"
	}
	var out []string
	for _, m := range methods {
		implied := m == "OPTIONS" || m == "HEAD" && slices.Contains(methods, "GET")
		if !implied {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		out = methods
	}
	return strings.Join(out, ",")
}
