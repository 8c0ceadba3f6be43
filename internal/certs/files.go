// Package certs gives the listeners their certificates: from files of the
// operator's, or from an authority that is asked by ACME (RFC 8555).
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// soon is how long before a certificate's end its owner is warned: a third of
// what authorities give today is left to renew it by then.
const soon = 14 * 24 * time.Hour

// Files is a certificate in files.
type Files struct {
	cert, key string
	log       *slog.Logger
	now       atomic.Pointer[tls.Certificate]
}

// OpenFiles reads a certificate chain and its private key, both PEM. What is
// wrong with them is an error that names the file.
func OpenFiles(cert, key string, log *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, log: log}
	return f, f.load()
}

// Reload reads the files again. Where they hold no certificate with its key,
// the old one stays in force.
func (f *Files) Reload() error {
	if err := f.load(); err != nil {
		return fmt.Errorf("the old certificate stays in force: %w", err)
	}
	return nil
}

// Paths are the files, for who watches them.
func (f *Files) Paths() []string { return []string{f.cert, f.key} }

// TLS is the configuration of listeners with this certificate.
func (f *Files) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return f.now.Load(), nil
		},
	}
}

func (f *Files) load() error {
	cert, err := read(f.cert, f.key)
	if err != nil {
		return err
	}
	f.now.Store(cert)
	report(f.log, f.cert, cert.Leaf)
	return nil
}

// read reads a pair of files and says which of them is wrong, and how.
func read(certFile, keyFile string) (*tls.Certificate, error) {
	chain, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w%s", err, whoReads(err))
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-key: %w%s", err, whoReads(err))
	}
	cert, err := tls.X509KeyPair(chain, key)
	switch {
	case err == nil:
		return &cert, nil
	case strings.Contains(err.Error(), "private key does not match public key"):
		return nil, fmt.Errorf("--tls-key: %s is not the private key of the certificate in %s (its chain must begin with the server's own certificate)", keyFile, certFile)
	case strings.Contains(string(key), "ENCRYPTED"):
		return nil, fmt.Errorf("--tls-key: %s is encrypted; write it without a passphrase: openssl pkey -in %s -out FILE", keyFile, keyFile)
	case strings.Contains(err.Error(), "certificate input"):
		return nil, fmt.Errorf("--tls-cert: %s holds no PEM certificate (-----BEGIN CERTIFICATE-----)", certFile)
	case strings.Contains(err.Error(), "key input"), strings.Contains(err.Error(), "private key"):
		return nil, fmt.Errorf("--tls-key: %s holds no PEM private key (-----BEGIN PRIVATE KEY-----)", keyFile)
	}
	return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w", certFile, keyFile, err)
}

// whoReads says who we are where a file may not be read.
func whoReads(err error) string {
	if !errors.Is(err, os.ErrPermission) {
		return ""
	}
	return fmt.Sprintf("; we run as user %d, who must be able to read it", os.Getuid())
}

// report tells the operator what a certificate is for, and of one that no
// client will take.
func report(log *slog.Logger, file string, leaf *x509.Certificate) {
	left := time.Until(leaf.NotAfter)
	names := strings.Join(leaf.DNSNames, " ")
	switch {
	case left <= 0:
		log.Warn("the certificate has expired; browsers will refuse it", "file", file, "names", names, "until", leaf.NotAfter)
	case left < soon:
		log.Warn("the certificate ends soon", "file", file, "names", names, "until", leaf.NotAfter)
	default:
		log.Info("certificate", "file", file, "names", names, "until", leaf.NotAfter)
	}
}
