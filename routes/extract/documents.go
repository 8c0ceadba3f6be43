package extract

import (
	"os"
	"sort"
)

// openFile is the payload of what open() gives for a file of the project.
type openFile string

// maxDocument bounds the documents that are read as settings.
const maxDocument = 1 << 20

// builtinOpen is open(): only of files in the project is anything known.
func builtinOpen(in *interp, c *call) value {
	return each(c.or(0, "file", none{}), func(v value) value {
		name, ok := in.inProject(v)
		if !ok || !isFile(name) {
			return &unknown{why: "a file that is not in the project", setting: settingOf(v)}
		}
		return &object{class: in.fileClass, vars: newScope(nil), payload: openFile(name)}
	})
}

func fileModel() *class {
	c := &class{name: "io.TextIOWrapper", vars: newScope(nil)}
	c.linear = []*class{c}
	c.vars.put("read", method(func(_ *interp, self *object, _ *call) value {
		if src, ok := readFile(self); ok {
			return string(src)
		}
		return partial("a file's text", "", "")
	}))
	return c
}

func readFile(v value) ([]byte, bool) {
	o, ok := v.(*object)
	if !ok {
		return nil, false
	}
	name, ok := o.payload.(openFile)
	if !ok {
		return nil, false
	}
	if s, err := os.Stat(string(name)); err != nil || s.Size() > maxDocument {
		return nil, false
	}
	src, err := os.ReadFile(string(name))
	return src, err == nil
}

// loadDocument is yaml.safe_load, json.load and their kin: the project's own
// settings, which a deployment may change.
func loadDocument(_ *interp, c *call) value {
	return each(c.or(0, "stream", none{}), func(v value) value {
		src, ok := readFile(v)
		if s, isText := v.(string); isText {
			src, ok = []byte(s), true
		}
		doc, read := readDoc(src)
		if !ok || !read {
			return &unknown{why: "a document that is not read", setting: settingOf(v)}
		}
		return documentValue(doc)
	})
}

func documentValue(v any) value {
	switch v := v.(type) {
	case map[string]any:
		d := newDict()
		d.settings = true
		names := make([]string, 0, len(v))
		for k := range v {
			names = append(names, k)
		}
		sort.Strings(names)
		for _, k := range names {
			d.set(k, documentValue(v[k]))
		}
		return d
	case []any:
		out := newSeq(listSeq)
		for _, item := range v {
			out.items = append(out.items, documentValue(item))
		}
		return out
	case int:
		return int64(v)
	case string, bool, float64:
		return v
	case nil:
		return none{}
	}
	return unknownf("a value of a document")
}
