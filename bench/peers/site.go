package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// The addresses that load comes from. All are in 127.0.0.0/8.
const (
	// refusedSource is denied by HTTP: by its address at the peers; for
	// flask2ban it is a trusted proxy that names refusedClient, because a
	// banned peer of its own is refused at accept soon.
	refusedSource = "127.0.1.1"
	refusedClient = "198.51.100.7"
	// rejectedSource is refused when its connection is accepted.
	rejectedSource = "127.0.1.2"
)

// site is all that runs: the upstreams first, then the proxies.
type site struct {
	dir      string // temporary; all files of the run
	conf     string // the published configurations
	values   values
	children []*testbed.Program
	profiles profiles
}

// values fill in the published configurations.
type values struct {
	Dir, Static, Flask   string
	Plain, App, TLS, H2C string
	Refused, Rejected    string
	Cores                int
	Conf                 string
	Listen, State        string
}

// Gunicorn is the command line of the Flask app's server, without its address.
func (v values) Gunicorn() string {
	return fmt.Sprintf("gunicorn -w %d -k gthread --threads 4 --keep-alive 75 app:app", v.Cores)
}

func newSite(ctx context.Context, o options) (*site, error) {
	dir, err := os.MkdirTemp("", "flask2ban-peers-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir, conf: filepath.Join(o.dir, "conf")}
	s.values = values{Dir: dir, Refused: refusedSource, Rejected: rejectedSource, Cores: runtime.NumCPU(), Conf: s.conf}
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// prepare writes the files and starts the upstreams.
func (s *site) prepare(ctx context.Context) error {
	// nginx's workers are another user, and look for files below.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return err
	}
	files := filepath.Join(s.dir, "files")
	if err := os.MkdirAll(files, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(files, "big"), bytes.Repeat([]byte("x"), bodySize), 0o644); err != nil {
		return err
	}
	if err := writeCertificate(s.dir); err != nil {
		return err
	}
	return s.startStatic(ctx)
}

func (s *site) startStatic(ctx context.Context) error {
	var err error
	if s.values.Static, err = testbed.FreeAddr(); err != nil {
		return err
	}
	conf, err := s.fill("upstream.conf", s.values)
	if err != nil {
		return err
	}
	p, err := s.run("static upstream", exec.Command("nginx", "-e", "stderr", "-c", conf))
	if err != nil {
		return err
	}
	return awaitHTTP(ctx, p, s.values.Static)
}

// startFlask starts the Flask app for one peer. Each has its own: a proxy that
// opens connections ahead of need (Go's http.Transport does) keeps threads of
// gunicorn waiting for their first byte, which others would suffer from.
func (s *site) startFlask(ctx context.Context) (*testbed.Program, string, error) {
	addr, err := testbed.FreeAddr()
	if err != nil {
		return nil, "", err
	}
	words := strings.Fields(s.values.Gunicorn())
	cmd := exec.Command(words[0], append([]string{"-b", addr}, words[1:]...)...)
	cmd.Dir = s.conf
	p, err := s.run("Flask under gunicorn", cmd)
	if err != nil {
		return nil, "", err
	}
	return p, addr, awaitHTTP(ctx, p, addr)
}

// run starts a program that ends with the site. It has a process group of its own,
// so that Ctrl-C reaches it through us only.
func (s *site) run(name string, cmd *exec.Cmd) (*testbed.Program, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p, err := testbed.Start(name, cmd)
	if err != nil {
		return nil, err
	}
	s.children = append(s.children, p)
	return p, nil
}

// stopTime is what a program has for an orderly end.
const stopTime = 5 * time.Second

// close ends all that was started, the proxies before the upstreams.
func (s *site) close() {
	for _, p := range slices.Backward(s.children) {
		_ = p.Stop(stopTime) // whatever it left was killed, and was measured before
	}
	s.children = nil
	os.RemoveAll(s.dir)
}

// fill writes a published configuration with its values, and returns its path.
func (s *site) fill(name string, v values) (string, error) {
	text, err := os.ReadFile(filepath.Join(s.conf, name))
	if err != nil {
		return "", err
	}
	filled, err := fillText(name, string(text), v)
	if err != nil {
		return "", err
	}
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(filled), 0o644)
}

func fillText(name, text string, v values) (string, error) {
	t, err := template.New(name).Funcs(template.FuncMap{"port": portOf}).Parse(text)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, v)
	return b.String(), err
}

func portOf(addr string) (string, error) {
	_, port, err := net.SplitHostPort(addr)
	return port, err
}

// startTime is what a program has until it answers.
const startTime = 20 * time.Second

// awaitHTTP waits until / is answered with 200.
func awaitHTTP(ctx context.Context, p *testbed.Program, addr string) error {
	return p.Await(ctx, startTime, p.Name+" answers at "+addr, func() bool { return testbed.Answers("http://" + addr + "/") })
}

// get asks once, from a source address of choice, and returns status and body.
func get(addr, source, target string) (int, string, error) {
	return ask(addr, source, request("GET", target, "Connection: close"))
}
