package config

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"
)

// Load reads the configuration: flags over environment over file over preset
// over defaults. flags may be nil, and may have flags of others; getenv is
// os.Getenv, an empty variable counting as unset. file is the configuration
// file; empty means the one that --config or FLASK2BAN_CONFIG names, if any.
//
// All that is wrong is reported at once: the error is made with errors.Join,
// from *Error where a setting is wrong.
func Load(flags *pflag.FlagSet, getenv func(string) string, file string) (*Config, error) {
	l := &loader{config: Default(), flags: flags, getenv: getenv}
	if file == "" {
		file = l.given("config", "")
	}
	r, err := open(file)
	if err != nil {
		return nil, err
	}
	l.apply(r)
	l.config.File = file
	errs := append(r.errs, l.errs...)
	if len(errs) == 0 {
		errs = conflicts(l.config)
	}
	if len(errs) > 0 {
		return nil, join(errs)
	}
	return l.config, nil
}

// Check reads the file alone, and says all that is wrong with it as Load does.
func Check(file string) error {
	_, err := Load(nil, func(string) string { return "" }, file)
	return err
}

// open reads the file; an empty name is an empty file.
func open(file string) (*reader, error) {
	if file == "" {
		return &reader{}, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parse(file, content), nil
}

// join makes one error of many, in their order.
func join(errs []*Error) error {
	all := make([]error, len(errs))
	for i, e := range errs {
		all[i] = e
	}
	return errors.Join(all...)
}

// A loader lays one layer over the other.
type loader struct {
	config *Config
	flags  *pflag.FlagSet
	getenv func(string) string
	errs   []*Error
}

// apply lays preset, file, environment and flags over the defaults.
func (l *loader) apply(r *reader) {
	l.preset(l.given("preset", r.scalar("preset")))
	for key, place := range decode(r, r.root, "", configFields(), l.config) {
		l.config.origins[key] = Origin{FromFile, place}
	}
	for _, s := range settings {
		l.outside(s)
	}
}

// preset applies the named one. An unknown name is reported by the layer that
// gave it.
func (l *loader) preset(name string) {
	for key, texts := range presets[name] {
		if s, ok := lookup(key); ok {
			l.set(s, texts, Origin{FromPreset, "preset " + name})
		}
	}
}

// outside applies what the environment and the flags say of one setting.
func (l *loader) outside(s Setting) {
	if s.FileOnly {
		return
	}
	if text := l.getenv(s.Env()); text != "" {
		l.set(s, s.bind.split(text), Origin{FromEnvironment, s.Env()})
	}
	if texts := l.flagged(s.Key); texts != nil {
		l.set(s, texts, Origin{FromFlag, s.flagPlace()})
	}
}

// set gives one setting its value.
func (l *loader) set(s Setting, texts []string, from Origin) {
	if err := s.bind.set(l.config, texts); err != nil {
		l.errs = append(l.errs, problem(from.Place, "", err))
		return
	}
	l.config.origins[s.Key] = from
}

// flagged is what was given for a flag; nil where it was not.
func (l *loader) flagged(key string) []string {
	if l.flags == nil {
		return nil
	}
	f := l.flags.Lookup(key)
	if f == nil || !f.Changed {
		return nil
	}
	if v, ok := f.Value.(*flagValue); ok {
		return v.texts
	}
	return nil
}

// given is the text of a single-valued setting before anything is applied.
func (l *loader) given(key, fromFile string) string {
	if texts := l.flagged(key); texts != nil {
		return texts[0]
	}
	s, _ := lookup(key)
	return or(l.getenv(s.Env()), fromFile, s.Default)
}

func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// configFields are the settings as keys of the file.
func configFields() []field[Config] {
	var fields []field[Config]
	for _, s := range settings {
		if s.Key != "config" { // a file that names a file
			fields = append(fields, field[Config]{s.Key, s.bind})
		}
	}
	return fields
}
