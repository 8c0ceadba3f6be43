package routes

import (
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes the project as `flask2ban routes --format json` prints it.
// Errors are the writer's.
func (p *Project) WriteJSON(w io.Writer) error {
	out := *p
	if out.Unresolved == nil {
		out.Unresolved = []Unresolved{}
	}
	out.Routes = make([]Route, len(p.Routes))
	for i, r := range p.Routes {
		if r.Defaults == nil {
			r.Defaults = map[string]any{}
		}
		out.Routes[i] = r
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(&out); err != nil {
		return fmt.Errorf("write routes as JSON: %w", err)
	}
	return nil
}

// ReadJSON reads what WriteJSON wrote. What JSON does not hold (options,
// converters) is zero.
func ReadJSON(r io.Reader) (*Project, error) {
	var p Project
	if err := json.NewDecoder(r).Decode(&p); err != nil {
		return nil, fmt.Errorf("read routes from JSON (as `flask2ban routes --format json` prints them): %w", err)
	}
	return &p, nil
}
