package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

func TestParse(t *testing.T) {
	var stderr bytes.Buffer
	o, err := parse([]string{"-rounds", "3", "-only", "^forward", "-peers", "nginx,Caddy"}, &stderr)
	if err != nil || o.rounds != 3 || !o.only.MatchString("forward-close") || o.only.MatchString("refuse") || !o.peers["Caddy"] || o.whole() {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = parse(nil, &stderr); err != nil || !o.whole() || o.rounds != 5 || !filepath.IsAbs(o.dir) {
		t.Errorf("defaults: %+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-rounds", "0"}, {"-length", "0s"}, {"-only", "("}, {"-nope"}} {
		stderr.Reset()
		if _, err := parse(bad, &stderr); err == nil || stderr.Len() == 0 {
			t.Errorf("%v: error %v, said %q", bad, err, stderr.String())
		}
		if code := run(t.Context(), bad, &bytes.Buffer{}, &bytes.Buffer{}); code != 2 {
			t.Errorf("%v: exit %d, want 2", bad, code)
		}
	}
	if code := run(t.Context(), []string{"-h"}, &bytes.Buffer{}, &bytes.Buffer{}); code != 0 {
		t.Errorf("-h: exit %d", code)
	}
}

func TestPublishedConfigurationsFill(t *testing.T) {
	v := values{
		Dir: "/d", Static: "127.0.0.1:1", Flask: "127.0.0.1:2", Plain: "127.0.0.1:3", App: "127.0.0.1:4", TLS: "127.0.0.1:5",
		H2C: "127.0.0.1:6", Refused: refusedSource, Rejected: rejectedSource, Cores: 2, Listen: "127.0.0.1:7", State: "/s",
	}
	for _, name := range []string{"nginx.conf", "haproxy.cfg", "Caddyfile", "upstream.conf", "flask2ban.txt"} {
		text, err := os.ReadFile(filepath.Join("../conf", name))
		if err != nil {
			t.Fatal(err)
		}
		filled, err := fillText(name, string(text), v)
		if err != nil || strings.Contains(filled, "{{") || strings.Contains(filled, "<no value>") {
			t.Errorf("%s: %v\n%s", name, err, filled)
		}
	}
	s := &site{conf: "../conf"}
	lines, err := s.commandLines(v)
	if err != nil || len(lines["static"]) != 1 || len(lines["flask"]) != 1 || len(lines["secure"]) != 1 || len(lines["ban"]) != 2 {
		t.Fatalf("%v, %v", lines, err)
	}
	if got := strings.Join(lines["flask"][0], " "); !strings.Contains(got, "-- gunicorn -w 2 -k gthread") {
		t.Errorf("flask: %s", got)
	}
	if got := strings.Join(lines["ban"][0], " "); !strings.Contains(got, refusedClient) {
		t.Errorf("the banned client is not %s: %s", refusedClient, got)
	}
}

func TestFillRefusesUnknownValues(t *testing.T) {
	for _, bad := range []string{"{{.Nope}}", "{{", "{{port .Dir}}"} {
		if got, err := fillText("bad", bad, values{Dir: "/d"}); err == nil {
			t.Errorf("%q became %q", bad, got)
		}
	}
}

func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	if err := writeCertificate(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")); err != nil {
		t.Error(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "both.pem"), filepath.Join(dir, "both.pem")); err != nil {
		t.Error(err)
	}
}

func TestVersionOf(t *testing.T) {
	for text, want := range map[string]string{
		"nginx version: nginx/1.22.1": "1.22.1", "HAProxy version 2.6.12-1+deb12u4 2026/10/17": "2.6.12-1+deb12u4", "84e80e6-dirty": "84e80e6-dirty",
	} {
		if got := versionOf(t.Context(), "echo", text); got != want {
			t.Errorf("%q has version %q, want %q", text, got, want)
		}
	}
	if got := versionOf(t.Context(), "/nonexistent"); got != "unknown" {
		t.Errorf("a missing program has version %q", got)
	}
}

func TestDescribeMachine(t *testing.T) {
	m := describeMachine(t.Context(), []*peer{{name: "nginx", version: "1.2"}})
	if m.cores == 0 || m.kernel == "" || m.cpu == "" || m.versions[0] != "nginx 1.2" {
		t.Errorf("%+v", m)
	}
	if got := strings.Join(m.versions, "; "); strings.Contains(got, "\n") {
		t.Errorf("a version has several lines: %s", got)
	}
	if got := fieldOf("/nonexistent", "x"); got != "unknown" {
		t.Errorf("got %q", got)
	}
}

// TestNginxEndToEnd starts the upstreams and one proxy as they are published,
// measures a round, and finds nothing left afterwards.
func TestNginxEndToEnd(t *testing.T) {
	for _, n := range needs {
		if _, err := exec.LookPath(n.program); err != nil && n.program != "haproxy" && n.program != "caddy" {
			t.Skipf("%s is not installed; make bench-peers installs it", n.program)
		}
	}
	o, err := parse([]string{"-dir", "..", "-peers", "nginx", "-rounds", "1", "-length", "300ms", "-only", "^(refuse|probe)$"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSite(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	defer func() {
		if !closed {
			s.close()
		}
	}()
	var out bytes.Buffer
	peers, err := s.start(t.Context(), o, &out)
	if err != nil {
		t.Fatal(err)
	}
	if status, body, err := get(peers[0].fronts[toFlask].addr, "", "/user/alice"); err != nil || status != http.StatusOK || body != "Hello, alice!\n" {
		t.Errorf("Flask through nginx: %d %q %v", status, body, err)
	}
	results, err := measureAll(t.Context(), o, peers, &out)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 {
		t.Fatalf("%d results", len(results))
	}
	for _, r := range results {
		m := r.rounds["nginx"]
		if len(m) != 1 || m[0].rate <= 0 || m[0].wrong != 0 || m[0].rss == 0 {
			t.Errorf("%s: %+v", r.scenario.name, m)
		}
	}
	pids := testbed.TreeOf(s.children[0].PID())
	s.close()
	closed = true
	for _, p := range pids {
		if now, err := testbed.ReadStat(p.PID); err == nil && now.Start == p.Start && now.State != 'Z' {
			t.Errorf("process %d is left", p.PID)
		}
	}
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left", s.dir)
	}
}

func TestInterruptedRunFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	addr, _ := newServer(t)
	e := entrance{addr: addr, proxy: func() []testbed.Stat { return nil }}
	sc := scenarios[3] // our own load
	if _, err := measureOnce(ctx, sc, e, trip{addr: addr, length: 1}); err == nil {
		t.Error("a round without its context was counted")
	}
}
