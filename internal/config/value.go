package config

import "errors"

// A codec turns one kind of value from and into text.
type codec[T any] struct {
	name  string
	parse func(string) (T, error)
	text  func(T) string
	// split cuts a text into the values of a repeatable setting; nil means
	// at commas.
	split func(string) []string
}

// one binds a setting with a single value.
func one[C, T any](c codec[T], field func(*C) *T) binding[C] { return single[C, T]{c, field} }

// several binds a repeatable setting.
func several[C, T any](c codec[T], field func(*C) *[]T) binding[C] { return multiple[C, T]{c, field} }

type single[C, T any] struct {
	codec codec[T]
	field func(*C) *T
}

func (b single[C, T]) kind() string            { return b.codec.name }
func (b single[C, T]) many() bool              { return false }
func (b single[C, T]) split(s string) []string { return whole(s) }

func (b single[C, T]) check(s string) error {
	_, err := b.codec.parse(s)
	return err
}

func (b single[C, T]) set(c *C, texts []string) error {
	var v T
	switch len(texts) {
	case 0:
	case 1:
		var err error
		if v, err = b.codec.parse(texts[0]); err != nil {
			return err
		}
	default:
		return errors.New("given more than once, and takes one value")
	}
	*b.field(c) = v
	return nil
}

func (b single[C, T]) texts(c *C) []string {
	if t := b.codec.text(*b.field(c)); t != "" {
		return []string{t}
	}
	return nil
}

type multiple[C, T any] struct {
	codec codec[T]
	field func(*C) *[]T
}

func (b multiple[C, T]) kind() string { return b.codec.name }
func (b multiple[C, T]) many() bool   { return true }

func (b multiple[C, T]) split(s string) []string {
	if b.codec.split != nil {
		return b.codec.split(s)
	}
	return atCommas(s)
}

func (b multiple[C, T]) check(s string) error {
	_, err := b.codec.parse(s)
	return err
}

func (b multiple[C, T]) set(c *C, texts []string) error {
	var values []T
	for _, t := range texts {
		v, err := b.codec.parse(t)
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	*b.field(c) = values
	return nil
}

func (b multiple[C, T]) texts(c *C) []string {
	var texts []string
	for _, v := range *b.field(c) {
		texts = append(texts, b.codec.text(v))
	}
	return texts
}
