package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// front is one way into a proxy.
type front string

const (
	toStatic front = "static" // HTTP/1.1, the static upstream behind
	toFlask  front = "flask"  // HTTP/1.1, the Flask app behind
	overTLS  front = "tls"    // HTTPS, the static upstream behind
	overH2C  front = "h2c"    // HTTP/2 without TLS, the static upstream behind
	atAccept front = "accept" // refuses rejectedSource when it connects
)

// peer is one proxy under measurement.
type peer struct {
	name    string
	version string
	fronts  map[front]entrance
}

// entrance is an address with the processes that stand behind it.
type entrance struct {
	addr  string
	proxy func() []testbed.Stat // the proxy's own processes
	app   func() []testbed.Stat // the Flask app's
	judge bool                  // it judges clients by what they ask
}

// starters bring up each proxy; the next peer is one line.
var starters = []struct {
	name  string
	start func(context.Context, *site, options) (*peer, error)
}{
	{"nginx", startNginx},
	{"HAProxy", startHAProxy},
	{"Caddy", startCaddy},
	{"flask2ban", startFlask2ban},
}

// start brings up the chosen peers.
func (s *site) start(ctx context.Context, o options, out io.Writer) ([]*peer, error) {
	var peers []*peer
	for _, st := range starters {
		if o.peers != nil && !o.peers[st.name] {
			continue
		}
		p, err := st.start(ctx, s, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.name, err)
		}
		p.name = st.name
		fmt.Fprintf(out, "%s %s is up\n", p.name, p.version)
		peers = append(peers, p)
	}
	return peers, nil
}

func startNginx(ctx context.Context, s *site, _ options) (*peer, error) {
	return s.startPeer(ctx, "nginx.conf", []front{toStatic, toFlask, overTLS, overH2C}, func(conf string) *exec.Cmd {
		return exec.Command("nginx", "-e", "stderr", "-c", conf)
	}, "nginx", "-v")
}

func startHAProxy(ctx context.Context, s *site, _ options) (*peer, error) {
	return s.startPeer(ctx, "haproxy.cfg", []front{toStatic, toFlask, overTLS, overH2C, atAccept}, func(conf string) *exec.Cmd {
		return exec.Command("haproxy", "-W", "-f", conf)
	}, "haproxy", "-v")
}

func startCaddy(ctx context.Context, s *site, _ options) (*peer, error) {
	return s.startPeer(ctx, "Caddyfile", []front{toStatic, toFlask, overTLS, overH2C}, func(conf string) *exec.Cmd {
		cmd := exec.Command("caddy", "run", "--config", conf, "--adapter", "caddyfile")
		home := filepath.Join(s.dir, "caddy")
		cmd.Env = append(cmd.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
		return cmd
	}, "caddy", "version")
}

// startPeer starts a proxy that has one configuration file and one process
// tree for all its fronts.
func (s *site) startPeer(ctx context.Context, conf string, fronts []front, command func(string) *exec.Cmd, version ...string) (*peer, error) {
	v := s.values
	flask, addr, err := s.startFlask(ctx)
	if err != nil {
		return nil, err
	}
	v.Flask = addr
	at := map[front]*string{toStatic: &v.Plain, toFlask: &v.App, overTLS: &v.TLS, overH2C: &v.H2C}
	for _, f := range []front{toStatic, toFlask, overTLS, overH2C} {
		if *at[f], err = testbed.FreeAddr(); err != nil {
			return nil, err
		}
	}
	at[atAccept] = at[toStatic]
	path, err := s.fill(conf, v)
	if err != nil {
		return nil, err
	}
	proc, err := s.run(conf, command(path))
	if err != nil {
		return nil, err
	}
	p := &peer{version: versionOf(ctx, version...), fronts: map[front]entrance{}}
	for _, f := range fronts {
		p.fronts[f] = entrance{
			addr:  *at[f],
			proxy: func() []testbed.Stat { return testbed.TreeOf(proc.PID()) },
			app:   func() []testbed.Stat { return testbed.TreeOf(flask.PID()) },
		}
	}
	for _, f := range []front{toStatic, toFlask} {
		if err := awaitHTTP(ctx, proc, p.fronts[f].addr); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// taken is what processes have taken so far.
type taken struct {
	cpu time.Duration
	rss int64
}

func sum(stats []testbed.Stat) taken {
	var t taken
	for _, s := range stats {
		t.cpu += s.CPU
		t.rss += s.RSS
	}
	return t
}
