package replay

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
)

// FuzzJSON holds the reader to encoding/json, where that takes the text.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		nginxLine, caddyLine, `{"a":"b\n\u00e9\ud83d\ude00\/\\\"","c":[ "x" ],"d":-1.5e3,"e":true,"f":null,"g":{"h":[{}]}}`, `{}`, `{"a":[[],{}],"b":""}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, bad := flat(s)
		var want map[string]any
		if !utf8.ValidString(s) || json.Unmarshal([]byte(s), &want) != nil || want == nil {
			return // lenient or not, but it must end
		}
		if bad {
			t.Fatalf("%q is refused", s)
		}
		for key, value := range want {
			if text, ok := value.(string); ok && got[key] != text {
				t.Errorf("%q: %q is %q, want %q", s, key, got[key], text)
			}
		}
	})
}

// flat reads an object's own texts.
func flat(s string) (texts map[string]string, bad bool) {
	texts = map[string]string{}
	j := jsonReader{s: s}
	for key, ok := begin(&j); ok; key, ok = j.key() {
		texts[key] = j.text()
	}
	return texts, j.bad
}

// TestChunks: however a log arrives, its lines are the same.
func TestChunks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var text strings.Builder
		var want []string
		for range rng.IntN(60) {
			line := strings.Repeat("x", rng.IntN(200))
			text.WriteString(line + []string{"\n", "\r\n"}[rng.IntN(2)])
			if line != "" {
				want = append(want, line)
			}
		}
		last := strings.Repeat("y", rng.IntN(3))
		text.WriteString(last)
		if last != "" {
			want = append(want, last)
		}
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(text.String()), "bytes": iotest.OneByteReader(strings.NewReader(text.String())),
			"halves": iotest.HalfReader(strings.NewReader(text.String())), "early end": iotest.DataErrReader(strings.NewReader(text.String())),
		} {
			if diff := cmp.Diff(want, linesOf(t, &chunker{r: r, size: 64, live: rng.IntN(2) == 0})); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
	}
}

func linesOf(t *testing.T, c *chunker) []string {
	t.Helper()
	var out []string
	for {
		text, err := c.next()
		eachLine(text, func(line string) bool {
			out = append(out, line)
			return true
		})
		if err != nil {
			if err != io.EOF {
				t.Fatal(err)
			}
			return out
		}
	}
}

// TestLongLines: what is longer than all measure is counted, whatever stands
// around it and however it arrives.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", maxLine+1)
	text := "a\n" + long + "\nb\n" + long + long + "\nc\n" + strings.Repeat("y", maxLine/2) + "\nd"
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "early end": iotest.DataErrReader(strings.NewReader(text))} {
		c := &chunker{r: r, size: 1024}
		var short []string
		for _, line := range linesOf(t, c) {
			if len(line) == 1 {
				short = append(short, line)
			}
		}
		if got := strings.Join(short, ""); got != "abcd" || c.long != 2 {
			t.Errorf("%s: lines %s, %d too long", name, got, c.long)
		}
	}
}

func TestReadErrors(t *testing.T) {
	c := chunker{r: io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(errBroken)), size: 64}
	text, err := c.next()
	if text != "a\nb" || err != errBroken {
		t.Errorf("got %q, %v", text, err)
	}
	if text, err := c.next(); text != "" || err != errBroken {
		t.Errorf("then %q, %v", text, err)
	}
}

// FuzzReplay: no log breaks a replay, every line is counted once, and all of
// the report can be written.
func FuzzReplay(f *testing.F) {
	f.Add(hostile(), true)
	f.Add(nginxLine+"\n"+caddyLine+"\n\n"+combinedLine, false)
	f.Add("\x1f\x8b", true)
	table, clients := site(f, "/", "/user/<name>"), resolver(f, clientip.Config{})
	f.Fuzz(func(t *testing.T, text string, learn bool) {
		c := Config{Logs: []string{"-"}, Stdin: strings.NewReader(text), Clients: clients, Setting: Setting{Engine: ban.Config{MaxClients: 1000}}}
		if !learn {
			c.Table = table
		}
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Lines != r.Skipped+r.Requests || r.Clients > r.Requests || r.Refused > r.Requests {
			t.Errorf("%d lines, %d skipped, %d requests of %d clients", r.Lines, r.Skipped, r.Requests, r.Clients)
		}
		var out bytes.Buffer
		for _, err := range []error{r.WriteText(&out, TextStyle{Width: 80}), r.WriteHTML(&out), r.WriteJSON(&out)} {
			if err != nil {
				t.Error(err)
			}
		}
	})
}

func TestUnescape(t *testing.T) {
	for s, want := range map[string]string{
		`plain`: "plain", `\x41\x7a`: "Az", `\"\\\n\t`: "\"\\\n\t", `\x4`: `\x4`, `\xzz`: `\xzz`, `\`: `\`, `a\`: `a\`, `\q`: `\q`, `\x00`: "\x00",
	} {
		if got := unescape(s); got != want {
			t.Errorf("%s: got %q, want %q", s, got, want)
		}
	}
}

func TestLooksRandom(t *testing.T) {
	for target, want := range map[string]bool{
		"/a8f3k29dk2": true, "/x/9d8s7f6g5h?q": true, "/about": false, "/missing-page-1": false, "/2015": false, "/1234567890123": false,
		"/jquery-3.6.0.min.js": false, "/internationalization": false, "/v1/2": false, "": false,
	} {
		if got := looksRandom(target); got != want {
			t.Errorf("%q: got %v", target, got)
		}
	}
}
