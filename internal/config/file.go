package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// A reader turns a file into values, and notes what is wrong and where.
type reader struct {
	name string
	root *yaml.Node // the top mapping; nil for an empty file
	errs []*Error
}

// parse reads a file as far as YAML goes: one document, a mapping at its top.
func parse(name string, content []byte) *reader {
	r := &reader{name: name}
	if len(content) > maxFile {
		r.errs = append(r.errs, &Error{Place: name, Problem: fmt.Sprintf("is larger than %s", Size(maxFile))})
		return r
	}
	d := yaml.NewDecoder(bytes.NewReader(content))
	var document, second yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return r
	case err != nil:
		r.errs = append(r.errs, r.syntax(err))
		return r
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		r.complain(&document, "", errors.New(`holds more than one document; remove the "---" line`))
		return r
	}
	r.top(&document)
	return r
}

func (r *reader) top(document *yaml.Node) {
	n := document
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	switch {
	case n.Kind == yaml.MappingNode:
		r.root = n
	case !isNull(n):
		r.complain(n, "", errors.New(`want "key: value" lines`))
	}
}

// position finds the line in the YAML parser's errors.
var position = regexp.MustCompile(`^yaml: (?:(?:unmarshal errors:\s*)?line (\d+): )?(?s:(.*))$`)

// syntax places the YAML parser's error; it knows the line alone.
func (r *reader) syntax(err error) *Error {
	place, text := r.name, err.Error()
	if m := position.FindStringSubmatch(text); m != nil {
		place += ":" + cmp.Or(m[1], "1") + ":1"
		text = m[2]
	}
	if strings.Contains(text, "cannot start any token") {
		text += "; indent with spaces, not tabs"
	}
	return &Error{Place: place, Problem: "not YAML: " + text}
}

// place is where a node stands, as compilers write it.
func (r *reader) place(n *yaml.Node) string {
	return r.name + ":" + strconv.Itoa(n.Line) + ":" + strconv.Itoa(n.Column)
}

func (r *reader) complain(n *yaml.Node, key string, err error) {
	r.errs = append(r.errs, problem(r.place(n), key, err))
}

// scalar is the text of a top-level key, empty where it has none.
func (r *reader) scalar(key string) string {
	if r.root == nil {
		return ""
	}
	for i := 0; i+1 < len(r.root.Content); i += 2 {
		if r.root.Content[i].Value == key {
			return r.root.Content[i+1].Value
		}
	}
	return ""
}

// A nodeBinding reads more than texts from a file.
type nodeBinding[C any] interface {
	setNode(r *reader, n *yaml.Node, key string, c *C)
}

// decode fills into from a mapping by the fields' table, and returns the place
// of each key it took. prefix goes before the keys of errors.
func decode[C any](r *reader, mapping *yaml.Node, prefix string, fields []field[C], into *C) map[string]string {
	if mapping == nil {
		return nil
	}
	places := map[string]string{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		f, ok := known(r, key, prefix, fields)
		if !ok {
			continue
		}
		if first, again := places[f.key]; again {
			r.complain(key, prefix+f.key, fmt.Errorf("is set twice; first at %s", first))
			continue
		}
		places[f.key] = r.place(key)
		assign(r, value, prefix+f.key, f.bind, into)
	}
	return places
}

// known finds a key in the table, or complains with the nearest one.
func known[C any](r *reader, key *yaml.Node, prefix string, fields []field[C]) (field[C], bool) {
	var names []string
	for _, f := range fields {
		if f.key == key.Value && key.Kind == yaml.ScalarNode {
			return f, true
		}
		names = append(names, f.key)
	}
	err := &suggestion{problem: "unknown key", nearest: Nearest(key.Value, names)}
	r.complain(key, prefix+strconvSafe(key.Value), err)
	return field[C]{}, false
}

// assign gives one field the value of a node.
func assign[C any](r *reader, n *yaml.Node, key string, bind binding[C], into *C) {
	if special, ok := bind.(nodeBinding[C]); ok {
		special.setNode(r, n, key, into)
		return
	}
	texts, ok := scalars(r, n, key, bind)
	if !ok {
		return
	}
	if err := bind.set(into, texts); err != nil {
		r.complain(n, key, err)
	}
}

// scalars are the values of a node, or of its items where a list is allowed,
// each checked and complained of at its own place.
func scalars[C any](r *reader, n *yaml.Node, key string, bind binding[C]) ([]string, bool) {
	nodes := []*yaml.Node{n}
	if bind.many() && n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	before := len(r.errs)
	var texts []string
	for _, item := range nodes {
		if err := scalarError(item, bind.many() && item == n); err != nil {
			r.complain(item, key, err)
			continue
		}
		for _, text := range bind.split(item.Value) {
			if err := bind.check(text); err != nil {
				r.complain(item, key, err)
			}
			texts = append(texts, text)
		}
	}
	return texts, len(r.errs) == before
}

// scalarError says why a node is not one value.
func scalarError(n *yaml.Node, orList bool) error {
	want := "one value"
	if orList {
		want = "a value or a list of values"
	}
	switch {
	case isNull(n):
		return errors.New("has no value; give one or remove the key")
	case n.Kind == yaml.AliasNode:
		return fmt.Errorf("is an alias (*%s); write the value itself", n.Value)
	case n.Kind == yaml.MappingNode:
		return fmt.Errorf("want %s, not a mapping", want)
	case n.Kind == yaml.SequenceNode:
		return fmt.Errorf("want %s, not a list", want)
	}
	return nil
}

func isNull(n *yaml.Node) bool {
	return n.Kind == 0 || n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// strconvSafe quotes a key that would break the line of an error.
func strconvSafe(key string) string {
	if plain.MatchString(key) {
		return key
	}
	return strconv.Quote(key)
}

// plain is text that YAML reads back as it is, without quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9._/+-]*(:[A-Za-z0-9._/+-]+)*$`)
