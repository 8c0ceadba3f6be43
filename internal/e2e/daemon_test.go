// Package e2e holds the tests of the whole: the real binary, real Python apps,
// real sockets, and many clients as addresses of 127/8.
package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// binary builds flask2ban once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "flask2ban-e2e-")
	if err != nil {
		return "", err
	}
	// The app runs as another user, who must be able to read what it is given.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	return filepath.Join(dir, "flask2ban"), testbed.Build("../..", dir, "./cmd/...")
})

// publicDir is a directory that the app's user can read, too, with these files in it.
// Its name is short enough for a socket's.
func publicDir(t testing.TB, files map[string]string) string {
	t.Helper()
	dir, err := testbed.PublicDir(files)
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// daemon is one running flask2ban.
type daemon struct {
	*process
	state string
	addr  string // host:port of the proxy
	admin string // host:port of metrics and API
}

// start runs flask2ban with args and waits until the app is ready. dir is
// where it stands; state is kept where it isn't empty.
func start(t testing.TB, dir, state string, args ...string) *daemon {
	t.Helper()
	return startAt(t, freePort(t), dir, state, args...)
}

// startAt is start with an address to listen on.
func startAt(t testing.TB, addr, dir, state string, args ...string) *daemon {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return startProgram(t, path, addr, dir, state, args...)
}

// startProgram is startAt with another copy of the program.
func startProgram(t testing.TB, path, addr, dir, state string, args ...string) *daemon {
	t.Helper()
	if state == "" {
		state = t.TempDir()
	}
	d, err := testbed.StartDaemon(t.Context(), testbed.Site{Binary: path, Dir: dir, Args: args, Addr: addr, State: state})
	if err != nil {
		t.Fatal(err)
	}
	return &daemon{process: watch(t, d.Program), state: state, addr: d.Addr, admin: d.Admin}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// cli runs a command against the daemon and returns what it printed.
func (d *daemon) cli(args ...string) (string, error) {
	d.t.Helper()
	path, err := binary()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(path, append(args, "--state", d.state)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// askAdmin gets a path of the admin address: its status and body.
func (d *daemon) askAdmin(path string) (int, string) {
	d.t.Helper()
	res, err := http.Get("http://" + d.admin + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// metric returns the sum of a metric's samples whose line contains all of
// labels.
func (d *daemon) metric(name string, labels ...string) float64 {
	d.t.Helper()
	_, body := d.askAdmin("/metrics")
	sum := 0.0
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		match := true
		for _, l := range labels {
			match = match && strings.Contains(line, l)
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err == nil && match {
			sum += v
		}
	}
	return sum
}

// bans lists the banned clients.
func (d *daemon) bans() []string {
	d.t.Helper()
	out, err := d.cli("bans", "list", "--json")
	if err != nil {
		d.t.Fatalf("bans list: %v: %s", err, out)
	}
	var list []struct{ Client string }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		d.t.Fatalf("bans list --json printed %q: %v", out, err)
	}
	clients := make([]string, len(list))
	for i, b := range list {
		clients[i] = b.Client
	}
	return clients
}

// client is one visitor with an address of its own.
type client struct {
	http *http.Client
	base string
	t    testing.TB
}

// from returns a client whose source address is ip.
func (d *daemon) from(ip string) *client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
	tr := &http.Transport{DialContext: dialer.DialContext, DisableCompression: true, MaxIdleConnsPerHost: 4}
	d.t.Cleanup(tr.CloseIdleConnections)
	return &client{
		t:    d.t,
		base: "http://" + d.addr,
		http: &http.Client{
			Transport:     tr,
			Timeout:       60 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// get asks for a target with headers as name, value pairs, and returns the
// status, 0 where the connection was refused or closed, and the body.
func (c *client) get(target string, head ...string) (int, string) {
	return c.do(http.MethodGet, target, nil, head...)
}

func (c *client) do(method, target string, body io.Reader, head ...string) (int, string) {
	req, err := http.NewRequestWithContext(context.Background(), method, c.base+"/", body)
	if err != nil {
		c.t.Error(err)
		return 0, ""
	}
	// The target goes out as it is, however odd.
	req.URL.Opaque = target
	if strings.HasPrefix(target, "//") {
		req.URL.Opaque = ""
		req.URL.Path = target
	}
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

// want fails the test where a GET does not answer with status.
func (c *client) want(status int, target string, head ...string) string {
	c.t.Helper()
	got, body := c.get(target, head...)
	if got != status {
		c.t.Fatalf("GET %s: status %d, want %d; body %.300s", target, got, status, body)
	}
	return body
}

func freePort(t testing.TB) string {
	t.Helper()
	addr, err := testbed.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// example is the path of a folder under examples/.
func example(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
