package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair writes a self-signed certificate for name and returns its files.
func pair(t *testing.T, dir, name string, until time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	return certFile, keyFile
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFilesErrors has what each mistake is told by.
func TestFilesErrors(t *testing.T) {
	dir := t.TempDir()
	year := time.Now().AddDate(1, 0, 0)
	cert, key := pair(t, dir, "a.example", year)
	_, other := pair(t, dir, "b.example", year)
	text, locked := filepath.Join(dir, "text"), filepath.Join(dir, "locked")
	write(t, text, "hello\n")
	write(t, locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
	tests := []struct{ name, cert, key, want string }{
		{"no certificate", dir + "/x", key, "--tls-cert: open " + dir + "/x: no such file or directory"},
		{"no key", cert, dir + "/x", "--tls-key: open " + dir + "/x: no such file or directory"},
		{"another's key", cert, other, "--tls-key: " + other + " is not the private key of the certificate in " + cert},
		{"encrypted key", cert, locked, "--tls-key: " + locked + " is encrypted; write it without a passphrase: openssl pkey"},
		{"text for a certificate", text, key, "--tls-cert: " + text + " holds no PEM certificate"},
		{"text for a key", cert, text, "--tls-key: " + text + " holds no PEM private key"},
		{"certificate for a key", cert, cert, "--tls-key: " + cert + " holds no PEM private key"},
		{"key for a certificate", key, key, "--tls-cert: " + key + " holds no PEM certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := OpenFiles(tt.cert, tt.key, slog.New(slog.DiscardHandler))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s...", err, tt.want)
			}
		})
	}
}

// TestReload: a bad file leaves the old certificate in force.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	cert, key := pair(t, dir, "a.example", time.Now().Add(24*time.Hour))
	f, err := OpenFiles(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "ends soon") || !strings.Contains(log.String(), "a.example") {
		t.Errorf("logged %s, want a warning", log.String())
	}
	served := func() string {
		c, err := f.TLS().GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.Subject.CommonName
	}
	write(t, cert, "broken")
	if err := f.Reload(); err == nil || !strings.HasPrefix(err.Error(), "the old certificate stays in force: ") || served() != "a.example" {
		t.Errorf("got %v, serves %s", err, served())
	}
	next, nextKey := pair(t, dir, "next.example", time.Now().AddDate(1, 0, 0))
	for from, to := range map[string]string{next: cert, nextKey: key} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Reload(); err != nil || served() != "next.example" {
		t.Errorf("got %v, serves %s", err, served())
	}
}
