package certs

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/idna"
)

// ACMEConfig says what to ask of whom.
type ACMEConfig struct {
	// Domains are the names to get certificates for; at least one.
	Domains []string
	// Email may be empty.
	Email string
	// Directory is the authority's URL.
	Directory string
	// Account is one that the authority has given (RFC 8555 7.3.4); nil makes one
	// there.
	Account *acme.ExternalAccountBinding
	// Cache is the folder where account and certificates are kept, one folder
	// below it for each authority.
	Cache string
	// Log is required.
	Log *slog.Logger
}

// ACME gets certificates from an authority and renews them. It answers the
// challenges http-01 (RFC 8555 8.3) and tls-alpn-01 (RFC 8737).
type ACME struct {
	config  ACMEConfig
	manager *autocert.Manager

	mu    sync.RWMutex
	ready map[string]bool // has had a certificate
}

// NewACME asks nobody yet; Serve does.
func NewACME(c ACMEConfig) *ACME {
	c.Domains = slices.Clone(c.Domains)
	for i, domain := range c.Domains {
		if ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(domain, ".")); err == nil {
			c.Domains[i] = ascii
		}
	}
	return &ACME{
		config: c,
		ready:  map[string]bool{},
		manager: &autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(filepath.Join(c.Cache, folder(c.Directory))),
			HostPolicy: autocert.HostWhitelist(c.Domains...),
			Email:      c.Email,
			Client:     &acme.Client{DirectoryURL: c.Directory, UserAgent: "flask2ban"},

			ExternalAccountBinding: c.Account,
		},
	}
}

// ReadAccount reads the key of an account that an authority has given, base64url
// in a file; an empty kid is none.
func ReadAccount(kid, file string) (*acme.ExternalAccountBinding, error) {
	if kid == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--acme-eab-key-file: %w%s", err, whoReads(err))
	}
	// Some authorities pad it (RFC 4648 5).
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("--acme-eab-key-file: %s does not hold one base64url key (letters, digits, - and _), as the authority prints it", file)
	}
	return &acme.ExternalAccountBinding{KID: kid, Key: key}, nil
}

// folder names an authority in the cache: a staging authority's certificate
// must not be taken for the real one's.
func folder(directory string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, strings.TrimPrefix(directory, "https://"))
}

// TLS is the configuration of listeners with these certificates.
func (a *ACME) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1", acme.ALPNProto},
		GetCertificate: a.certificate,
	}
}

// Challenges answers the authority's http-01 challenges before next.
func (a *ACME) Challenges(next http.Handler) http.Handler {
	answer := a.manager.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
			next.ServeHTTP(w, r)
			return
		}
		// The manager knows names without a port; test authorities ask at
		// other ports than 80.
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			r.Host = host
		}
		answer.ServeHTTP(w, r)
	})
}

// certificate answers a handshake. Only Serve makes new certificates be asked
// for: handshakes are anybody's, and authorities limit failed tries.
func (a *ACME) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if slices.Equal(hello.SupportedProtos, []string{acme.ALPNProto}) {
		return a.manager.GetCertificate(hello)
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if name == "" { // asked for by address, or by a very old client
		name = a.config.Domains[0]
	}
	a.mu.RLock()
	ready := a.ready[name]
	a.mu.RUnlock()
	if !ready {
		return nil, fmt.Errorf("no certificate for %q", name)
	}
	return a.get(name)
}

// get takes a name's certificate from the manager, which asks the authority
// where it has none. It is an ECDSA one for all: each TLS 1.2 client since 2013
// can do that, and a second one would be asked for by whoever can't.
func (a *ACME) get(name string) (*tls.Certificate, error) {
	return a.manager.GetCertificate(&tls.ClientHelloInfo{
		ServerName:   name,
		CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

// Waits between tries for a first certificate. Let's Encrypt allows five failed
// validations of a name an hour (letsencrypt.org/docs/rate-limits), and the
// manager itself repeats a failure for a minute.
const (
	firstRetry = 2 * time.Minute
	lastRetry  = time.Hour
)

// Serve gets what certificates are missing, and tries until it has them or ctx
// ends. Renewal is the manager's own, 30 days before the end.
func (a *ACME) Serve(ctx context.Context) error {
	var group sync.WaitGroup
	for _, domain := range a.config.Domains {
		group.Go(func() { a.obtain(ctx, domain) })
	}
	group.Wait()
	<-ctx.Done()
	return nil
}

func (a *ACME) obtain(ctx context.Context, domain string) {
	for retry := firstRetry; ; retry = min(2*retry, lastRetry) {
		got := make(chan error, 1)
		go func() { // has no context; ends within 5 minutes by itself
			cert, err := a.get(domain)
			if err == nil {
				report(a.config.Log, a.config.Directory, cert.Leaf)
			}
			got <- err
		}()
		var err error
		select {
		case <-ctx.Done():
			return
		case err = <-got:
		}
		if err == nil {
			a.mu.Lock()
			a.ready[domain] = true
			a.mu.Unlock()
			return
		}
		a.config.Log.Error("no certificate yet", "domain", domain, "error", err, "remedy", remedy(err), "next", retry)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retry):
		}
	}
}

// remedy is what to do about an error of the authority's.
func remedy(err error) string {
	var refused *acme.Error
	var failed *acme.AuthorizationError
	switch {
	case errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests:
		return "the authority has had too many requests; wait, and try with its staging directory first"
	case errors.As(err, &failed):
		return "make the name's DNS records point here, and ports 80 and 443 reachable from the Internet"
	}
	return "see the error, and whether the authority can be reached from here"
}
