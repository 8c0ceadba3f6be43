package routes

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// openAPIMethods are the operations that a path item of OpenAPI 3.1 can have.
var openAPIMethods = []string{"GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"}

// The parts of an OpenAPI 3.1 document that a URL map can fill.
type (
	openAPI struct {
		OpenAPI string                    `json:"openapi"`
		Info    openAPIInfo               `json:"info"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	openAPIInfo struct {
		Title       string `json:"title"`
		Version     string `json:"version"`
		Description string `json:"description,omitempty"`
	}
	openAPIParameter struct {
		Name     string         `json:"name"`
		In       string         `json:"in"`
		Required bool           `json:"required"`
		Schema   map[string]any `json:"schema"`
	}
	openAPIOperation struct {
		OperationID string         `json:"operationId"`
		Tags        []string       `json:"tags,omitempty"`
		Responses   map[string]any `json:"responses"`
		Place       string         `json:"x-source,omitempty"`
		Host        string         `json:"x-host,omitempty"`
	}
)

// WriteOpenAPI writes the routes as an OpenAPI 3.1 document: paths, methods and
// parameters; of bodies and answers a URL map knows nothing. Rules that differ
// only in their variables share a path, as the specification demands. Errors
// are the writer's.
func (p *Project) WriteOpenAPI(w io.Writer) error {
	doc := openAPI{
		OpenAPI: "3.1.0",
		Info:    openAPIInfo{Title: p.App, Version: "0", Description: "Written by flask2ban from the app's routes."},
		Paths:   map[string]map[string]any{},
	}
	if doc.Info.Title == "" {
		doc.Info.Title = "app"
	}
	b := openAPIBuilder{compiler: ruleCompiler{p.Options, behaviourOf(p.Options)}, doc: &doc, byShape: map[string]string{}, ids: map[string]int{}}
	for i := range p.Routes {
		b.add(&p.Routes[i])
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write routes as OpenAPI: %w", err)
	}
	return nil
}

type openAPIBuilder struct {
	compiler ruleCompiler
	doc      *openAPI
	byShape  map[string]string // the path template, its names left out → with them
	ids      map[string]int
}

func (b *openAPIBuilder) add(r *Route) {
	if r.BuildOnly || r.WebSocket {
		return
	}
	compiled, err := b.compiler.compile(r, 0)
	if err != nil {
		return
	}
	path, shape := b.template(compiled)
	if known, ok := b.byShape[shape]; ok {
		path = known
	} else {
		b.byShape[shape] = path
		b.doc.Paths[path] = map[string]any{}
		if parameters := parametersOf(compiled); len(parameters) > 0 {
			b.doc.Paths[path]["parameters"] = parameters
		}
	}
	b.operations(b.doc.Paths[path], r)
}

// template writes a rule as a path template, with its names and without.
func (b *openAPIBuilder) template(r *rule) (path, shape string) {
	var named, bare strings.Builder
	named.WriteString(b.compiler.options.Prefix)
	bare.WriteString(b.compiler.options.Prefix)
	for _, e := range r.pathTrace {
		if e.variable == nil {
			literal := quoteURL(e.literal, segmentSafe)
			named.WriteString(literal)
			bare.WriteString(literal)
			continue
		}
		named.WriteString("{" + e.variable.name + "}")
		bare.WriteString("{}")
	}
	return named.String(), bare.String()
}

func parametersOf(r *rule) []openAPIParameter {
	var out []openAPIParameter
	inPath := map[*variable]bool{}
	for _, e := range r.pathTrace {
		if e.variable != nil && !inPath[e.variable] {
			inPath[e.variable] = true
			out = append(out, openAPIParameter{Name: e.variable.name, In: "path", Required: true, Schema: schemaOf(e.variable.converter)})
		}
	}
	return out
}

// schemaOf says in JSON Schema what a converter takes.
func schemaOf(c *converter) map[string]any {
	switch {
	case c.number != nil:
		return c.number.schema(c.accepts("-1") || c.accepts("-1.0"))
	case c.regex == uuidRegex:
		return map[string]any{"type": "string", "format": "uuid"}
	case len(c.items) > 0:
		return map[string]any{"type": "string", "enum": c.items}
	case !c.isolating:
		return map[string]any{"type": "string", "description": "may hold slashes"}
	case c.accepts == nil:
		return map[string]any{"type": "string", "x-python-regex": c.regex}
	}
	return map[string]any{"type": "string", "minLength": 1}
}

func (n *number) schema(signed bool) map[string]any {
	out := map[string]any{"type": "integer"}
	if n.float {
		out["type"] = "number"
	}
	if n.min != nil {
		out["minimum"] = *n.min
	} else if !signed {
		out["minimum"] = 0
	}
	if n.max != nil {
		out["maximum"] = *n.max
	}
	return out
}

// operations adds a route's methods to a path item. Methods that OpenAPI has
// no place for are listed in an extension.
func (b *openAPIBuilder) operations(item map[string]any, r *Route) {
	methods := r.Methods
	if methods == nil {
		methods = openAPIMethods
	}
	for _, m := range methods {
		key := strings.ToLower(m)
		if !slices.Contains(openAPIMethods, m) {
			other, _ := item["x-other-methods"].([]string)
			item["x-other-methods"] = append(other, m)
			continue
		}
		if _, taken := item[key]; taken {
			continue
		}
		item[key] = b.operation(r, key)
	}
}

func (b *openAPIBuilder) operation(r *Route, method string) openAPIOperation {
	op := openAPIOperation{
		OperationID: b.id(r.Endpoint + "." + method),
		Responses:   map[string]any{"default": map[string]any{"description": "whatever the view answers"}},
		Place:       placeWord(*r),
		Host:        hostWord(*r),
	}
	if blueprint, _, found := strings.Cut(r.Endpoint, "."); found {
		op.Tags = []string{blueprint}
	}
	return op
}

// id makes an operation's name unique.
func (b *openAPIBuilder) id(name string) string {
	b.ids[name]++
	if n := b.ids[name]; n > 1 {
		return b.id(fmt.Sprintf("%s.%d", name, n))
	}
	return name
}
