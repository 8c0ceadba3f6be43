package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WriteEffective writes the configuration in force as a file that gives it
// again, each setting with where its value came from. Passwords are masked.
func (c *Config) WriteEffective(w io.Writer) error {
	var b bytes.Buffer
	for i, group := range Groups() {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s\n", group)
		for _, s := range settings {
			if s.Group == group {
				c.writeSetting(&b, s)
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (c *Config) writeSetting(b *bytes.Buffer, s Setting) {
	texts := s.bind.texts(c)
	if len(texts) == 0 || s.Key == "config" {
		fmt.Fprintln(b, strings.TrimSpace("# "+s.Key+": "+strings.Join(texts, "")))
		return
	}
	if s.Key == "rules" {
		fmt.Fprintf(b, "rules:  # %s\n", c.Origin(s.Key).Place)
		for _, rule := range texts {
			fmt.Fprintf(b, "  - %s\n", rule)
		}
		return
	}
	fmt.Fprintf(b, "%s: %s  # %s\n", s.Key, yamlOf(s.bind, texts), c.Origin(s.Key).Place)
}

// yamlOf writes a binding's texts on one line of YAML.
func yamlOf[C any](bind binding[C], texts []string) string {
	switch bind.kind() {
	case weights{}.kind():
		return "{" + strings.ReplaceAll(strings.Join(texts, ", "), "=", ": ") + "}"
	case matches{}.kind():
		return texts[0]
	}
	if !bind.many() {
		return scalarText(texts[0])
	}
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = scalarText(t)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// flow writes v as a YAML mapping on one line.
func flow[C any](v *C, fields []field[C]) string {
	var parts []string
	for _, f := range fields {
		texts := f.bind.texts(v)
		if len(texts) > 0 && !isUnset(f.bind, texts[0]) {
			parts = append(parts, f.key+": "+yamlOf(f.bind, texts))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// isUnset says whether a text is that of the zero value, which a rule's keys
// can't be set to.
func isUnset[C any](bind binding[C], text string) bool {
	var zero C
	texts := bind.texts(&zero)
	return len(texts) > 0 && texts[0] == text && !bind.many()
}

// scalarText writes s so that YAML reads it back as the same text: as it is
// where that is certain, else as JSON, which is YAML.
func scalarText(s string) string {
	var n yaml.Node
	if plain.MatchString(s) && yaml.Unmarshal([]byte(s), &n) == nil && len(n.Content) == 1 && !isNull(n.Content[0]) {
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // routes read better with < and >
	_ = e.Encode(s)        // a string can't fail
	return strings.TrimSpace(b.String())
}
