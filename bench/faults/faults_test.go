package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

func TestParse(t *testing.T) {
	var stderr bytes.Buffer
	o, err := parse(nil, &stderr)
	if err != nil || o.calm != 10*time.Minute || o.gets != 100 || posts(o.gets) != 20 || !o.only.MatchString("anything") {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	o, err = parse([]string{"-only", "^kill", "-calm", "0", "-gets", "50", "-out", "x.md"}, &stderr)
	if err != nil || !o.only.MatchString("kill -9") || o.only.MatchString("10 kills") || o.calm != 0 || o.gets != 50 || o.out != "x.md" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-gets", "0"}, {"-calm-gets", "0"}, {"-after", "0s"}, {"-warm", "-1s"}, {"-calm", "-1s"}, {"-only", "("}, {"-nope"}, {"kill"}} {
		stderr.Reset()
		if code := run(t.Context(), bad, &bytes.Buffer{}, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("%v: exit %d, said %q", bad, code, stderr.String())
		}
	}
	if code := run(t.Context(), []string{"-h"}, &bytes.Buffer{}, &stderr); code != 0 {
		t.Errorf("-h: exit %d", code)
	}
	stderr.Reset()
	if code := run(t.Context(), []string{"-binary", "/nonexistent/flask2ban"}, &bytes.Buffer{}, &stderr); code != 1 || !strings.Contains(stderr.String(), "make build makes it") {
		t.Errorf("without a binary: exit %d, said %q", code, stderr.String())
	}
}

func TestCasesAreSound(t *testing.T) {
	names := map[string]bool{}
	for _, c := range append(append([]test{}, mustSurvive...), mustNotRestart...) {
		if names[c.name] || c.name == "" || c.fault == nil || strings.Contains(c.name, "|") {
			t.Errorf("%q is incomplete or twice there", c.name)
		}
		names[c.name] = true
	}
	for _, c := range mustNotRestart {
		if !c.calm || c.within > 0 || c.lasts > 0 {
			t.Errorf("%q is not a calm case: %+v", c.name, c)
		}
	}
}

// binary builds flask2ban once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "faults-test-")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "flask2ban"), testbed.Build("../..", dir, "./cmd/flask2ban")
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, _ := binary(); path != "" {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// testSuite breaks a real app with little load and for a short time.
func testSuite(t *testing.T, only string) (*suite, *bytes.Buffer) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s, err := newSuite(options{
		binary: path, warm: time.Second, after: 3 * time.Second, calm: 3 * time.Second, gets: 20, calmGets: 10, only: regexp.MustCompile(only),
	}, &out, &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s, &out
}

// TestRealCases runs some cases with a real app. That each is seen in time is left to
// `make faults`: here others may use the machine.
func TestRealCases(t *testing.T) {
	t.Parallel() // it mostly waits
	s, out := testSuite(t, "^(kill -9, Werkzeug|our own restart.*|40 SSE streams)$")
	rows := s.all(t.Context())
	if len(rows) != 3 {
		t.Fatalf("%d rows:\n%s", len(rows), out)
	}
	for _, r := range rows {
		r.test.within = 0
		if v := r.verdict(); v != fine || r.result.gets < 20 || r.posts.sent < 4 {
			t.Errorf("%s: %s\n%s", r.test.name, v, r)
		}
		if _, err := os.Stat(filepath.Dir(s.script)); err != nil {
			t.Error(err)
		}
	}
	if r := rows[0]; r.events == 0 || !strings.Contains(r.saw, "signal: killed") || r.seen <= 0 {
		t.Errorf("the kill was not seen: %s", r)
	}
	if r := rows[1]; !strings.Contains(r.note, "took over from") || r.events != 0 {
		t.Errorf("our own restart: %s", r)
	}
	if r := rows[2]; !r.test.calm || r.note != "40 streams" {
		t.Errorf("streams: %s", r)
	}
	if got := strings.Count(out.String(), "\n| "); got != 3 {
		t.Errorf("%d rows were printed, want 3:\n%s", got, out)
	}
}

// TestFaultsThatFailAreTold: a case whose fault could not happen is no success.
func TestFaultsThatFailAreTold(t *testing.T) {
	t.Parallel() // it mostly waits
	s, _ := testSuite(t, "")
	s.warm, s.after = 100*time.Millisecond, 100*time.Millisecond
	broken := test{name: "broken", fault: func(ctx context.Context, d *daemon) error {
		_, err := d.command(ctx, "bans", "add", "nobody")
		return err
	}}
	r := s.one(t.Context(), 0, broken)
	if v := r.verdict(); !strings.Contains(v, "nobody") {
		t.Errorf("verdict %s", v)
	}
	ends := test{name: "ends", fault: kill, site: site{flags: []string{"--no-such-flag"}}}
	if v := s.one(t.Context(), 0, ends).verdict(); !strings.Contains(v, "no-such-flag") {
		t.Errorf("a daemon that ends: %s", v)
	}
}

// TestStreamsThatBreakOff are told of.
func TestStreamsThatBreakOff(t *testing.T) {
	t.Parallel() // it mostly waits
	s, _ := testSuite(t, "")
	s.warm = 100 * time.Millisecond
	r := s.one(t.Context(), 0, test{name: "streams", calm: true, fault: func(ctx context.Context, d *daemon) error {
		time.AfterFunc(time.Second, func() { _ = kill(ctx, d) })
		return streams(2)(ctx, d)
	}})
	v := r.verdict()
	for _, want := range []string{"stream 0 ended", "stream 1 ended", "it was acted on though nothing was wrong"} {
		if !strings.Contains(v, want) {
			t.Errorf("verdict %s, want %q in it", v, want)
		}
	}
}
