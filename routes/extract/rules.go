package extract

import (
	"sort"
	"strings"
)

// urlRule is one rule before its blueprint's prefix is put before it.
type urlRule struct {
	text     string
	methods  []string // nil: every method
	endpoint string
	at       position

	subdomain, host      string
	hasSubdomain         bool
	defaults             map[string]any
	strict, merge        *bool
	webSocket, buildOnly bool
	alias                bool
	redirectTo           string
	call                 *call // its options as they were given
}

// allMethods stand for methods that are not known.
var allMethods = []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

// scaffoldClass models what Flask and Blueprint share.
func (in *interp) scaffoldClass(name string) *class {
	c := &class{name: name, vars: newScope(nil)}
	c.linear = []*class{c}
	c.vars.put("route", method(route))
	for _, m := range []string{"get", "post", "put", "delete", "patch"} {
		verb := strings.ToUpper(m)
		c.vars.put(m, method(func(in *interp, self *object, c *call) value {
			return in.callSelf(self, "route", withMethods(c, verb))
		}))
	}
	c.vars.put("add_url_rule", method(addURLRule))
	c.vars.put("static_url_path", none{})
	return c
}

func withMethods(c *call, verb string) *call {
	kw := append([]kwarg{{"methods", newSeq(listSeq, verb)}}, c.kw...)
	return &call{args: c.args, kw: kw, open: c.open}
}

// callSelf calls a method that a subclass may override.
func (in *interp) callSelf(self *object, name string, c *call) value {
	m, ok := in.attrOf(self, name)
	if !ok {
		return unknownf("no method " + name)
	}
	return in.callValue(m, c)
}

// route is Scaffold.route: a decorator.
func route(in *interp, self *object, c *call) value {
	rule := c.or(0, "rule", partial("a rule that is not known", "", ""))
	return &native{name: "route", call: func(in *interp, d *call) value {
		f, _ := d.get(0, "f")
		endpoint, rest := none{}, &call{open: c.open}
		var ep value = endpoint
		for _, k := range c.kw {
			switch k.name {
			case "rule":
			case "endpoint":
				ep = k.v
			default:
				rest.kw = append(rest.kw, k)
			}
		}
		rest.args = []value{rule, ep, f}
		in.callSelf(self, "add_url_rule", rest)
		return f
	}}
}

// addURLRule is Flask.add_url_rule and Blueprint.add_url_rule.
func addURLRule(in *interp, self *object, c *call) value {
	t := in.targetOf(self)
	if t == nil {
		return none{}
	}
	names := []string{"rule", "endpoint", "view_func", "provide_automatic_options"}
	options := &call{open: c.open}
	for i, a := range c.args {
		if i < len(names) {
			options.kw = append(options.kw, kwarg{names[i], a})
		}
	}
	options.kw = append(options.kw, c.kw...)
	rule, ok := options.get(-1, "rule")
	if !ok {
		rule = partial("a rule that is not known", "", "")
	}
	if a, isApp := t.(*app); isApp {
		if custom, ok := in.customRule(a, rule, options); ok {
			rule = custom
		}
	}
	in.addRuleCall(t, rule, options)
	return none{}
}

// addRuleCall adds a rule whose text is rule, with add_url_rule's options.
func (in *interp) addRuleCall(t target, rule value, options *call) {
	at := in.here()
	base := in.readOptions(options)
	base.at = at
	for _, text := range known(rule) {
		switch text := text.(type) {
		case string:
			r := *base
			r.text = text
			t.addRule(in, &r)
		case *unknown:
			if text.setting != "" && in.softly > 0 {
				in.find(at, "setting", "%s adds a route where it is set", text.setting)
				continue
			}
			t.addOpening(opening{at, wholeSegments(text.head), "a rule that is not known: " + text.why})
		case none:
		default:
			t.addOpening(opening{at, "", "a rule that is not known"})
		}
	}
}

// readOptions is what add_url_rule makes of its arguments (flask/app.py).
func (in *interp) readOptions(c *call) *urlRule {
	view, _ := c.get(-1, "view_func")
	r := &urlRule{defaults: map[string]any{}, call: c}
	r.endpoint = in.endpointOf(c.or(-1, "endpoint", none{}), view)
	r.methods = in.methodsOf(c, view)
	r.strict, r.merge = in.flagOf(c, "strict_slashes", false), in.flagOf(c, "merge_slashes", true)
	r.host = textOf(c.or(-1, "host", none{}))
	if v, ok := c.get(-1, "subdomain"); ok && !isNone(v) {
		r.subdomain, r.hasSubdomain = textOf(v), true
	}
	if d, ok := c.or(-1, "defaults", none{}).(*dict); ok {
		addDefaults(r.defaults, d)
	}
	r.webSocket = in.truth(c.or(-1, "websocket", false)) == yes
	r.buildOnly = in.truth(c.or(-1, "build_only", false)) == yes
	r.alias = in.truth(c.or(-1, "alias", false)) == yes
	if v, ok := c.get(-1, "redirect_to"); ok && !isNone(v) {
		r.redirectTo = "(callable)"
		if s, ok := v.(string); ok {
			r.redirectTo = s
		}
	}
	return r
}

func addDefaults(into map[string]any, d *dict) {
	for _, k := range d.keys {
		name, ok := k.(string)
		if !ok {
			continue
		}
		switch v := known(d.vals[k])[0].(type) {
		case string, int64, bool, float64:
			into[name] = v
		default:
			into[name] = nil
		}
	}
}

// flagOf is an option that may be None; where a branch decides, the value that
// permits more.
func (in *interp) flagOf(c *call, name string, wider bool) *bool {
	v, ok := c.get(-1, name)
	if !ok || isNone(v) {
		return nil
	}
	b := wider
	switch in.truth(v) {
	case yes:
		b = true
	case no:
		b = false
	}
	return &b
}

func textOf(v value) string {
	for _, a := range known(v) {
		if s, ok := a.(string); ok {
			return s
		}
	}
	return ""
}

// endpointOf is flask's _endpoint_from_view_func where none is given.
func (in *interp) endpointOf(endpoint, view value) string {
	if s := textOf(endpoint); s != "" {
		return s
	}
	for _, v := range alternatives(view) {
		if v == nil {
			continue
		}
		if name, ok := in.attrOf(v, "__name__"); ok {
			return textOf(name)
		}
		if n, ok := v.(*native); ok {
			return n.name
		}
	}
	return ""
}

// methodsOf is how Flask computes the methods of a rule.
func (in *interp) methodsOf(c *call, view value) []string {
	set := map[string]bool{}
	given, ok := c.get(-1, "methods")
	if c.open && !ok {
		return allMethods
	}
	if ok && !isNone(given) {
		if !in.addMethods(set, given) {
			return allMethods
		}
	} else if !in.viewMethods(set, view) {
		return allMethods
	}
	automatic := c.or(-1, "provide_automatic_options", none{})
	for _, v := range alternatives(view) {
		if required, ok := in.viewAttr(v, "required_methods"); ok {
			in.addMethods(set, required)
		}
		if own, ok := in.viewAttr(v, "provide_automatic_options"); ok && isNone(automatic) {
			automatic = own
		}
	}
	return finishMethods(set, isNone(automatic) || in.truth(automatic) != no)
}

func finishMethods(set map[string]bool, options bool) []string {
	if options {
		set["OPTIONS"] = true
	}
	if set["GET"] {
		set["HEAD"] = true
	}
	out := make([]string, 0, len(set))
	for m := range set {
		out = append(out, m)
	}
	sort.Strings(out)
	return out
}

func (in *interp) viewAttr(view value, name string) (value, bool) {
	if view == nil {
		return nil, false
	}
	v, ok := in.attrOf(view, name)
	if !ok || isNone(v) {
		return nil, false
	}
	return v, true
}

// addMethods adds the methods of a list; false where they are not known.
func (in *interp) addMethods(set map[string]bool, list value) bool {
	items, open := in.iterate(list)
	if s, ok := list.(string); ok {
		items = []value{s}
	}
	for _, item := range items {
		for _, a := range known(item) {
			s, ok := a.(string)
			if !ok {
				if o, isObject := a.(*object); isObject {
					s, ok = textAttr(o, "value")
				}
			}
			if !ok {
				return false
			}
			set[strings.ToUpper(s)] = true
		}
	}
	return !open
}

func textAttr(o *object, name string) (string, bool) {
	v, _ := o.vars.get(name)
	s, ok := v.(string)
	return s, ok
}

// viewMethods are the methods that the view itself names, GET where it names
// none; false where the view is not known.
func (in *interp) viewMethods(set map[string]bool, view value) bool {
	for _, v := range alternatives(view) {
		if hidesMethods(v) {
			return false
		}
		own, ok := in.viewAttr(v, "methods")
		if !ok {
			set["GET"] = true
			continue
		}
		if !in.addMethods(set, own) {
			return false
		}
	}
	if len(set) == 0 {
		set["GET"] = true
	}
	return true
}

// hidesMethods says that v may be a view with methods of its own.
func hidesMethods(v value) bool {
	switch v := v.(type) {
	case *unknown:
		return true
	case *external:
		return !strings.HasPrefix(v.path, "flask.") && !strings.HasPrefix(v.path, "werkzeug.")
	}
	return false
}
