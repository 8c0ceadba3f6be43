package e2e

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// tool builds a pinned program of others' (bench/tools/go.mod).
func tool(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	out, err := exec.Command("go", "build", "-C", "../../bench/tools", "-o", path, pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// pebble is a running ACME authority.
type pebble struct {
	*process
	directory, management string
}

// startPebble runs Let's Encrypt's test authority. It asks for proofs at the
// ports of httpAddr and tlsAddr, and finds every name at 127.0.0.1.
// accounts are the keys of the accounts that must be bound to, by their ids; nil
// asks for none.
func startPebble(t *testing.T, ca *authority, httpAddr, tlsAddr string, accounts map[string]string) *pebble {
	t.Helper()
	dir := t.TempDir()
	cert, key := ca.files(dir, "localhost")
	listen, management := freePort(t), freePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management, "certificate": cert, "privateKey": key,
		"httpPort": portOf(httpAddr), "tlsPort": portOf(tlsAddr), "keyAlgorithm": "ecdsa",
		"externalAccountBindingRequired": accounts != nil, "externalAccountMACKeys": accounts,
		"profiles": map[string]any{"default": map[string]any{"description": "usual", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pebble.json")
	replace(t, file, string(config))
	p := launch(t, "", []string{"PEBBLE_VA_NOSLEEP=1"}, tool(t, "github.com/letsencrypt/pebble/v2/cmd/pebble"),
		"-config", file, "-dnsserver", localDNS(t), "-strict")
	p.await("pebble serves", func() bool {
		conn, err := net.Dial("tcp", management)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return &pebble{p, "https://" + listen + "/dir", "https://" + management}
}

func portOf(addr string) (port int) {
	_, text, _ := net.SplitHostPort(addr)
	fmt.Sscan(text, &port)
	return port
}

// localDNS answers over TCP, as pebble asks, that every name is at 127.0.0.1.
func localDNS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{Listener: l, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		m := new(dns.Msg).SetReply(r)
		if q := r.Question[0]; q.Qtype == dns.TypeA {
			m.Answer = append(m.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(127, 0, 0, 1),
			})
		}
		w.WriteMsg(m)
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return l.Addr().String()
}

// TestACME gets a certificate by each challenge, serves it, and has it still
// after a restart, without asking the authority again.
func TestACME(t *testing.T) {
	for _, challenge := range []string{"tls-alpn-01", "http-01"} {
		t.Run(challenge, func(t *testing.T) { acme(t, challenge) })
	}
}

func acme(t *testing.T, challenge string) {
	ca := newAuthority(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	replace(t, roots, ca.pem())
	t.Setenv("SSL_CERT_FILE", roots)
	plain, secure, state := freePort(t), freePort(t), t.TempDir()
	asked := secure
	if challenge == "http-01" {
		asked = freePort(t) // nobody answers tls-alpn-01 there
	}
	p := startPebble(t, ca, plain, asked, nil)
	args := []string{testApp(t, "protocols.py"), "--listen", "http://" + plain, "--acme-domain", "shop.flask2ban.example",
		"--acme-email", "admin@flask2ban.example", "--acme-directory", p.directory}
	d := startAt(t, secure, t.TempDir(), state, args...)
	issuer := p.roots(t, ca)
	ask := func() error {
		res, _, err := fetch(secureClient(secure, issuer, true), "https://shop.flask2ban.example/seen/x")
		if err == nil && res.StatusCode != 200 {
			err = fmt.Errorf("status %d", res.StatusCode)
		}
		return err
	}
	d.await("there is a certificate", func() bool { return ask() == nil })
	if byHTTP := strings.Contains(p.out.String(), "Attempting to validate w/ HTTP"); byHTTP != (challenge == "http-01") {
		t.Errorf("validated by HTTP: %t", byHTTP)
	}
	if challenge == "http-01" {
		return
	}
	d.stop()
	again := startAt(t, secure, t.TempDir(), state, args...)
	orders := strings.Count(p.out.String(), "/order-plz")
	again.await("it has the certificate still", func() bool { return ask() == nil })
	if now := strings.Count(p.out.String(), "/order-plz"); now != orders {
		t.Errorf("%d orders at the restart", now-orders)
	}
}

// TestACMEAccount: an authority that wants an account of its own gives a
// certificate to who has the account's key, and none to others.
func TestACMEAccount(t *testing.T) {
	ca := newAuthority(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	replace(t, roots, ca.pem())
	t.Setenv("SSL_CERT_FILE", roots)
	plain, secure := freePort(t), freePort(t)
	key := base64.RawURLEncoding.EncodeToString([]byte("the key of an account, 32 bytes."))
	p := startPebble(t, ca, plain, secure, map[string]string{"kid-1": key})
	dir := t.TempDir()
	run := func(key string) *daemon {
		file := filepath.Join(dir, "eab.key")
		replace(t, file, key+"\n")
		return startAt(t, secure, dir, "", testApp(t, "protocols.py"), "--listen", "http://"+plain, "--acme-domain", "shop.flask2ban.example",
			"--acme-directory", p.directory, "--acme-eab-kid", "kid-1", "--acme-eab-key-file", file)
	}
	wrong := run(base64.RawURLEncoding.EncodeToString([]byte("the key of somebody else, so none")))
	wrong.await("it says that there is no certificate", func() bool {
		return strings.Contains(wrong.out.String(), "externalAccountBinding") || strings.Contains(wrong.out.String(), "external account binding")
	})
	wrong.stop()
	right := run(key + "=")
	right.await("there is a certificate", func() bool {
		res, _, err := fetch(secureClient(secure, p.roots(t, ca), true), "https://shop.flask2ban.example/seen/x")
		return err == nil && res.StatusCode == 200
	})
	if strings.Contains(right.out.String(), key) {
		t.Error("the log shows the account's key")
	}
}

// roots are what the authority signs with; pebble makes them at its start.
func (p *pebble) roots(t *testing.T, ca *authority) *x509.CertPool {
	t.Helper()
	_, body, err := fetch(secureClient(strings.TrimPrefix(p.management, "https://"), ca.pool(), false), p.management+"/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(body)) {
		t.Fatalf("no certificate in %s", body)
	}
	return pool
}
