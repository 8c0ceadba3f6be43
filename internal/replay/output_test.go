package replay

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/routes"
)

var update = flag.Bool("update", false, "write the golden files anew")

// hostile is a log in which a scanner wrote what it could.
func hostile() string {
	entries := []entry{
		{0, "192.0.2.1", "/about", 200, ""}, {1, "192.0.2.1", "/user/a", 200, ""}, {2, "192.0.2.1", "/", 200, ""},
		{3, "192.0.2.1", "/.env", 404, ""}, {4, "192.0.2.1", "/about", 200, ""},
		{5, "198.51.100.7", "/<script>alert(1)</script>", 404, ""}, {6, "198.51.100.7", `/\x1b[2J\x22><b>`, 404, ""},
		{7, "198.51.100.7", "/{{.}}'onload='x", 404, ""}, {8, "198.51.100.7", "/%00", 404, ""}, {9, "198.51.100.7", "/%E2%80%AE", 404, ""},
		{10, "198.51.100.7", "/more", 404, ""}, {11, "203.0.113.1", "/favicon.ico", 404, ""}, {12, "203.0.113.1", "/gone.png", 404, "http://app/"},
	}
	return strings.ReplaceAll(logOf(entries...), `"test"`, `"<img src=x onerror=alert(1)>"`) + "garbage <i>\x1b[31m\n"
}

func hostileReport(t *testing.T) *Report {
	t.Helper()
	r := replayed(t, Config{Table: hello(t), Sweep: []Setting{{"maxretry=10", ban.Config{MaxRetry: 10}}}}, hostile())
	r.Took, r.Logs[0].Name = 50*time.Millisecond, "access.log" // the only things that differ each time
	return r
}

func TestText(t *testing.T) {
	var got bytes.Buffer
	if err := hostileReport(t).WriteText(&got, TextStyle{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.txt", got.Bytes())
	if i := bytes.IndexFunc(got.Bytes(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == 0x202e }); i >= 0 {
		t.Errorf("a control character reaches the terminal: %q", got.Bytes()[i:])
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (write it anew with -update):\n%s", path, diff)
	}
}

func TestTextFitsTerminal(t *testing.T) {
	var got bytes.Buffer
	style := TextStyle{Width: 72, Rows: 1, Warn: func(s string) string { return s }}
	if err := hostileReport(t).WriteText(&got, style); err != nil {
		t.Fatal(err)
	}
	tables := got.String()[strings.Index(got.String(), "CLIENT"):]
	for line := range strings.Lines(tables) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 72 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if !strings.Contains(tables, "and 1 more (--rows)") {
		t.Errorf("nothing says that rows are missing:\n%s", tables)
	}
}

// TestHTML holds that the page is whole and that nothing of the log becomes a
// part of it: no script, no handler, nothing from elsewhere.
func TestHTML(t *testing.T) {
	var got bytes.Buffer
	if err := hostileReport(t).WriteHTML(&got); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(&got)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, name := range strings.Fields(`html head meta title style body h1 h2 p br code div b span svg line text path g rect
		table tbody tr th td details summary ul li`) {
		allowed[name] = true
	}
	var texts strings.Builder
	for n := range doc.Descendants() {
		switch n.Type {
		case html.TextNode:
			texts.WriteString(n.Data)
		case html.ElementNode:
			if !allowed[n.Data] {
				t.Errorf("an element %s is in the page", n.Data)
			}
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "href" {
					t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
				}
			}
		}
	}
	for _, want := range []string{`/<script>alert(1)</script>`, `\x1b[2J`, "<img src=x onerror=alert(1)>", "garbage <i>", "/<int:year>", "maxretry=10", "! 192.0.2.1"} {
		if !strings.Contains(texts.String(), want) {
			t.Errorf("the page does not show %s", want)
		}
	}
}

func TestEmptyReports(t *testing.T) {
	r := replayed(t, Config{}, "")
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text": func(b *bytes.Buffer) error { return r.WriteText(b, TextStyle{}) },
		"html": func(b *bytes.Buffer) error { return r.WriteHTML(b) },
		"json": func(b *bytes.Buffer) error { return r.WriteJSON(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil || b.Len() == 0 || strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "0001") {
			t.Errorf("%s: %v\n%s", name, err, &b)
		}
	}
	var b bytes.Buffer
	_ = r.WriteJSON(&b) // compared below
	if got, want := b.String(), `{"lines":0,"skipped":0,"clients":0,"banned":[]}`+"\n"; got != want {
		t.Errorf("got %s", got)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrors(t *testing.T) {
	r := hostileReport(t)
	for name, err := range map[string]error{
		"text": r.WriteText(brokenWriter{}, TextStyle{}), "html": r.WriteHTML(brokenWriter{}), "json": r.WriteJSON(brokenWriter{}),
	} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: got %s", n, got)
		}
	}
}

// TestStopped: a replay that is stopped tells of what it read, and says so.
func TestStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	path := t.TempDir() + "/access.log"
	if err := os.WriteFile(path, []byte(strings.Repeat(hostile(), 20_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Run(ctx, Config{
		Logs: []string{path}, Table: hello(t), Clients: resolver(t, clientip.Config{}), Lists: routes.DefaultLists(),
		Banned: func(Event) { stop() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lines == 0 || r.Lines >= 14*20_000 || !strings.HasPrefix(r.Notes[0], "It was stopped") {
		t.Errorf("%d lines, notes %q", r.Lines, r.Notes)
	}
}
