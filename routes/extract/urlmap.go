package extract

import (
	"strings"

	"github.com/flask2ban/flask2ban/routes"
)

// newURLMap is app.url_map: its options are its attributes.
func (in *interp) newURLMap(a *app) *object {
	o := &object{class: in.mapClass, vars: newScope(nil), payload: a}
	o.vars.put("strict_slashes", true)
	o.vars.put("merge_slashes", true)
	o.vars.put("host_matching", false)
	o.vars.put("converters", newDict())
	return o
}

func (in *interp) urlMapModel() *class {
	c := &class{name: "werkzeug.routing.Map", vars: newScope(nil)}
	c.linear = []*class{c}
	c.vars.put("add", method(mapAdd))
	c.vars.put("iter_rules", method(func(*interp, *object, *call) value { return &seq{} }))
	return c
}

// mapFlag is a setting of the map as it stands now: Werkzeug binds it to a rule
// when the rule is added.
func (in *interp) mapFlag(a *app, name string) *bool {
	v, _ := a.urlMap.vars.get(name)
	b := name == "merge_slashes"
	switch in.truth(v) {
	case yes:
		b = true
	case no:
		b = false
	}
	return &b
}

// settle gives a rule the map's settings where it has none of its own.
func (in *interp) settle(a *app, r *urlRule) {
	if r.strict == nil {
		r.strict = in.mapFlag(a, "strict_slashes")
	}
	if r.merge == nil {
		r.merge = in.mapFlag(a, "merge_slashes")
	}
}

// mapAdd is url_map.add(rule or factory).
func mapAdd(in *interp, self *object, c *call) value {
	a, ok := self.payload.(*app)
	if !ok {
		return none{}
	}
	for _, v := range c.args {
		in.addFactory(a, v, ruleContext{})
	}
	return none{}
}

// ruleContext is what enclosing rule factories add.
type ruleContext struct{ path, subdomain, endpoint string }

// ruleSpec is a werkzeug Rule, or a factory of several.
type ruleSpec struct {
	kind string // "Rule", "Submount", "Subdomain", "EndpointPrefix"
	call *call
}

func (in *interp) addFactory(a *app, v value, ctx ruleContext) {
	for _, alt := range alternatives(v) {
		o, ok := alt.(*object)
		if !ok {
			a.addOpening(opening{in.here(), ctx.path, "a rule that is not known is added to the url_map"})
			continue
		}
		spec, ok := o.payload.(*ruleSpec)
		switch {
		case ok && spec.kind == "Rule":
			in.addSpec(a, spec.call, ctx)
		case ok:
			in.addFactories(a, spec, ctx)
		default:
			a.addOpening(opening{in.here(), ctx.path, "a rule that is not known is added to the url_map"})
		}
	}
}

func (in *interp) addFactories(a *app, spec *ruleSpec, ctx ruleContext) {
	arg := textOf(spec.call.or(0, "", none{}))
	switch spec.kind {
	case "Submount":
		ctx.path += strings.TrimRight(arg, "/")
	case "Subdomain":
		ctx.subdomain = arg
	case "EndpointPrefix":
		ctx.endpoint += arg
	}
	items, open := in.iterate(spec.call.or(1, "rules", none{}))
	for _, item := range items {
		in.addFactory(a, item, ctx)
	}
	if open {
		a.addOpening(opening{in.here(), ctx.path, "rules that are not known are added to the url_map"})
	}
}

// addSpec adds a Rule with Werkzeug's own defaults: every method unless named.
func (in *interp) addSpec(a *app, c *call, ctx ruleContext) {
	names := []string{"string", "defaults", "subdomain", "methods", "build_only", "endpoint", "strict_slashes", "merge_slashes", "redirect_to", "alias", "host", "websocket"}
	options := &call{open: c.open}
	for i, v := range c.args {
		if i < len(names) {
			options.kw = append(options.kw, kwarg{names[i], v})
		}
	}
	options.kw = append(options.kw, c.kw...)
	r := in.readOptions(options)
	r.methods, r.at = nil, in.here()
	if m, ok := options.get(-1, "methods"); ok && !isNone(m) {
		set := map[string]bool{}
		r.methods = allMethods
		if in.addMethods(set, m) {
			r.methods = finishMethods(set, false)
		}
	}
	if ctx.subdomain != "" && !r.hasSubdomain {
		r.subdomain, r.hasSubdomain = ctx.subdomain, true
	}
	r.endpoint = ctx.endpoint + r.endpoint
	for _, text := range known(options.or(-1, "string", none{})) {
		if s, ok := text.(string); ok {
			one := *r
			one.text = ctx.path + s
			a.addRule(in, &one)
			continue
		}
		a.addOpening(opening{r.at, ctx.path, "a rule that is not known is added to the url_map"})
	}
}

// ruleModel is a class whose objects keep their arguments.
func ruleModel(kind string) *class {
	c := &class{name: "werkzeug.routing." + kind, vars: newScope(nil)}
	c.linear = []*class{c}
	c.vars.put("__init__", method(func(in *interp, self *object, c *call) value {
		self.payload = &ruleSpec{kind: kind, call: c}
		return none{}
	}))
	return c
}

// customRule is what a Rule class of the project's own makes of a rule
// (app.url_rule_class).
func (in *interp) customRule(a *app, rule value, options *call) (value, bool) {
	v, ok := in.attrOf(a.obj, "url_rule_class")
	cls, isClass := v.(*class)
	if !ok || !isClass || cls.module == nil {
		return nil, false
	}
	c := &call{args: []value{rule}, open: options.open}
	for _, k := range options.kw {
		if k.name != "rule" && k.name != "view_func" && k.name != "provide_automatic_options" {
			c.kw = append(c.kw, k)
		}
	}
	o, ok := in.instantiate(cls, c).(*object)
	if !ok {
		return nil, false
	}
	spec, ok := o.payload.(*ruleSpec)
	if !ok {
		return partial("a rule that "+cls.name+" makes", "", ""), true
	}
	if s, ok := spec.call.get(0, "string"); ok {
		return s, true
	}
	return nil, false
}

// baseConverter models werkzeug.routing.BaseConverter and its kin.
func converterModel(name, regex string, weight int, isolating bool) *class {
	c := &class{name: "werkzeug.routing." + name, vars: newScope(nil)}
	c.linear = []*class{c}
	c.vars.put("regex", regex)
	c.vars.put("weight", int64(weight))
	c.vars.put("part_isolating", isolating)
	c.vars.put("__init__", method(func(_ *interp, self *object, c *call) value {
		self.vars.put("map", c.or(0, "map", none{}))
		return none{}
	}))
	return c
}

// converters reads app.url_map.converters.
func (in *interp) converters(a *app) map[string]routes.Converter {
	out := map[string]routes.Converter{}
	d, ok := a.urlMap.vars.names["converters"].(*dict)
	if !ok {
		return out
	}
	for _, k := range d.keys {
		if name, ok := k.(string); ok {
			out[name] = in.converter(d.vals[k])
		}
	}
	return out
}

// argument stands for the first positional argument of a converter in a rule.
const argument = "\x00argument\x00"

// converter reads a converter class: its regex as the class has it, or as its
// constructor sets it from the arguments in the rule.
func (in *interp) converter(v value) routes.Converter {
	cls, ok := v.(*class)
	if !ok {
		return routes.Converter{Weight: 100}
	}
	o := &object{class: cls, vars: newScope(nil)}
	in.callMethodWith(o, "__init__", &call{args: []value{unknownf("the map"), argument}})
	c := routes.Converter{Weight: 100}
	regex, _ := in.attrOf(o, "regex")
	switch s := regex.(type) {
	case string:
		if s == argument {
			c.RegexFromArg = true
		} else if !strings.Contains(s, argument) {
			c.Regex = s
		}
	}
	if w, ok := in.attrOf(o, "weight"); ok {
		if n, ok := w.(int64); ok {
			c.Weight = int(n)
		}
	}
	c.PartIsolating = in.isolating(cls, c.Regex)
	return c
}

// isolating is part_isolating as Werkzeug 2.2's __init_subclass__ derives it.
func (in *interp) isolating(cls *class, regex string) bool {
	for _, k := range cls.linear {
		if v, ok := k.vars.get("part_isolating"); ok {
			return in.truth(v) == yes
		}
		if _, ok := k.vars.get("regex"); ok {
			return regex != "" && !strings.Contains(regex, "/")
		}
	}
	return regex != "" && !strings.Contains(regex, "/")
}
