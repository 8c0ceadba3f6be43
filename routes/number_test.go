package routes

import (
	"testing"
)

func TestNumberConverters(t *testing.T) {
	for _, c := range []struct {
		rule, text string
		accepts    bool
		outcome    refusal
		url        string
	}{
		{"int", "7", true, accepted, "7"},
		{"int", "007", true, accepted, "7"},
		{"int", "0", true, accepted, "0"},
		{"int", "-7", false, accepted, "-7"},
		{"int", "", false, accepted, "0"},
		{"int", "٣٤", true, accepted, "34"},
		{"int", "²", false, accepted, ""},
		{"int(signed=True)", "-07", true, accepted, "-7"},
		{"int(signed=True)", "-0", true, accepted, "0"},
		{"int(signed=True)", "--7", false, accepted, ""},
		{"int(signed=True)", "-", false, accepted, ""},
		{"int(fixed_digits=4)", "0042", true, accepted, "0042"},
		{"int(4)", "42", true, refused, "0042"},
		{"int(fixed_digits=3,signed=True)", "-42", true, accepted, "-42"},
		{"int(min=10)", "9", true, refused, "9"},
		{"int(min=10,max=20)", "20", true, accepted, "20"},
		{"int(min=10,max=20)", "21", true, refused, "21"},
		{"int(max=9007199254740993)", "9007199254740994", true, refused, "9007199254740994"},
		{"int(max=99)", "٩٩", true, accepted, "99"},
		{"int(max=5)", long1("9", 4300), true, refused, long1("9", 4300)},
		{"int", long1("9", 4301), true, raised, long1("9", 4301)},
		{"float", "1.5", true, accepted, "1.5"},
		{"float", "1", false, accepted, ""},
		{"float", "1.", false, accepted, ""},
		{"float", ".5", false, accepted, ""},
		{"float", "1.5.2", false, accepted, ""},
		{"float", "01.50", true, accepted, "1.5"},
		{"float(signed=True)", "-1.0", true, accepted, "-1.0"},
		{"float(min=0.5,max=1.5)", "0.49", true, refused, "0.49"},
		{"float(min=0.5,max=1.5)", "1.5", true, accepted, "1.5"},
		{"float(0.5)", "0.4", true, refused, "0.4"},
		{"float", "100000000000000000000.5", true, accepted, "1e+20"},
		{"float", "0.00001", true, accepted, "1e-05"},
	} {
		conv := converterFor(t, c.rule)
		if got := conv.accepts(c.text); got != c.accepts {
			t.Errorf("%s accepts %.20q: %v", c.rule, c.text, got)
			continue
		}
		if !c.accepts {
			continue
		}
		if got := conv.number.check(c.text); got != c.outcome {
			t.Errorf("%s checks %.20q: got %v, want %v", c.rule, c.text, got, c.outcome)
		}
		if got := conv.quote(c.text); got != c.url {
			t.Errorf("%s writes %.20q as %.20q, want %.20q", c.rule, c.text, got, c.url)
		}
	}
}

func long1(digit string, n int) string {
	out := ""
	for range n {
		out += digit
	}
	return out
}

// converterFor compiles "int(min=3)".
func converterFor(t *testing.T, text string) *converter {
	t.Helper()
	m := partPattern.FindStringSubmatch("<" + text + ":x>")
	if m == nil {
		t.Fatalf("%s is no converter", text)
	}
	c, err := builtinConverter(m[3], parseArguments(m[4]))
	if err != nil || c == nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestTextConverters(t *testing.T) {
	for rule, want := range map[string]map[string]bool{
		"default":                         {"": false, "a": true, "é": true, "a b": true},
		"string(minlength=3)":             {"ab": false, "abc": true, "éé": false, "ééé": true, "日本語": true, "😀": false},
		"string(length=2)":                {"a": false, "ab": true, "éé": true, "abc": false},
		"string(maxlength=3)":             {"": false, "abc": true, "abcd": false, "ééé": true},
		"string(minlength=2,maxlength=4)": {"a": false, "ab": true, "abcd": true, "abcde": false},
		"string(minlength=0)":             {"": true, "a": true},
		"any(a,b.c,\"x y\",'q')":          {"a": true, "b.c": true, "bxc": false, "x y": true, "q": true, "": false},
		"any(a,b,c,d,e,f,g,h,i,j)":        {"j": true, "k": false},
		"any(1,2)":                        {"1,2": true, "1": false}, // Werkzeug reads the argument 1,2 as one
		"path":                            {"": false, "/": false, "a": true, "a/b": true, "a\n": false, "\n": true, "é/": true},
		"uuid":                            {"123e4567-e89b-42d3-a456-426614174000": true, "123E4567-E89B-42D3-A456-42661417400G": false, "123e4567e89b-42d3-a456-4266141740000": false, "x": false},
	} {
		c := converterFor(t, rule)
		for text, accepts := range want {
			if got := c.accepts(text); got != accepts {
				t.Errorf("%s accepts %q: %v", rule, text, got)
			}
			if got := compilePython(c.regex).matches(text); got != accepts {
				t.Errorf("%s: its regex %s says %v of %q", rule, c.regex, got, text)
			}
		}
	}
}

func TestParseArguments(t *testing.T) {
	for text, want := range map[string][]any{
		"":                     nil,
		"1":                    {int64(1)},
		"1, 'a b',True , None": {int64(1), "a b", true, nil},
		"1.5,x.y,-":            {1.5, "x.y"},
		`"foo,bar",a.b`:        {"foo,bar", "a.b"},
		"'12'":                 {"12"},
	} {
		got := parseArguments(text).positional
		if len(got) != len(want) {
			t.Errorf("%s: got %#v, want %#v", text, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] && pythonText(got[i]) != pythonText(want[i]) {
				t.Errorf("%s: got %#v, want %#v", text, got, want)
			}
		}
	}
	named := parseArguments("min=3, max = 9.5,signed=False").named
	if named["min"] != int64(3) || named["max"] != 9.5 || named["signed"] != false {
		t.Errorf("got %#v", named)
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]version{
		"2.2.2": {2, 2, 2}, "3.1": {3, 1, 0}, "3.0.0rc1": {3, 0, 0}, "2.3.dev0": {2, 3, 0}, "": newest, "x": newest, "10.2.30": {10, 2, 30},
	} {
		if got := parseVersion(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if !(version{3, 1, 8}).atLeast(3, 1, 8) || (version{2, 9, 9}).atLeast(3, 0, 0) || !(version{3, 0, 0}).atLeast(2, 9, 9) {
		t.Error("atLeast is wrong")
	}
}

func TestMergeSlashesByVersion(t *testing.T) {
	for path, want := range map[string][2]string{
		"/a//b": {"/a/b", "/a/b"}, "///": {"//", "/"}, "/a////b": {"/a//b", "/a/b"}, "a": {"a", "a"}, "//": {"/", "/"}, "/é//": {"/é/", "/é/"},
	} {
		for i, b := range []behaviour{{}, {mergeRuns: true}} {
			if got := b.mergeSlashes(path); got != want[i] {
				t.Errorf("%+v: %s becomes %s, want %s", b, path, got, want[i])
			}
		}
	}
}
