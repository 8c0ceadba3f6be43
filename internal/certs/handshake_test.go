package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// authority counts what it is asked, and refuses all.
func authority(t *testing.T) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "closed today", http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/dir", asked
}

// keep puts a certificate into the cache as the manager does.
func keep(t *testing.T, cache, directory, name string) {
	t.Helper()
	dir := filepath.Join(cache, folder(directory))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := pair(t, t.TempDir(), name, time.Now().AddDate(1, 0, 0))
	var both []byte
	for _, file := range []string{keyFile, certFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, text...)
	}
	write(t, filepath.Join(dir, name), string(both))
}

// served runs an ACME until the test ends.
func served(t *testing.T, c ACMEConfig) *ACME {
	t.Helper()
	a := NewACME(c)
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return a
}

// nameFor is the name in the certificate that a client with this server name gets.
func nameFor(a *ACME, server string, protos ...string) (string, error) {
	cert, err := a.certificate(&tls.ClientHelloInfo{ServerName: server, SupportedProtos: protos})
	if err != nil {
		return "", err
	}
	return cert.Leaf.Subject.CommonName, nil
}

// TestKeptCertificates serve without the authority: after a restart, whoever asks and however
// the name is written.
func TestKeptCertificates(t *testing.T) {
	directory, asked := authority(t)
	cache := t.TempDir()
	keep(t, cache, directory, "example.org")
	keep(t, cache, directory, "xn--bcher-kva.example")
	a := served(t, ACMEConfig{Domains: []string{"Example.ORG.", "bücher.example"}, Directory: directory, Cache: cache, Log: slog.New(slog.DiscardHandler)})
	for server, want := range map[string]string{
		"example.org": "example.org", "EXAMPLE.org": "example.org", "example.org.": "example.org", "": "example.org",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
	} {
		var got string
		if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) {
			var err error
			got, err = nameFor(a, server)
			return err == nil, nil
		}); err != nil || got != want {
			t.Errorf("%q: got the certificate of %q, %v; want %q", server, got, err, want)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the authority was asked %d times for what is kept", n)
	}
}

// TestHandshakesAskNobody: anybody can make handshakes, and authorities limit failures.
func TestHandshakesAskNobody(t *testing.T) {
	directory, asked := authority(t)
	var log testbed.Log
	a := served(t, ACMEConfig{Domains: []string{"example.org"}, Directory: directory, Cache: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) { return strings.Contains(log.String(), "no certificate yet"), nil }); err != nil {
		t.Fatalf("said %q", log.String())
	}
	before := asked.Load()
	if before == 0 {
		t.Error("nobody was asked for the certificate that is missing")
	}
	for n := range 50 {
		for _, server := range []string{"example.org", "", fmt.Sprint("other", n, ".example"), "127.0.0.1", "../../etc/passwd"} {
			if got, err := nameFor(a, server); err == nil {
				t.Errorf("%q got a certificate of %q", server, got)
			}
		}
		if _, err := nameFor(a, fmt.Sprint("other", n, ".example"), acme.ALPNProto); err == nil {
			t.Error("a challenge that nobody has asked was answered")
		}
	}
	if n := asked.Load() - before; n > 0 {
		t.Errorf("handshakes had the authority asked %d times", n)
	}
	if said := log.String(); !strings.Contains(said, "example.org") || !strings.Contains(said, "remedy=") || !strings.Contains(said, "next=2m0s") {
		t.Errorf("said %q", said)
	}
}

// TestChallengesPath: only below the challenges' path the app isn't asked.
func TestChallengesPath(t *testing.T) {
	a := NewACME(ACMEConfig{Domains: []string{"example.org"}, Directory: "https://ca.example/dir", Cache: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	h := a.Challenges(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "app "+r.Host) }))
	for _, tt := range []struct{ host, path, want string }{
		{"example.org:8080", "/", "app example.org:8080"},
		{"example.org", "/.well-known/acme-challenge", "app example.org"},
		{"example.org", "/.well-known/security.txt", "app example.org"},
		{"example.org:8080", "/.well-known/acme-challenge/nobodys-token", ""},
		{"other.example", "/.well-known/acme-challenge/x", ""},
		{"example.org", "/.well-known/acme-challenge/../../etc/passwd", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host, r.URL.Path = tt.host, tt.path
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if got := w.Body.String(); (w.Code == 200) != (tt.want != "") || tt.want != "" && got != tt.want {
			t.Errorf("%s%s: %d %q, want %q", tt.host, tt.path, w.Code, got, tt.want)
		}
	}
}

// TestFolders of authorities are names of one folder each, whatever the URL.
func TestFolders(t *testing.T) {
	seen := map[string]bool{}
	for _, directory := range []string{
		"https://acme-v02.api.letsencrypt.org/directory", "https://acme-staging-v02.api.letsencrypt.org/directory",
		"https://127.0.0.1:14000/dir", "https://../../etc", "http://x/a b",
	} {
		name := folder(directory)
		if seen[name] || strings.ContainsAny(name, "/\\ :") || name == ".." || name == "." {
			t.Errorf("%s: folder %q", directory, name)
		}
		seen[name] = true
	}
}

func TestRemedy(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&acme.Error{StatusCode: http.StatusTooManyRequests}, "wait"},
		{fmt.Errorf("x: %w", &acme.AuthorizationError{Identifier: "example.org"}), "DNS records point here"},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, "whether the authority can be reached"},
	} {
		if got := remedy(tt.err); !strings.Contains(got, tt.want) {
			t.Errorf("%v: got %q, want %q in it", tt.err, got, tt.want)
		}
	}
}

// TestTLSOffersTheChallenge beside HTTP/2, and nothing below TLS 1.2.
func TestTLSOffersTheChallenge(t *testing.T) {
	c := NewACME(ACMEConfig{Domains: []string{"example.org"}, Cache: t.TempDir(), Log: slog.New(slog.DiscardHandler)}).TLS()
	if got := strings.Join(c.NextProtos, " "); got != "h2 http/1.1 acme-tls/1" || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("offers %s from version %x on", got, c.MinVersion)
	}
}
