package extract

// overridden is the app's own add_url_rule, where its class has one: Flask calls
// it for every rule, those of blueprints and static files included.
func (in *interp) overridden(a *app) (value, bool) {
	if a.obj.class == nil {
		return nil, false
	}
	m, ok := in.attrOf(a.obj, "add_url_rule")
	if !ok {
		return nil, false
	}
	fn := m
	if b, isBound := m.(*bound); isBound {
		fn = b.fn
	}
	return m, !isNative(fn)
}

// addByApp hands a rule to the app's own add_url_rule.
func (in *interp) addByApp(fn value, r *urlRule) {
	c := &call{args: []value{r.text, r.endpoint}}
	if r.call != nil {
		c.open = r.call.open
		for _, k := range r.call.kw {
			switch k.name {
			case "rule", "endpoint", "defaults", "subdomain":
			default:
				c.kw = append(c.kw, k)
			}
		}
	}
	if len(r.defaults) > 0 {
		c.kw = append(c.kw, kwarg{"defaults", defaultsDict(r.defaults)})
	}
	if r.hasSubdomain {
		c.kw = append(c.kw, kwarg{"subdomain", r.subdomain})
	}
	in.enter(&frame{vars: newScope(nil), at: &r.at}, func() flow {
		in.callValue(fn, c)
		return flowNext
	})
}

func defaultsDict(defaults map[string]any) *dict {
	d := newDict()
	for k, v := range defaults {
		if v == nil {
			v = none{}
		}
		d.set(k, v)
	}
	return d
}
