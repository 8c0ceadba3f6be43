package extract

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSpec bounds the size of an OpenAPI file.
const maxSpec = 8 << 20

// openAPI reads OpenAPI or Swagger files for a model:
// openapi(specification, directory) gives the prefix and a list of
// (rule, method, endpoint). The specification is a file's name, a dict, or an
// object that gathers several in its attribute specs.
func openAPI(in *interp, c *call) value {
	doc := map[string]any{}
	dir := c.or(1, "directory", "")
	ok := in.mergeSpecs(doc, c.or(0, "specification", none{}), dir)
	out := newSeq(listSeq)
	out.open = !ok
	for _, op := range operations(doc) {
		out.items = append(out.items, newSeq(tupleSeq, op.rule, op.method, op.endpoint))
	}
	return newSeq(tupleSeq, specPrefix(doc), out)
}

// mergeSpecs adds every document that v names, and says whether all were read.
func (in *interp) mergeSpecs(doc map[string]any, v, dir value) bool {
	all := true
	for _, a := range alternatives(v) {
		switch a := a.(type) {
		case *seq:
			for _, item := range a.items {
				all = in.mergeSpecs(doc, item, dir) && all
			}
			all = all && !a.open
		case *dict:
			mergeDoc(doc, plainDict(a, 0))
			all = all && !a.open
		case *object:
			if specs, ok := a.vars.get("specs"); ok {
				all = in.mergeSpecs(doc, specs, dir) && all
				continue
			}
			all = in.mergeSpecFile(doc, a, dir) && all
		default:
			all = in.mergeSpecFile(doc, a, dir) && all
		}
	}
	return all
}

func (in *interp) mergeSpecFile(doc map[string]any, v, dir value) bool {
	name, ok := pathString(v)
	if !ok {
		return false
	}
	given, _ := pathString(dir)
	for _, base := range []string{"", given, in.moduleDir(), filepath.Join(in.moduleDir(), given), filepath.Join(in.loader.root, given)} {
		file := name
		if !filepath.IsAbs(name) {
			file = filepath.Join(base, name)
		}
		if !filepath.IsAbs(file) || !within(in.loader.top, filepath.Clean(file)) {
			continue
		}
		if s, err := os.Stat(file); err != nil || s.Size() > maxSpec {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		read, ok := readDoc(src)
		mergeDoc(doc, read)
		return ok
	}
	return false
}

// readDoc reads YAML or JSON, as leniently as Python does: of a key met twice
// the last counts.
func readDoc(src []byte) (map[string]any, bool) {
	var n yaml.Node
	if yaml.Unmarshal(src, &n) != nil || len(n.Content) == 0 {
		return nil, false
	}
	doc, ok := plainNode(n.Content[0], 0).(map[string]any)
	return doc, ok
}

// maxNode bounds the nesting of documents.
const maxNode = 64

func plainNode(n *yaml.Node, depth int) any {
	if depth > maxNode {
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = plainNode(n.Content[i+1], depth+1)
		}
		return out
	case yaml.SequenceNode:
		var out []any
		for _, c := range n.Content {
			out = append(out, plainNode(c, depth+1))
		}
		return out
	case yaml.ScalarNode:
		var v any
		if n.Decode(&v) != nil {
			return n.Value
		}
		return v
	}
	return nil
}

// mergeDoc merges from into doc, maps key by key.
func mergeDoc(doc, from map[string]any) {
	for k, v := range from {
		have, ok := doc[k].(map[string]any)
		more, ok2 := v.(map[string]any)
		if ok && ok2 {
			mergeDoc(have, more)
			continue
		}
		doc[k] = v
	}
}

// plainDict turns a dict of the app into a document.
func plainDict(d *dict, depth int) map[string]any {
	out := map[string]any{}
	if depth > maxNode {
		return out
	}
	for _, k := range d.keys {
		name, ok := k.(string)
		if !ok {
			continue
		}
		out[name] = plainValue(d.vals[k], depth+1)
	}
	return out
}

func plainValue(v value, depth int) any {
	if depth > maxNode {
		return nil
	}
	switch v := v.(type) {
	case *dict:
		return plainDict(v, depth+1)
	case *seq:
		var out []any
		for _, item := range v.items {
			out = append(out, plainValue(item, depth+1))
		}
		return out
	case none:
		return nil
	}
	return v
}

// specPrefix is the path of Swagger 2's basePath or OpenAPI 3's first server.
func specPrefix(doc map[string]any) string {
	if s, ok := doc["basePath"].(string); ok {
		return strings.TrimRight(s, "/")
	}
	servers, _ := doc["servers"].([]any)
	if len(servers) > 0 {
		first, _ := servers[0].(map[string]any)
		if s, ok := first["url"].(string); ok {
			if u, err := url.Parse(s); err == nil {
				return strings.TrimRight(u.Path, "/")
			}
		}
	}
	return ""
}

type operation struct{ rule, method, endpoint string }

// operations lists the paths of a document as Flask rules
// (connexion/apis/flask_utils.py).
func operations(doc map[string]any) []operation {
	var out []operation
	paths, _ := doc["paths"].(map[string]any)
	for path, v := range paths {
		item, ok := v.(map[string]any)
		if !ok {
			continue
		}
		for _, m := range httpMethods {
			op, ok := item[m].(map[string]any)
			if !ok {
				continue
			}
			types := map[string]string{}
			parameterTypes(doc, item["parameters"], types)
			parameterTypes(doc, op["parameters"], types)
			out = append(out, operation{flaskPath(path, types), strings.ToUpper(m), operationName(item, op)})
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].rule != out[j].rule {
			return out[i].rule < out[j].rule
		}
		return out[i].method < out[j].method
	})
	return out
}

func operationName(item, op map[string]any) string {
	name, _ := op["operationId"].(string)
	for _, key := range []string{"x-openapi-router-controller", "x-swagger-router-controller"} {
		for _, from := range []map[string]any{op, item} {
			if c, ok := from[key].(string); ok {
				return strings.ReplaceAll(c+"."+name, ".", "_")
			}
		}
	}
	return strings.ReplaceAll(name, ".", "_")
}

// parameterTypes finds the converter of each parameter in the path.
func parameterTypes(doc map[string]any, list any, into map[string]string) {
	params, _ := list.([]any)
	for _, p := range params {
		param, ok := p.(map[string]any)
		if !ok {
			continue
		}
		if ref, ok := param["$ref"].(string); ok {
			param, _ = resolveRef(doc, ref)
		}
		name, _ := param["name"].(string)
		if param["in"] != "path" {
			continue
		}
		schema, ok := param["schema"].(map[string]any)
		if !ok {
			schema = param
		}
		if ref, ok := schema["$ref"].(string); ok {
			schema, _ = resolveRef(doc, ref)
		}
		kind, _ := schema["type"].(string)
		if schema["format"] == "path" {
			kind = "path"
		}
		into[name] = kind
	}
}

func resolveRef(doc map[string]any, ref string) (map[string]any, bool) {
	at := doc
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		next, ok := at[part].(map[string]any)
		if !ok {
			return nil, false
		}
		at = next
	}
	return at, true
}

var pathParameter = regexp.MustCompile(`\{([^}]+)\}`)

// flaskPath turns /a/{id} into /a/<int:id>.
func flaskPath(path string, types map[string]string) string {
	converters := map[string]string{"integer": "int:", "number": "float:", "path": "path:"}
	return pathParameter.ReplaceAllStringFunc(path, func(m string) string {
		name := m[1 : len(m)-1]
		return "<" + converters[types[name]] + strings.ReplaceAll(name, "-", "_") + ">"
	})
}
