package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// startFlask2ban starts it three times: as a sidecar in front of the static
// upstream, without and with TLS and HTTP/2, and with the Flask app as its
// child, where all of it is on.
func startFlask2ban(ctx context.Context, s *site, o options) (*peer, error) {
	binary, err := s.flask2ban(ctx, o)
	if err != nil {
		return nil, err
	}
	p := &peer{version: builtVersion(ctx, binary), fronts: map[front]entrance{}}
	side, err := s.startDaemon(ctx, binary, "static")
	if err != nil {
		return nil, err
	}
	p.fronts[toStatic] = side.entrance(binary)
	if side.refusesAtAccept() {
		p.fronts[atAccept] = side.entrance(binary)
	}
	secure, err := s.startDaemon(ctx, binary, "secure")
	if err != nil {
		return nil, err
	}
	e := secure.entrance(binary)
	p.fronts[overH2C] = e
	e.addr = secure.tls
	p.fronts[overTLS] = e
	whole, err := s.startDaemon(ctx, binary, "flask")
	if err != nil {
		return nil, err
	}
	e = whole.entrance(binary)
	e.judge = true
	p.fronts[toFlask] = e
	return p, nil
}

// flask2ban is the binary: the one asked for, or built now.
func (s *site) flask2ban(ctx context.Context, o options) (string, error) {
	if o.binary != "" {
		return filepath.Abs(o.binary)
	}
	binary := filepath.Join(s.dir, "flask2ban")
	commit := strings.TrimSpace(output(ctx, "git", "-C", o.dir, "describe", "--tags", "--always", "--dirty"))
	args := []string{"build", "-trimpath", "-pgo=cmd/flask2ban/cpu.pgo"} // as make build does
	args = append(args, s.profiles.tags()...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-ldflags", "-s -w -X main.release="+commit, "-o", binary, "./cmd/flask2ban")...)
	cmd.Dir = filepath.Dir(o.dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./cmd/flask2ban: %w\n%s", err, text)
	}
	return binary, nil
}

// builtVersion is the version that the binary was built with: "flask2ban
// VERSION (...)".
func builtVersion(ctx context.Context, binary string) string {
	words := strings.Fields(output(ctx, binary, "version"))
	if len(words) < 2 {
		return "unknown"
	}
	return words[1]
}

// daemon is one running flask2ban.
type daemon struct {
	*testbed.Program
	addr string
	tls  string // where it speaks HTTPS, if it does
}

// startDaemon starts flask2ban as a line of conf/flask2ban.txt says, with the
// bans that the file orders.
func (s *site) startDaemon(ctx context.Context, binary, kind string) (*daemon, error) {
	v := s.values
	v.App = filepath.Join(s.conf, "app.py")
	if kind == "overload" {
		v.App = filepath.Join(s.conf, "overload.py")
	}
	v.State = filepath.Join(s.dir, "state-"+kind)
	var err error
	if v.Listen, err = testbed.FreeAddr(); err != nil {
		return nil, err
	}
	if v.TLS, err = testbed.FreeAddr(); err != nil {
		return nil, err
	}
	lines, err := s.commandLines(v)
	if err != nil {
		return nil, err
	}
	if len(lines[kind]) == 0 {
		return nil, fmt.Errorf("conf/flask2ban.txt has no line %q", kind)
	}
	cmd := exec.Command(binary, lines[kind][0]...)
	cmd.Dir, cmd.Env = s.conf, s.profiles.env()
	p, err := s.run("flask2ban "+kind, cmd)
	if err != nil {
		return nil, err
	}
	if err := awaitHTTP(ctx, p, v.Listen); err != nil {
		return nil, err
	}
	d := &daemon{Program: p, addr: v.Listen, tls: v.TLS}
	if kind != "static" {
		return d, nil
	}
	for _, args := range lines["ban"] {
		if text, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("flask2ban %s: %w\n%s", strings.Join(args, " "), err, text)
		}
	}
	return d, d.checkBan()
}

// commandLines reads conf/flask2ban.txt: name, colon, arguments.
func (s *site) commandLines(v values) (map[string][][]string, error) {
	text, err := os.ReadFile(filepath.Join(s.conf, "flask2ban.txt"))
	if err != nil {
		return nil, err
	}
	filled, err := fillText("flask2ban.txt", string(text), v)
	if err != nil {
		return nil, err
	}
	lines := map[string][][]string{}
	for line := range strings.Lines(filled) {
		name, args, ok := strings.Cut(line, ": ")
		if ok && !strings.HasPrefix(line, "#") {
			lines[name] = append(lines[name], strings.Fields(args))
		}
	}
	return lines, nil
}

// entrance counts flask2ban's own processes as the proxy (the guard that stands
// between it and the app is the same program), all others below as the app.
func (d *daemon) entrance(binary string) entrance {
	part := func(own bool) []testbed.Stat {
		var list []testbed.Stat
		for _, s := range testbed.TreeOf(d.PID()) {
			if testbed.Runs(s.PID, binary) == own {
				list = append(list, s)
			}
		}
		return list
	}
	return entrance{
		addr:  d.addr,
		proxy: func() []testbed.Stat { return part(true) },
		app:   func() []testbed.Stat { return part(false) },
	}
}

// checkBan makes sure that what will be measured is a refusal.
func (d *daemon) checkBan() error {
	status, _, err := ask(d.addr, refusedSource, refusedRequest)
	if err == nil && status != http.StatusForbidden {
		err = fmt.Errorf("the banned client got %d", status)
	}
	return err
}

// toldTimes is how many refusals are explained before connections are refused.
const toldTimes = 10

// refusesAtAccept tries whether a banned peer's connections are closed once it
// was told.
func (d *daemon) refusesAtAccept() bool {
	var err error
	for range toldTimes + 2 {
		_, _, err = get(d.addr, rejectedSource, "/")
	}
	return err != nil
}

// makeSuspects sends three unknown paths from each of the sources, so that
// further ones are answered without the app. It fails where they are not.
func makeSuspects(from sources) func(context.Context, entrance) error {
	return func(ctx context.Context, e entrance) error {
		if !e.judge {
			return nil
		}
		return from.offend(ctx, e.addr, suspectRest)
	}
}

// offend has each source ask once for three unknown paths, and then rest.
func (s sources) offend(ctx context.Context, addr string, rest time.Duration) error {
	var paths []string
	for _, name := range []string{"one", "two", "three"} {
		paths = append(paths, request("GET", "/unknown/"+name, "User-Agent: bench"))
	}
	l := load{
		addr: addr, sources: s, once: true, perSource: len(paths), workers: concurrency,
		requests: paths, limit: suspectTime,
	}
	if got, err := l.run(ctx); err != nil || got.answers[http.StatusNotFound] < s.n*len(paths)*9/10 {
		return fmt.Errorf("making suspects: %v, answers %v", err, got.answers)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rest):
	}
	_, body, err := get(addr, s.at(0), "/unknown/one")
	if err == nil && !strings.Contains(body, "There is nothing at this address.") {
		err = errors.New("a suspect's unknown path was not answered by flask2ban: " + body)
	}
	return err
}
