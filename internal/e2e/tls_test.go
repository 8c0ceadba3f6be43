package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, key, cert}
}

// pem is the authority's own certificate.
func (a *authority) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// sign returns a new certificate for names and its key, both PEM.
func (a *authority) sign(names ...string) (cert, key string) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 6, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

// files writes a new certificate and its key into dir.
func (a *authority) files(dir string, names ...string) (certFile, keyFile string) {
	a.t.Helper()
	cert, key := a.sign(names...)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(a.t, certFile, cert)
	replace(a.t, keyFile, key)
	return certFile, keyFile
}

// replace puts a file in another's place, as certbot does.
func replace(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// secureClient speaks HTTPS with a new connection for each request, to addr
// whatever the URL says.
func secureClient(addr string, roots *x509.CertPool, http2 bool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	return &http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots},
			Protocols:         protocols,
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		},
	}
}

// fetch asks and returns the answer with its body read.
func fetch(c *http.Client, url string) (*http.Response, string, error) {
	res, err := c.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// TestHTTPS: HTTP/1.1 and HTTP/2, what the app sees, HSTS, the redirect, and
// a new certificate while it runs.
func TestHTTPS(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	cert, key := ca.files(dir, "shop.example")
	plain := freePort(t)
	d := start(t, dir, "", testApp(t, "protocols.py"), "--tls-cert", cert, "--tls-key", key, "--hsts", "30d",
		"--listen", "http://"+plain, "--host", "shop.example")
	for _, http2 := range []bool{false, true} {
		res, body, err := fetch(secureClient(d.addr, ca.pool(), http2), "https://shop.example/seen/x?a=1")
		if err != nil {
			t.Fatal(err)
		}
		if want := 1 + btoi(http2); res.ProtoMajor != want || res.StatusCode != 200 {
			t.Errorf("%s %s, want HTTP/%d", res.Proto, res.Status, want)
		}
		for _, want := range []string{`"scheme":"https"`, `"host":"shop.example"`, `"external":"https://shop.example/seen/x"`} {
			if !strings.Contains(body, want) {
				t.Errorf("the app saw %s, want %s", body, want)
			}
		}
		if got := res.Header.Get("Strict-Transport-Security"); got != "max-age=2592000" {
			t.Errorf("HSTS %q", got)
		}
	}
	t.Run("redirect", func(t *testing.T) { redirects(t, plain, d.addr) })
	t.Run("new certificate", func(t *testing.T) { renews(t, d, ca, dir) })
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// redirects: what comes over HTTP is sent to HTTPS as it was asked for.
func redirects(t *testing.T, plain, secure string) {
	_, port, _ := net.SplitHostPort(plain)
	_, securePort, _ := net.SplitHostPort(secure)
	c := &client{t: t, base: "http://" + plain, http: secureClient(plain, nil, false)}
	for _, tt := range []struct{ host, target, want string }{
		{"shop.example:" + port, "/seen/x?a=%zz", "https://shop.example:" + securePort + "/seen/x?a=%zz"},
		// Another port than ours was asked for: it is mapped, and so is HTTPS.
		{"shop.example", "/seen/a%2Fb", "https://shop.example/seen/a%2Fb"},
	} {
		res := c.raw("POST "+tt.target+" HTTP/1.1\r\nHost: "+tt.host+"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", plain)
		if got := res.Header.Get("Location"); res.StatusCode != 308 || got != tt.want {
			t.Errorf("%s %s: %s to %q, want %q", tt.host, tt.target, res.Status, got, tt.want)
		}
		if res.Header.Get("Strict-Transport-Security") != "" {
			t.Error("HSTS over HTTP")
		}
	}
	if res := c.raw("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", plain); res.StatusCode != 421 {
		t.Errorf("another host: %s, want 421", res.Status)
	}
}

// renews: a new certificate is served without a restart; a broken one is
// reported and changes nothing.
func renews(t *testing.T, d *daemon, ca *authority, dir string) {
	serial := func() string {
		conn, err := tls.Dial("tcp", d.addr, &tls.Config{RootCAs: ca.pool(), ServerName: "shop.example"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old := serial()
	replace(t, filepath.Join(dir, "cert.pem"), "broken")
	d.await("the broken certificate is reported", func() bool {
		return strings.Contains(d.out.String(), "the old certificate stays in force")
	})
	if got := serial(); got != old {
		t.Error("another certificate than the old one")
	}
	ca.files(dir, "shop.example")
	d.await("the new certificate is served", func() bool { return serial() != old })
}

// TestH2C: HTTP/2 without TLS where it is chosen, for who begins with it.
func TestH2C(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"), "--h2c")
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 30 * time.Second}
	defer c.CloseIdleConnections()
	res, body, err := fetch(c, "http://"+d.addr+"/seen/x")
	if err != nil || res.ProtoMajor != 2 || !strings.Contains(body, `"scheme":"http"`) {
		t.Fatalf("%v %v %s", err, res, body)
	}
	d.from("127.0.7.1").want(200, "/seen/x") // HTTP/1.1 as before
}

// TestBadCertificate: it is told before anything runs, with the exit code of a
// mistake.
func TestBadCertificate(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key := newAuthority(t).files(dir, "shop.example")
	app := testApp(t, "protocols.py")
	tests := []struct {
		name, want string
		args       []string
	}{
		{"no key", "--tls-cert: needs --tls-key", []string{"--tls-cert", cert}},
		{"no such file", "--tls-key: open /nowhere: no such file", []string{"--tls-cert", cert, "--tls-key", "/nowhere"}},
		{"no HTTPS address", "--tls-cert: has no effect: no address of --listen speaks HTTPS; add --listen :443",
			[]string{"--tls-cert", cert, "--tls-key", key, "--listen", ":80"}},
		{"no certificate", "--listen: :443 needs a certificate: give --tls-cert and --tls-key, or --acme-domain to get one; or http://:443 to speak HTTP there",
			[]string{"--listen", ":80", "--listen", ":443"}},
		{"ACME elsewhere", "--acme-domain: needs --listen :443", []string{"--acme-domain", "shop.example", "--listen", ":8080"}},
		{"ACME for an address", "want a domain name such as example.org", []string{"--acme-domain", "192.0.2.1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, out := command(t, path, append([]string{app, "--state", t.TempDir(), "--admin", "off"}, tt.args...)...)
			if code != 2 || !strings.Contains(out, tt.want) {
				t.Errorf("exit code %d: %s; want 2, %s", code, out, tt.want)
			}
		})
	}
}
