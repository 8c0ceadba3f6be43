package config

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// placed is the form of every error of a file.
var placed = regexp.MustCompile(`^(f\.yaml(:\d+:\d+)?|default|preset [a-z]+): `)

// FuzzFile holds that no file makes the reader panic, that each error has one
// line with a place, and that what is valid is written as a file that gives the
// same again.
func FuzzFile(f *testing.F) {
	full, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(full)
	for _, section := range bytes.Split(full, []byte("\n  - ")) {
		f.Add(append([]byte("rules:\n  - "), section...))
	}
	for _, seed := range []string{
		"", "a", "[", "{}", "- a", "mode: observe\n---\n", "a: &x 1\nb: *x\n", "<<: *x\n", "listen: [[]]\n", "? [a]\n: b\n",
		"maxretry: !!binary aGVsbG8=\n", "%YAML 1.1\n---\nmode: enforce\n", "\xef\xbb\xbfmode: observe\n", "mode: \"\\x00\"\n",
		"weights: {a: 1, a: 2}\n", "rules: [{match: {status: 4xx}}]\n", "rules: [{name: a, action: throttle, rate: 100/m, per: route, in_flight: 2}]\n",
		"rules:\n  - {name: a, action: block, match: {peers: [192.0.2.0/24, .example.org], status: [401, 5xx]}, maxretry: 3, findtime: 1m}\n",
		"rules: [{name: a, action: ignore, match: {evidence: bad_value}, maxretry: 2}, {name: a, action: priority, class: low}]\n",
		"rules: [{name: a, action: throttle, connections: 1, match: {routes: \"/<any(a, b):x>\"}}]\n", "bantime: 9999999h\n", "x: |\n  a\n  b\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, errs := load(content)
		if len(errs) > 0 {
			for _, e := range errs {
				if line := e.Error(); !placed.MatchString(line) || strings.ContainsAny(line, "\n\r") {
					t.Fatalf("got error %q", line)
				}
			}
			return
		}
		text := effective(t, c)
		if strings.Contains(c.Store, "@") {
			return // its password is masked
		}
		again, errs := load(text)
		if len(errs) > 0 {
			t.Fatalf("%v\n%s", join(errs), text)
		}
		for i := range again.Rules {
			again.Rules[i].Place = c.Rules[i].Place
			again.Rules[i].Rate, again.Rules[i].ConnectionRate = c.Rules[i].Rate, c.Rules[i].ConnectionRate
		}
		if diff := cmp.Diff(c, again, byValue); diff != "" {
			t.Fatalf("%s\n%s", diff, text)
		}
	})
}

// load does what Load does for a file's content.
func load(content []byte) (*Config, []*Error) {
	l := &loader{config: Default(), getenv: noEnv}
	r := parse("f.yaml", content)
	l.apply(r)
	if errs := append(r.errs, l.errs...); len(errs) > 0 {
		return nil, errs
	}
	return l.config, conflicts(l.config)
}

// FuzzTexts holds that any text for any setting is refused or written so that it
// is read back.
func FuzzTexts(f *testing.F) {
	for i, s := range settings {
		f.Add(i, s.Example)
		f.Add(i, s.Default)
	}
	for _, seed := range []string{"1w2d", "1e9", "0x1", "inf", "::ffff:10.0.0.0/100", "redis://", "http://[", "4xx", ":\x00"} {
		for i := range settings {
			f.Add(i, seed)
		}
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		s := settings[uint(i)%uint(len(settings))]
		c := Default()
		if err := s.bind.set(c, s.bind.split(text)); err != nil || s.Key == "store" || s.Key == "notify" || s.Key == "rules" {
			return
		}
		again := Default()
		if err := s.bind.set(again, s.bind.texts(c)); err != nil {
			t.Fatalf("%s: %q is written as %q: %v", s.Key, text, s.bind.texts(c), err)
		}
		if diff := cmp.Diff(c, again, byValue); diff != "" {
			t.Fatalf("%s: %q\n%s", s.Key, text, diff)
		}
	})
}
