package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/routes"
)

// shopTable is the table of examples/factory, read from its source.
func shopTable(tb testing.TB) *routes.Table {
	tb.Helper()
	c := &cli{getenv: os.Getenv, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard}
	cfg := config.Default()
	cfg.App, cfg.Werkzeug = "../../examples/factory/shop/__init__.py", "2.2.2"
	table, err := c.readTable(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return table
}

// probeLines are the requests of real vulnerability scanners, and some for
// every kind of verdict.
func probeLines(tb testing.TB) []string {
	tb.Helper()
	f, err := os.Open("../../routes/testdata/probes.txt.gz")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	lines := []string{
		"GET /", "HEAD /", "POST /", "GET /catalog", "GET /catalog/7", "DELETE /catalog/7", "PATCH /catalog/7", "GET /catalog/x",
		"GET /catalog/7/reviews", "GET //catalog/7", "GET /favicon.ico", "GET /.env", "GET /assets/shop.css?v=1", "GET http://shop.example/account/a%20b",
		"GET relative", "get /", "GET /account/\xff", "OPTIONS *", "GET /account/login",
	}
	in := bufio.NewScanner(z)
	for in.Scan() {
		lines = append(lines, "GET "+in.Text())
	}
	if err := in.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines
}

func explainAll(tb testing.TB, t *routes.Table, input string) []string {
	tb.Helper()
	var out bytes.Buffer
	if err := explainStream(tb.Context(), t, "localhost", strings.NewReader(input), &out); err != nil {
		tb.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// TestStreamAgreesWithExplain holds that the short way gives the same lines.
func TestStreamAgreesWithExplain(t *testing.T) {
	table, lines := shopTable(t), probeLines(t)
	got := explainAll(t, table, strings.Join(lines, "\n")+"\n")
	if len(got) != len(lines) {
		t.Fatalf("%d lines for %d", len(got), len(lines))
	}
	kinds := map[string]int{}
	for i, line := range lines {
		method, target, _ := strings.Cut(line, " ")
		e := table.Explain("localhost", method, target)
		kinds[e.Verdict.String()]++
		var want bytes.Buffer
		if err := writeJSONLine(&want, e); err != nil {
			t.Fatal(err)
		}
		if got[i]+"\n" != want.String() {
			t.Errorf("%s:\ngot  %s\nwant %s", line, got[i], want.String())
		}
	}
	for _, kind := range []string{"route", "redirect", "unexpected_path", "unexpected_method", "bad_value", "honeypath", "benign", "bad_request"} {
		if kinds[kind] == 0 {
			t.Errorf("no line had the verdict %s", kind)
		}
	}
}

// TestStreamLines is one line for each line, whatever it is.
func TestStreamLines(t *testing.T) {
	table := shopTable(t)
	long := "GET /" + strings.Repeat("x", 2<<20)
	fits := "GET /account/" + strings.Repeat("x", 100<<10)
	for _, tt := range []struct{ name, input, verdicts, message string }{
		{"nothing", "", "", ""},
		{"no end of line", "GET /", "route", ""},
		{"carriage return", "GET /\r\n", "route", ""},
		{"empty line", "\nGET /\n", "error route", `line 1: want "METHOD TARGET"`},
		{"no target", "GET\nGET \n", "error error", `line 1: want "METHOD TARGET"`},
		{"no method", " /\n", "error", `line 1: want "METHOD TARGET"`},
		{"too long, then on", long + "\nGET /\n", "error route", "line 1: longer than 1048576 bytes"},
		{"too long, then nothing", long, "error", "line 1: longer than 1048576 bytes"},
		{"longer than a buffer", fits + "\nGET /\n", "bad_request route", ""},
		{"not UTF-8", "GET /account/\xff\xfe\n", "route", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var verdicts []string
			message := ""
			for _, line := range explainAll(t, table, tt.input) {
				if line == "" {
					continue
				}
				var got struct{ Verdict, Message string }
				if err := json.Unmarshal([]byte(line), &got); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				verdicts = append(verdicts, got.Verdict)
				if message == "" {
					message = got.Message
				}
			}
			if got := strings.Join(verdicts, " "); got != tt.verdicts || message != tt.message {
				t.Errorf("got %s (%s), want %s (%s)", got, message, tt.verdicts, tt.message)
			}
		})
	}
}

// TestStreamAnswersAtOnce lets a program talk with us over pipes.
func TestStreamAnswersAtOnce(t *testing.T) {
	table := shopTable(t)
	ask, in := io.Pipe()
	answers, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- explainStream(t.Context(), table, "localhost", ask, out); out.Close() }()
	read := bufio.NewScanner(answers)
	for range 3 {
		if _, err := io.WriteString(in, "GET /catalog/7\n"); err != nil {
			t.Fatal(err)
		}
		if !read.Scan() || !strings.Contains(read.Text(), `"args":{"item_id":"7"}`) {
			t.Fatalf("got %q", read.Text())
		}
	}
	in.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStreamEndsWithItsReader(t *testing.T) {
	err := explainStream(t.Context(), shopTable(t), "localhost", strings.NewReader("GET /\n"), brokenPipe{})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkExplainStream(b *testing.B) {
	table, lines := shopTable(b), probeLines(b)
	var input strings.Builder
	for i := range b.N {
		input.WriteString(lines[i%len(lines)] + "\n")
	}
	b.ResetTimer()
	if err := explainStream(b.Context(), table, "localhost", strings.NewReader(input.String()), io.Discard); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// TestExplainCalledBadly: the error says what a target looks like.
func TestExplainCalledBadly(t *testing.T) {
	for args, want := range map[string]string{
		"explain app.py":           "explain: TARGET missing",
		"explain app.py users":     `explain: "users" is no TARGET: it begins with /, as /users`,
		"explain app.py POST":      "explain: TARGET missing",
		"explain app.py GET / x":   `explain: unexpected argument "x"`,
		"explain app.py / --jsn":   "unknown flag: --jsn; did you mean --json? (flask2ban explain --help lists the flags)",
		"app.py --maxrety 3":       "unknown flag: --maxrety; did you mean --maxretry? (flask2ban --help lists the flags)",
		"app.py --no-such-thing 3": "unknown flag: --no-such-thing (flask2ban --help lists the flags)",
	} {
		code, _, stderr := call(t.Context(), strings.Fields(args)...)
		if code != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit %d, %q; want %q", args, code, stderr, want)
		}
	}
}
