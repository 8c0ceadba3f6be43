package e2e

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestH2Spec: we fail no case of h2spec that bare net/http passes.
func TestH2Spec(t *testing.T) {
	h2spec := tool(t, "github.com/summerwind/h2spec/cmd/h2spec")
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := ca.files(dir, "localhost")
	bare := bareServer(t, cert, key)
	d := start(t, dir, "", testApp(t, "protocols.py"), "--tls-cert", cert, "--tls-key", key)
	without := h2specFailures(t, h2spec, bare)
	ours := h2specFailures(t, h2spec, d.addr)
	t.Logf("net/http alone fails %d: %s", len(without), strings.Join(without, "; "))
	t.Logf("flask2ban fails %d: %s", len(ours), strings.Join(ours, "; "))
	for _, failure := range ours {
		if !slices.Contains(without, failure) {
			t.Errorf("only we fail: %s", failure)
		}
	}
}

// bareServer is net/http with nothing of ours.
func bareServer(t *testing.T, cert, key string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, strings.Repeat("x", 1000))
		}),
	}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// total ends h2spec's output.
var total = regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`)

// h2specFailures are the cases that a server fails.
func h2specFailures(t *testing.T, h2spec, addr string) []string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	_, out := command(t, h2spec, "-t", "-k", "-h", host, "-p", port, "-P", "/seen/x", "-o", "5")
	if !total.MatchString(out) {
		t.Fatalf("h2spec printed %s", tail(out, 2000))
	}
	t.Logf("%s: %s", filepath.Base(addr), total.FindString(out))
	var failures []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "× ") && !slices.Contains(failures, line) {
			failures = append(failures, line)
		}
	}
	return failures
}
