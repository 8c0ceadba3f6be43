package config

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
	// verbatim says that commas separate nothing.
	verbatim() bool
}

// A field is a key of a mapping in the file.
type field[C any] struct {
	key  string
	bind binding[C]
}
