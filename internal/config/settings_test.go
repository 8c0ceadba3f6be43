package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestTable holds what everything that follows from the table relies on.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	last := 0
	for _, s := range Settings() {
		if seen[s.Key] || s.Key == "" || s.Key != strings.ToLower(s.Key) || strings.Contains(s.Key, "_") {
			t.Errorf("key %q: want a new one in lower case with dashes", s.Key)
		}
		seen[s.Key] = true
		at := slices.Index(Groups(), s.Group)
		if at < last {
			t.Errorf("%s: group %q is unknown or out of order", s.Key, s.Group)
		}
		last = at
		if s.Usage == "" || strings.HasSuffix(s.Usage, ".") || len(s.Usage) > 130 {
			t.Errorf("%s: usage %q: want one line without a full stop", s.Key, s.Usage)
		}
		if s.Type() == "" || s.Example == "" {
			t.Errorf("%s: lacks a type or an example", s.Key)
		}
	}
	if _, ok := lookup("nonsense"); ok {
		t.Error("found a setting that is none")
	}
}

func TestTableNames(t *testing.T) {
	s, _ := lookup("trusted-proxy")
	if s.Flag() != "--trusted-proxy" || s.Env() != "FLASK2BAN_TRUSTED_PROXY" || !s.Repeatable() || s.Type() != "cidr" {
		t.Errorf("got %s, %s, %t, %s", s.Flag(), s.Env(), s.Repeatable(), s.Type())
	}
	s, _ = lookup("rules")
	if s.Flag() != "" || s.Env() != "" {
		t.Errorf("got %q and %q for a setting of the file only", s.Flag(), s.Env())
	}
}

// Settings gives a copy: the table can't be changed through it.
func TestTableIsACopy(t *testing.T) {
	Settings()[0].Key = "changed"
	if _, ok := lookup("changed"); ok {
		t.Error("the table was changed")
	}
}

func TestDefaultsAreValid(t *testing.T) {
	for _, s := range Settings() {
		c := &Config{}
		if err := s.bind.set(c, s.defaults()); err != nil {
			t.Errorf("%s: default %q: %v", s.Key, s.Default, err)
		}
		if got := strings.Join(s.Text(c), ","); s.Default != "" && got != s.Default {
			t.Errorf("%s: default %q is written as %q", s.Key, s.Default, got)
		}
		if s.Values != nil && !slices.Contains(s.Values, s.Default) {
			t.Errorf("%s: default %q is none of %v", s.Key, s.Default, s.Values)
		}
	}
}

func TestExamplesAreValid(t *testing.T) {
	for _, s := range Settings() {
		r := parse("example", []byte(s.Key+": "+yamlExample(s)+"\n"))
		if s.Key == "config" {
			continue
		}
		c := Default()
		decode(r, r.root, "", configFields(), c)
		if err := join(r.errs); err != nil {
			t.Errorf("%s: example %q: %v", s.Key, s.Example, err)
		}
		if !s.FileOnly && cmp.Equal(s.Text(c), s.Text(Default()), cmpopts.EquateEmpty()) {
			t.Errorf("%s: example %q is the default", s.Key, s.Example)
		}
	}
}

// yamlExample is the example as a file has it.
func yamlExample(s Setting) string {
	if strings.ContainsAny(s.Example, "{[") {
		return s.Example
	}
	return scalarText(s.Example)
}

// Values are what the setting takes, no more and no less.
func TestValuesAreTaken(t *testing.T) {
	for _, s := range Settings() {
		if s.Values == nil {
			if strings.Contains(s.Type(), "|") && s.Key != "store" && s.Key != "notify-on" {
				t.Errorf("%s: a choice without values", s.Key)
			}
			continue
		}
		for _, v := range s.Values {
			c := &Config{}
			if err := s.bind.set(c, []string{v}); err != nil || !cmp.Equal(s.Text(c), []string{v}) {
				t.Errorf("%s: %s: got %v, %v", s.Key, v, s.Text(c), err)
			}
		}
		if got := strings.Join(s.Values, "|"); got != s.Type() {
			t.Errorf("%s: got values %s of type %s", s.Key, got, s.Type())
		}
	}
}

// Every field of Config is set by one row of the table.
func TestEveryFieldHasASetting(t *testing.T) {
	c, err := Load(nil, noEnv, "testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.Upstream, c.Hold = "x", 1 // excluded by others, and zero in that file
	c.Admin = "x"
	c.Kernel, c.KernelKeep = true, true // excluded by trusted-proxy
	c.TLSCert, c.TLSKey = "x", "x"      // excluded by acme-domain
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
			t.Errorf("%s is set by nothing", f.Name)
		}
	}
}

// What texts gives, set takes back.
func TestTextsAreTheInverse(t *testing.T) {
	from, err := Load(nil, noEnv, "testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	to := Default()
	for _, s := range Settings() {
		if s.Key == "store" || s.Key == "notify" || s.Key == "rules" {
			continue // masked, and nested
		}
		if err := s.bind.set(to, s.bind.texts(from)); err != nil {
			t.Errorf("%s: %v", s.Key, err)
		}
	}
	to.Store, to.Notify, to.Rules = from.Store, from.Notify, from.Rules
	if diff := cmp.Diff(from, to, byValue); diff != "" {
		t.Error(diff)
	}
}

func TestNestedHasNoText(t *testing.T) {
	for _, err := range []error{rules{}.check("x"), matches{}.check("x")} {
		if err == nil || err.Error() != "is set in the configuration file only" {
			t.Errorf("got %v", err)
		}
	}
}

func TestSingleTakesOneValue(t *testing.T) {
	s, _ := lookup("maxretry")
	if err := s.bind.set(&Config{}, []string{"1", "2"}); err == nil || err.Error() != "given more than once, and takes one value" {
		t.Errorf("got %v", err)
	}
}
