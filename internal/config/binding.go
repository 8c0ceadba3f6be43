package config

import "strings"

// A binding connects a setting, or a key of a rule, to its field of C.
type binding[C any] interface {
	// set parses texts into the field; none means the zero value.
	set(c *C, texts []string) error
	// check says what is wrong with one text.
	check(text string) error
	// texts is the inverse of set.
	texts(c *C) []string
	kind() string
	many() bool
	// split cuts a text that stands for several values into those.
	split(text string) []string
}

// A field is a key of a mapping in the file.
type field[C any] struct {
	key  string
	bind binding[C]
}

// atCommas is how most repeatable settings are split.
func atCommas(text string) []string {
	parts := strings.Split(text, ",")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}

// whole does not split: the text is one value.
func whole(text string) []string { return []string{text} }
