package extract

import "strings"

// mount is an application below a path.
type mount struct {
	app    *app
	prefix string
}

// dispatcher is the payload of a werkzeug DispatcherMiddleware.
type dispatcher struct {
	call *call
	at   position
}

func dispatcherModel() *class {
	c := &class{name: "werkzeug.middleware.dispatcher.DispatcherMiddleware", vars: newScope(nil)}
	c.linear = []*class{c}
	c.vars.put("__init__", method(func(in *interp, self *object, c *call) value {
		self.payload = &dispatcher{c, in.here()}
		return none{}
	}))
	return c
}

// mounted collects the apps behind a WSGI application.
type mounted struct {
	in     *interp
	apps   []mount
	opened []opening
	seen   map[any]bool
}

// maxUnwrap bounds the middlewares around an app.
const maxUnwrap = 12

// find looks for apps in a WSGI application, below prefix, and says whether
// there was one.
func (m *mounted) find(v value, prefix string, depth int) bool {
	if depth > maxUnwrap {
		return false
	}
	found := false
	for _, a := range alternatives(v) {
		if m.findOne(a, prefix, depth) {
			found = true
		}
	}
	return found
}

func (m *mounted) findOne(v value, prefix string, depth int) bool {
	switch v := v.(type) {
	case *object:
		return m.findObject(v, prefix, depth)
	case *bound:
		return m.find(v.self, prefix, depth+1)
	case *external:
		return m.findExternal(v, prefix, depth)
	}
	return false
}

func (m *mounted) findExternal(e *external, prefix string, depth int) bool {
	for x := e; x != nil; x = x.parent {
		if x.call == nil {
			continue
		}
		for _, a := range x.call.all() {
			if m.find(a, prefix, depth+1) {
				return true
			}
		}
	}
	return false
}

func (m *mounted) findObject(o *object, prefix string, depth int) bool {
	if a := m.in.appOf(o); a != nil {
		m.addApp(a, prefix, depth)
		return true
	}
	if d, ok := o.payload.(*dispatcher); ok {
		return m.dispatch(d, prefix, depth)
	}
	if m.seen[o] {
		return false
	}
	m.seen[o] = true
	for _, name := range o.vars.order {
		if v, ok := o.vars.get(name); ok && m.find(v, prefix, depth+1) {
			return true
		}
	}
	return false
}

func (m *mounted) addApp(a *app, prefix string, depth int) {
	key := mount{a, prefix}
	if m.seen[key] {
		return
	}
	m.seen[key] = true
	m.apps = append(m.apps, key)
	if m.seen[a] {
		return
	}
	m.seen[a] = true
	if w, ok := a.obj.vars.get("wsgi_app"); ok {
		m.find(w, prefix, depth+1)
	}
}

func (m *mounted) dispatch(d *dispatcher, prefix string, depth int) bool {
	found := m.find(d.call.or(0, "app", none{}), prefix, depth+1)
	mounts, ok := d.call.get(1, "mounts")
	if !ok {
		return found
	}
	for _, v := range alternatives(mounts) {
		t, ok := v.(*dict)
		if !ok {
			m.opened = append(m.opened, opening{at: d.at, prefix: prefix, reason: "applications that are not known are mounted"})
			continue
		}
		for _, k := range t.keys {
			if m.mountAt(d, k, t.vals[k], prefix, depth) {
				found = true
			}
		}
		if m.loose(d, t) {
			m.opened = append(m.opened, opening{at: d.at, prefix: prefix, reason: "applications that are not known are mounted"})
		}
	}
	return found
}

// loose says that a table of mounts has more than the apps met already.
func (m *mounted) loose(d *dispatcher, t *dict) bool {
	if len(t.loose) == 0 {
		return t.open
	}
	for _, v := range t.loose {
		if !m.again(v) {
			return true
		}
	}
	m.in.find(d.at, "mount", "the app is mounted once more, at a path that a setting decides")
	return false
}

// again says that v is nothing but apps met before.
func (m *mounted) again(v value) bool {
	o, ok := v.(*object)
	if !ok {
		return false
	}
	a, ok := o.payload.(*app)
	return ok && m.seen[a]
}

func (m *mounted) mountAt(d *dispatcher, key, v value, prefix string, depth int) bool {
	path, ok := key.(string)
	path = strings.TrimRight(path, "/")
	if ok && path == "" {
		// Werkzeug looks below "/" only for the root itself.
		return false
	}
	if ok && m.find(v, prefix+path, depth+1) {
		return true
	}
	m.opened = append(m.opened, opening{at: d.at, prefix: prefix + path, reason: "another WSGI application is mounted here"})
	return false
}
