package extract

import (
	"os"
	"regexp"
	"sort"
	"strings"

	"github.com/flask2ban/flask2ban/routes"
)

// project runs the entry and writes down what it registered.
func (in *interp) project(e Entry) *routes.Project {
	found := in.guarded(func() value { return in.runEntry(e) })
	w := &mounted{in: in, seen: map[any]bool{}}
	if !w.find(found, "", 0) && w.find(in.ownApps(), "", 0) && e.Object != "" {
		in.open(position{file: in.loader.relative(place{file: e.File}), line: 1}, "/", "%s is no Flask app as far as can be seen; the apps that are made elsewhere are listed", e.Object)
	}
	var main *app
	if len(w.apps) == 0 {
		in.find(position{file: e.App}, "no-app", "no Flask app was found; routes on what is not known are listed")
	}
	if len(w.apps) > 0 {
		main = w.apps[0].app
	}
	in.settleProblems()
	in.guarded(func() value { in.expandAll(); in.unreached(); return nil })
	if main == nil && w.find(in.ownApps(), "", 0) {
		main = w.apps[0].app
	}
	in.expandStray(main)
	rest := main
	if rest == nil {
		rest = in.stray
	}
	in.guarded(func() value { in.expandAll(); in.expandOn(in.stray); in.expandRest(rest); return nil })
	if main == nil {
		w.apps = append(w.apps, mount{in.stray, ""})
	}
	p := &routes.Project{App: e.App, Routes: []routes.Route{}}
	for _, m := range w.apps {
		in.write(p, m)
	}
	for _, o := range w.opened {
		in.open(o.at, o.prefix, "%s", o.reason)
	}
	in.conclude(p, e, main)
	return p
}

// guarded turns a defect of the interpreter into an unresolved entry: reading an
// app must never take the proxy down.
func (in *interp) guarded(body func() value) (v value) {
	frames := len(in.frames)
	defer func() {
		if r := recover(); r != nil {
			at := in.here()
			in.frames, in.journals, in.uncertain = in.frames[:frames], nil, 0
			in.open(at, "/", "a defect of flask2ban, please report it: %v", r)
			v = unknownf("a defect")
		}
	}()
	return body()
}

// expandStray gives main what was registered on a value that is not known.
func (in *interp) expandStray(main *app) {
	if main == nil {
		main = in.stray
	}
	if main == in.stray {
		return
	}
	main.regs = append(main.regs, in.stray.regs...)
	main.rules = append(main.rules, in.stray.rules...)
	main.opened = append(main.opened, in.stray.opened...)
	in.stray.regs, in.stray.rules, in.stray.opened = nil, nil, nil
}

// write adds one app's routes below the path where it is mounted.
func (in *interp) write(p *routes.Project, m mount) {
	for _, r := range m.app.rules {
		if !strings.HasPrefix(r.text, "/") {
			in.open(r.at, m.prefix, "the rule %q does not begin with a slash", r.text)
			continue
		}
		p.Routes = append(p.Routes, in.route(m, r))
	}
	for _, o := range m.app.opened {
		if o.at.uncalled && literalPrefix(m.prefix+o.prefix) == "/" {
			in.find(o.at, "uncalled", "nothing in what was read calls this; if something does, it registers more: %s", o.reason)
			continue
		}
		in.open(o.at, m.prefix+o.prefix, "%s", o.reason)
	}
}

func (in *interp) route(m mount, r *urlRule) routes.Route {
	out := routes.Route{Rule: m.prefix + r.text, Methods: r.methods, Endpoint: r.endpoint, Host: r.host, Subdomain: r.subdomain,
		StrictSlashes: r.strict == nil || *r.strict, MergeSlashes: r.merge == nil || *r.merge, Defaults: r.defaults, Source: routes.Static,
		File: r.at.file, Line: r.at.line, WebSocket: r.webSocket, BuildOnly: r.buildOnly, Alias: r.alias, RedirectTo: r.redirectTo}
	return out
}

func (in *interp) conclude(p *routes.Project, e Entry, main *app) {
	if main == nil {
		at := position{file: in.loader.relative(place{file: e.File}), line: 1}
		reason := "no Flask app was found from here" + in.otherFramework(e.File) + "; name it as module:object"
		in.open(at, "/", "%s", reason)
		if len(p.Routes) == 0 {
			p.NoApp = at.file + ": " + reason
		}
	}
	if in.exhausted {
		in.open(position{file: in.loader.relative(place{file: e.File}), line: 1}, "/", "the app takes too many steps, or too much time, to follow")
	}
	p.Options = routes.Options{StrictSlashes: true, MergeSlashes: true, Werkzeug: in.opts.Werkzeug, Prefix: in.opts.Prefix}
	if main != nil {
		in.mapOptions(p, main)
	}
	p.Unresolved, p.Lint = narrowed(in.unresolved), in.lint
	p.Complete = len(p.Unresolved) == 0
	p.Routes = distinct(p.Routes)
	for i := range p.Routes {
		p.Routes[i].Converters = usedConverters(p.Routes[i].Rule, p.Options.Converters)
	}
}

// frameworks are what people take for Flask, or try us with.
var frameworks = regexp.MustCompile(`(?m)^[ \t]*(?:from|import)[ \t]+(django|fastapi|starlette|bottle|tornado|aiohttp|sanic|falcon|pyramid|quart|cherrypy)\b`)

// otherFramework says which one a file imports that has no Flask app.
func (in *interp) otherFramework(file string) string {
	src, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	if m := frameworks.FindSubmatch(src); m != nil {
		return " (the file imports " + string(m[1]) + ", whose routes are not read)"
	}
	return ""
}

func (in *interp) mapOptions(p *routes.Project, main *app) {
	p.Options.StrictSlashes = *in.mapFlag(main, "strict_slashes")
	p.Options.MergeSlashes = *in.mapFlag(main, "merge_slashes")
	p.Options.HostMatching = *in.mapFlag(main, "host_matching")
	p.Options.Converters = in.converters(main)
	sub, _ := main.obj.vars.get("subdomain_matching")
	p.Options.SubdomainMatching = sub != nil && in.truth(sub) == yes
	if v, ok := main.config.get("SERVER_NAME"); ok {
		p.Options.ServerName = textOf(v)
	}
}

// usedConverters are those of a rule's variables that the app defines.
func usedConverters(rule string, all map[string]routes.Converter) map[string]routes.Converter {
	var out map[string]routes.Converter
	for _, v := range variables(rule) {
		if c, ok := all[v.converter]; ok {
			if out == nil {
				out = map[string]routes.Converter{}
			}
			out[v.name] = c
		}
	}
	return out
}

type variable struct{ converter, name string }

// variables lists the <converter(args):name> of a rule.
func variables(rule string) []variable {
	var out []variable
	for {
		_, rest, ok := strings.Cut(rule, "<")
		if !ok {
			return out
		}
		body, after, ok := strings.Cut(rest, ">")
		if !ok {
			return out
		}
		rule = after
		v := variable{name: body}
		if i := strings.LastIndexByte(body, ':'); i >= 0 {
			v = variable{converter: beforeByte(body[:i], '('), name: body[i+1:]}
		}
		out = append(out, v)
	}
}

// distinct drops rules that were met twice, and sorts by nothing: the order of
// registration is kept.
func distinct(rs []routes.Route) []routes.Route {
	type key struct {
		rule, methods, endpoint, host, sub, file string
		line                                     int
		strict                                   bool
	}
	seen := map[key]bool{}
	out := rs[:0]
	for _, r := range rs {
		k := key{r.Rule, strings.Join(r.Methods, ","), r.Endpoint, r.Host, r.Subdomain, r.File, r.Line, r.StrictSlashes}
		if !seen[k] {
			seen[k] = true
			out = append(out, r)
		}
	}
	return out
}

// wholeSegments cuts the known beginning of a text at its last slash: what
// follows "/api/v" may belong to the same segment.
func wholeSegments(head string) string {
	return head[:strings.LastIndexByte(head, '/')+1]
}

// literalPrefix is what stands before the first variable, cut at a slash.
func literalPrefix(prefix string) string {
	cut := beforeByte(prefix, '<')
	if cut != prefix || !strings.HasSuffix(cut, "/") {
		whole := cut == prefix
		if i := strings.LastIndexByte(cut, '/'); !whole && i >= 0 {
			cut = cut[:i]
		}
	}
	cut = strings.TrimRight(cut, "/")
	if !strings.HasPrefix(cut, "/") {
		cut = "/" + cut
	}
	return cut
}

// narrowed drops entries that say the same.
func narrowed(us []routes.Unresolved) []routes.Unresolved {
	seen := map[routes.Unresolved]bool{}
	out := []routes.Unresolved{}
	for _, u := range us {
		if !seen[u] {
			seen[u] = true
			out = append(out, u)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		if out[i].File != out[j].File {
			return out[i].File < out[j].File
		}
		return out[i].Line < out[j].Line
	})
	return out
}
