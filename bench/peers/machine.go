package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// machine is where the figures come from.
type machine struct {
	cpu, memory, system, kernel string
	cores                       int
	at                          time.Time
	versions                    []string
}

func describeMachine(ctx context.Context, peers []*peer) machine {
	m := machine{
		cpu:    fieldOf("/proc/cpuinfo", "model name"),
		memory: fieldOf("/proc/meminfo", "MemTotal"),
		system: strings.Trim(fieldOf("/etc/os-release", "PRETTY_NAME"), `"`),
		kernel: strings.TrimSpace(output(ctx, "uname", "-r")),
		cores:  runtime.NumCPU(),
		at:     time.Now().UTC(),
	}
	for _, p := range peers {
		m.versions = append(m.versions, p.name+" "+p.version)
	}
	for _, tool := range [][]string{{"wrk", "-v"}, {"h2load", "--version"}, {"gunicorn", "--version"}} {
		m.versions = append(m.versions, tool[0]+" "+versionOf(ctx, tool...))
	}
	m.versions = append(m.versions, flaskVersions(ctx), "Go "+strings.TrimPrefix(runtime.Version(), "go"))
	return m
}

// flaskVersions asks the interpreter that gunicorn's first line names, which
// need not be the python3 on PATH.
func flaskVersions(ctx context.Context) string {
	python := "python3"
	if path, err := exec.LookPath("gunicorn"); err == nil {
		if text, err := os.ReadFile(path); err == nil {
			line, _, _ := strings.Cut(string(text), "\n")
			if name, ok := strings.CutPrefix(line, "#!"); ok {
				python = strings.TrimSpace(name)
			}
		}
	}
	const script = `import platform; from importlib.metadata import version as v
print("Flask", v("flask") + ", Werkzeug", v("werkzeug") + ", Python", platform.python_version())`
	text := strings.TrimSpace(output(ctx, python, "-c", script))
	if strings.Contains(text, "\n") {
		return "Flask unknown" // a traceback
	}
	return text
}

// fieldOf is the value of the first line "name : value" or "name=value".
func fieldOf(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range bytes.Lines(data) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return strings.TrimSpace(strings.TrimLeft(string(rest), " \t:="))
		}
	}
	return "unknown"
}

// output is what a command prints, on both outputs: programs disagree about
// where a version goes, and wrk calls printing it a failure.
func output(ctx context.Context, name string, args ...string) string {
	text, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil && len(text) == 0 {
		return "unknown"
	}
	return string(text)
}

var versionPattern = regexp.MustCompile(`\d+(\.\d+)+[\w.~+-]*`)

// versionOf is the first thing that looks like a version in what a command
// prints, or its first line.
func versionOf(ctx context.Context, command ...string) string {
	text := output(ctx, command[0], command[1:]...)
	if v := versionPattern.FindString(text); v != "" {
		return v
	}
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSpace(line)
}

// writeCertificate makes a self-signed certificate for 127.0.0.1, in the files
// that the proxies want: cert.pem, key.pem, and both in both.pem.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	secret := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for name, data := range map[string][]byte{"cert.pem": cert, "key.pem": secret, "both.pem": append(cert, secret...)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	return nil
}
