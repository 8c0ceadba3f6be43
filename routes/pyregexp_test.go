package routes

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// pythonPatterns are regexes as they stand in people's converters, and what
// could trip a translation.
var pythonPatterns = []string{
	`[a-z]+`, `\d{4}-\d{2}-\d{2}`, `\w+`, `[\w-]+`, `[^/]+`, `.+`, `.*?`, `(?:a|b)+`, `(a)(b)?`, `\w+(?:,\w+)*`, `[A-Fa-f0-9]{8}`, `-?\d+`, `\s+`, `\S+`, `\D+`, `\W+`,
	`[^\W_]+`, `[^\s/]+`, `[\W\d]+`, `[^\d\s]+`, `[^\W\d_a]+`, `[\S]+`, `[\D]`, `a{,2}`, `a{2,}`, `a{x}`, `{`, `}`, `]`, `a{,}`, `[]]+`, `[^]]+`, `[a\]]+`, `[\-a]+`, `[[:alpha:]]+`, `[a&&b]+`,
	`\.`, `\/`, `\-`, `a\ b`, `\x41`, `\u00e9`, `\U000000e9`, `\101`, `\0`, `\07`, `\t`, `\a`, `(?P<x>a)(?P=x)`, `(a|b)\1`, `(?!a)\w`, `(?=a)\w`, `(?<=a)b`, `(?<!a)b`, `a(?#comment)b`,
	`(?i:ab)`, `(?s:.)`, `(?-i:a)`, `^a$`, `a$|b`, `(a$)`, `\Aa\Z`, `\bab\b`, `a\Bb`, `é+`, `[é-ü]+`, `日本`, `😀`, `a|`, `|a`, `(|a)`, `()`, `(?:)`, `a??b`, `a+?b`, `a{1,2}?b`, `(?>a+)b`, `a++b`,
	`[a-z]{3}\d{1,1001}`, `(a+)+b`, `\_`, `\#`, `[#-%]+`, `[\d-]+`, `[+--]+`, `[.-/]+`, `\\`, `[\\]`, `[\b]`, `"`, `'`, `~`, `&`, `@`, `a.c`,
}

var pythonTexts = []string{
	"", "a", "b", "ab", "aa", "aab", "aba", "abc", "ABC", "Ab", "1", "12", "2024-01-02", "a,b,c", "a-b", "a_b", "_", "-1", "a b", " ", "\t", "\n", "a\n", "a\nb", "é", "éü", "É", "٣", "日本", "😀",
	"{", "}", "]", "[", "a]", "a{x}", "a{,}", "\\", ".", "/", "-", "#", "$%", "+,-", "./", "\x00", "\x07", "\x08", "A", "deadbeef", "xyz", "²", "½", "\u00a0", "\u200b", "a&b", "&&", "~", "@", "'", "\"", "a.c", "aXc",
	"abc123", "aaaab", "bb", "a:", "alpha", "á", "_a", "a1", "١a",
}

// TestTranslationAgreesWithPython holds every pattern against Python's own re.
func TestTranslationAgreesWithPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here to compare with")
	}
	input, err := json.Marshal(map[string]any{"patterns": pythonPatterns, "texts": pythonTexts})
	if err != nil {
		t.Fatal(err)
	}
	script := `
import json, re, sys
d = json.load(sys.stdin)
out = []
for p in d["patterns"]:
    try:
        r = re.compile("(?:%s)\\Z" % p)
        out.append({"groups": r.groups, "matches": [[list(m.groups()) if (m := r.match(t)) else None][0] for t in d["texts"]]})
    except re.error as e:
        out.append({"error": str(e)})
json.dump(out, sys.stdout)`
	cmd := exec.Command(python, "-W", "ignore", "-c", script)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []struct {
		Error   string
		Groups  int
		Matches [][]*string
	}
	if err := json.Unmarshal(output, &answers); err != nil {
		t.Fatal(err)
	}
	wide := 0
	for i, pattern := range pythonPatterns {
		p := compilePython(pattern)
		if p.linear == nil && p.backtracking == nil {
			wide++
			t.Logf("%s matches everything (python: %q)", pattern, answers[i].Error)
			continue
		}
		if answers[i].Error != "" {
			continue
		}
		if n := countGroups(pattern); n != answers[i].Groups {
			t.Errorf("%s: got %d groups, want %d", pattern, n, answers[i].Groups)
		}
		comparePattern(t, p, pattern, answers[i].Matches)
	}
	if wide > 4 {
		t.Errorf("%d of %d patterns are not translated", wide, len(pythonPatterns))
	}
}

func comparePattern(t *testing.T, p *pyRegexp, pattern string, want [][]*string) {
	t.Helper()
	for j, text := range pythonTexts {
		if got := p.matches(text); got != (want[j] != nil) {
			t.Errorf("%s on %q: got %v, want %v (linear %v)", pattern, text, got, want[j] != nil, p.linear)
			continue
		}
		if want[j] == nil {
			continue
		}
		groups := p.groups(text)
		for k, g := range want[j] {
			got := groups[k+1]
			if got.present != (g != nil) || g != nil && got.text != *g {
				t.Errorf("%s on %q: group %d is %+v", pattern, text, k+1, got)
			}
		}
	}
}

// TestBacktrackingIsBounded: a regex that needs exponential time costs a few
// time-outs in all, then matches everything.
func TestBacktrackingIsBounded(t *testing.T) {
	p := compilePython(`(?!x)(a+)+b`)
	if p.backtracking == nil {
		t.Fatal("the pattern does not need backtracking: the test tests nothing")
	}
	text := strings.Repeat("a", 60) + "c"
	start := time.Now()
	for range 1000 {
		if !p.matches(text) {
			t.Fatal("a time-out must count as a match")
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("1,000 matches took %v", took)
	}
	if p.strikes.Load() < backtrackStrikes {
		t.Errorf("only %d time-outs: the test tests nothing", p.strikes.Load())
	}
	if !p.matches(strings.Repeat("z", backtrackLength+1)) || p.groups("z") != nil {
		t.Error("a regex that is given up must match everything")
	}
}

func TestQuadraticRegexesAreLinear(t *testing.T) {
	p := compilePython(`(a+)+b`)
	if p.linear == nil {
		t.Fatal("the pattern should run on Go's engine")
	}
	start := time.Now()
	if p.matches(strings.Repeat("a", 20000)) {
		t.Error("matched without a b")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}
