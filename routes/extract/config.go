package extract

import (
	"path/filepath"
)

// configFrom is Config.from_object: the upper-case attributes.
func (in *interp) configFrom(d *dict, c *call) {
	v, _ := c.get(0, "obj")
	for _, o := range alternatives(v) {
		if s, ok := o.(string); ok {
			o = importString(in, &call{args: []value{s}})
		}
		for _, one := range alternatives(o) {
			in.copyUpper(d, one)
		}
	}
}

func (in *interp) copyUpper(d *dict, v value) {
	switch v := v.(type) {
	case *module:
		copyScope(in, d, v.vars, nil)
	case *class:
		in.copyClass(d, v, nil)
	case *object:
		in.copyClass(d, v.class, v)
		copyScope(in, d, v.vars, nil)
	case none:
	default:
		d.open = true
	}
}

func (in *interp) copyClass(d *dict, c *class, self *object) {
	for i := len(c.linear) - 1; i >= 0; i-- {
		copyScope(in, d, c.linear[i].vars, func(v value) value { return in.bindMethod(v, self, c) })
	}
	d.open = d.open || c.foreign
}

func copyScope(in *interp, d *dict, s *scope, bind func(value) value) {
	for _, n := range s.order {
		v, ok := s.names[n]
		if !ok || !isUpper(n) {
			continue
		}
		if bind != nil {
			v = bind(v)
		}
		in.setKey(d, n, v, true)
	}
}

// configFromFile is Config.from_pyfile, of a file in the project.
func (in *interp) configFromFile(d *dict, c *call) {
	for _, v := range alternatives(c.or(0, "filename", none{})) {
		s, ok := pathString(v)
		if !ok {
			d.open = true
			continue
		}
		if !in.readConfig(d, s) {
			d.open = true
		}
	}
}

func (in *interp) readConfig(d *dict, name string) bool {
	for _, dir := range []string{in.moduleDir(), filepath.Join(filepath.Dir(in.moduleDir()), "instance"), in.loader.root} {
		file := name
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, name)
		}
		if !within(in.loader.top, file) || !isFile(file) {
			continue
		}
		m := in.load(place{file: file}, "config")
		copyScope(in, d, m.vars, nil)
		return true
	}
	return false
}
