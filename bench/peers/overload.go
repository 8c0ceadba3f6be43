package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// The overload of supervision.md: four sync workers of gunicorn, 50 ms a
// request, ten times as many requests as that can serve, and one peer that
// goes first.
const (
	workers      = 4
	floodRate    = 800 // requests a second, whatever becomes of the others
	patience     = 2 * time.Second
	prioritySrc  = "127.99.0.1"
	priorityEach = 250 * time.Millisecond
	unloadedAsks = 60
	warmFlood    = 3 * time.Second
)

var floodSources = sources{net: 30, n: 500}

// contender is one policy before the app.
type contender struct {
	name, about string
	addr        string
}

// outcome is what one contender made of it.
type outcome struct {
	unloaded, loaded []time.Duration // of the priority peer's served requests
	asked            int             // by the priority peer, under load
	served           int             // of the rest
	refused          int             // of the rest, told at once or later
	lost             int             // of the rest: the client gave up, or was cut off
	elapsed          time.Duration
}

// overload measures all contenders, interleaved, and writes OVERLOAD.md.
func overload(ctx context.Context, o options, out io.Writer) error {
	if o.install {
		if err := install(ctx, out); err != nil {
			return err
		}
	}
	s, err := newSite(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	list, err := s.contenders(ctx, o)
	if err != nil {
		return err
	}
	capacity, err := s.capacity(ctx, list[0].addr)
	if err != nil {
		return err
	}
	if o.peers != nil {
		list = slices.DeleteFunc(list, func(c contender) bool { return !o.peers[c.name] })
	}
	results := make([]outcome, len(list))
	for round := range o.rounds {
		for i := range list {
			c := list[(i+round)%len(list)]
			fmt.Fprintf(out, "round %d: %s\n", round+1, c.name)
			if err := results[(i+round)%len(list)].measure(ctx, c.addr, o.length); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	page := overloadPage(ctx, o, list, results, capacity)
	fmt.Fprint(out, page)
	if !o.whole() {
		return nil
	}
	return os.WriteFile(filepath.Join(o.dir, "OVERLOAD.md"), []byte(page), 0o644)
}

// contenders starts all, each before a gunicorn of its own.
func (s *site) contenders(ctx context.Context, o options) ([]contender, error) {
	var list []contender
	add := func(name, about, addr string) { list = append(list, contender{name, about, addr}) }
	for _, start := range []func() error{
		func() error {
			addr, err := s.startPlain(ctx)
			add("plain forwarding", "`httputil.ReverseProxy`, no policy", addr)
			return err
		},
		func() error {
			v, err := s.startLimiting(ctx, "overload-nginx.conf", func(conf string) *exec.Cmd {
				return exec.Command("nginx", "-e", "stderr", "-c", conf)
			})
			add("nginx limit_req", "72 r/s for the rest, burst 4", v.Plain)
			add("nginx limit_conn", "3 at a time for the rest", v.App)
			return err
		},
		func() error {
			v, err := s.startLimiting(ctx, "overload-haproxy.cfg", func(conf string) *exec.Cmd {
				return exec.Command("haproxy", "-W", "-f", conf)
			})
			add("HAProxy", "maxconn 4, set-priority-class, timeout queue 1s", v.Plain)
			return err
		},
		func() error {
			addr, err := s.startQueueing(ctx, o)
			add("flask2ban", "one priority rule, all else at its default", addr)
			return err
		},
	} {
		if err := start(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Workers is the command line of the overloaded app's server.
func (v values) Workers() string { return fmt.Sprintf("gunicorn -w %d overload:app", workers) }

// Priority is who goes first.
func (v values) Priority() string { return prioritySrc }

// startWorkers starts the app for one contender.
func (s *site) startWorkers(ctx context.Context) (string, error) {
	addr, err := testbed.FreeAddr()
	if err != nil {
		return "", err
	}
	words := strings.Fields(s.values.Workers())
	cmd := exec.Command(words[0], append([]string{"-b", addr}, words[1:]...)...)
	cmd.Dir = s.conf
	p, err := s.run("Flask under gunicorn", cmd)
	if err != nil {
		return "", err
	}
	return addr, awaitHTTP(ctx, p, addr)
}

// startLimiting starts a peer with one configuration.
func (s *site) startLimiting(ctx context.Context, conf string, command func(string) *exec.Cmd) (values, error) {
	v := s.values
	var err error
	if v.Flask, err = s.startWorkers(ctx); err != nil {
		return v, err
	}
	for _, at := range []*string{&v.Plain, &v.App} {
		if *at, err = testbed.FreeAddr(); err != nil {
			return v, err
		}
	}
	path, err := s.fill(conf, v)
	if err != nil {
		return v, err
	}
	p, err := s.run(conf, command(path))
	if err != nil {
		return v, err
	}
	return v, awaitHTTP(ctx, p, v.Plain)
}

func (s *site) startQueueing(ctx context.Context, o options) (string, error) {
	binary, err := s.flask2ban(ctx, o)
	if err != nil {
		return "", err
	}
	d, err := s.startDaemon(ctx, binary, "overload")
	if err != nil {
		return "", err
	}
	return d.addr, nil
}

// startPlain runs this program as a proxy without any policy.
func (s *site) startPlain(ctx context.Context) (string, error) {
	flask, err := s.startWorkers(ctx)
	if err != nil {
		return "", err
	}
	addr, err := testbed.FreeAddr()
	if err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	p, err := s.run("plain forwarding", exec.Command(self, plainArg, addr, flask))
	if err != nil {
		return "", err
	}
	return addr, awaitHTTP(ctx, p, addr)
}

// plainArg makes this program the proxy of startPlain.
const plainArg = "forward-plainly"

// forwardPlainly is a minimal reverse proxy.
func forwardPlainly(addr, upstream string) error {
	return http.ListenAndServe(addr, httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream}))
}

// capacity is how many requests a second the app can serve: two requests wait
// for each worker at any time.
func (s *site) capacity(ctx context.Context, addr string) (float64, error) {
	l := load{addr: addr, sources: sources{net: 40, n: 2 * workers}, requests: []string{overloadRequest}, workers: 2 * workers, limit: 5 * time.Second}
	got, err := l.run(ctx)
	return float64(got.answers[http.StatusOK]) / got.elapsed.Seconds(), err
}

var (
	overloadRequest  = request("GET", "/", "User-Agent: bench")
	overloadRequest1 = request("GET", "/", "User-Agent: bench", "Connection: close")
)

// measure asks unloaded, then under load.
func (r *outcome) measure(ctx context.Context, addr string, length time.Duration) error {
	// What the last round left in the app's queue comes first.
	status := 0
	if err := testbed.Poll(ctx, time.Minute, func() (bool, error) {
		status, _ = askOnce(ctx, prioritySrc, addr)
		return status == http.StatusOK, nil
	}); err != nil {
		return fmt.Errorf("unloaded: status %d: %w", status, err)
	}
	for range unloadedAsks {
		status, took := askOnce(ctx, prioritySrc, addr)
		if status != http.StatusOK {
			return fmt.Errorf("unloaded: status %d", status)
		}
		r.unloaded = append(r.unloaded, took)
	}
	ctx, cancel := context.WithTimeout(ctx, warmFlood+length)
	defer cancel()
	measured := time.Now().Add(warmFlood)
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { r.ask(ctx, addr, measured) })
	r.flood(ctx, addr, measured)
	r.elapsed += length
	return nil
}

// ask is the priority peer: one request after the other.
func (r *outcome) ask(ctx context.Context, addr string, measured time.Time) {
	each := time.NewTicker(priorityEach)
	defer each.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case start := <-each.C:
			status, took := askOnce(context.WithoutCancel(ctx), prioritySrc, addr)
			if start.Before(measured) {
				continue
			}
			r.asked++
			if status == http.StatusOK {
				r.loaded = append(r.loaded, took)
			}
		}
	}
}

// flood is the rest: floodRate requests a second, each from the next address on
// a connection of its own, come what may.
func (r *outcome) flood(ctx context.Context, addr string, measured time.Time) {
	var mu sync.Mutex
	var open sync.WaitGroup
	defer open.Wait()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for due := int(now.Sub(begin).Seconds() * floodRate); sent < due; sent++ {
				source := floodSources.at(sent % floodSources.n)
				open.Go(func() {
					status, _ := askOnce(ctx, source, addr)
					if ended := time.Now(); ended.After(measured) && ctx.Err() == nil {
						mu.Lock()
						defer mu.Unlock()
						r.count(status)
					}
				})
			}
		}
	}
}

func (r *outcome) count(status int) {
	switch status {
	case http.StatusOK:
		r.served++
	case refusedAnswer:
		r.lost++
	default:
		r.refused++
	}
}

// askOnce asks over a connection of its own and leaves after patience.
func askOnce(ctx context.Context, source, addr string) (int, time.Duration) {
	start := time.Now()
	conn, err := dialFrom(source, addr)
	if err != nil {
		return refusedAnswer, time.Since(start)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetDeadline(start.Add(patience))
	status, err := exchangeOver(conn)
	if err != nil {
		return refusedAnswer, time.Since(start)
	}
	return status, time.Since(start)
}

func exchangeOver(conn net.Conn) (int, error) {
	if _, err := io.WriteString(conn, overloadRequest1); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, errors.Join(err, res.Body.Close())
}

// overloadPage is OVERLOAD.md.
func overloadPage(ctx context.Context, o options, list []contender, results []outcome, capacity float64) string {
	var b strings.Builder
	m := describeMachine(ctx, nil)
	fmt.Fprintf(&b, "# Overload\n\n`make bench-overload`, %s: %d interleaved rounds of %s each, after %s of the same load. ",
		m.at.Format("2006-01-02 15:04 UTC"), o.rounds, o.length, warmFlood)
	fmt.Fprintf(&b, "A Flask app under gunicorn, %d sync workers, 50 ms a request; %d requests/s from %d addresses of 127/8, each on a connection of its own, which leave after %s; one priority peer that asks each %s. ",
		workers, floodRate, floodSources.n, patience, priorityEach)
	fmt.Fprintf(&b, "What the app can serve was measured too, with 8 requests at any time: %.1f requests/s. Served means 200 within %s. Load, proxies and apps share the machine. Configurations: [conf/](conf/).\n\n", capacity, patience)
	fmt.Fprintf(&b, "Machine: %s, %d cores, %s, Linux %s. Versions: nginx %s, HAProxy %s, %s.\n\n", m.cpu, m.cores, m.system, m.kernel,
		versionOf(ctx, "nginx", "-v"), versionOf(ctx, "haproxy", "-v"), strings.Join(m.versions, ", "))
	b.WriteString("| | policy | priority served | p50 | p99 | p99 unloaded | × unloaded | rest served/s | of capacity | rest refused/s | rest lost/s |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, c := range list {
		b.WriteString(results[i].row(c, capacity))
	}
	return b.String()
}

func (r *outcome) row(c contender, capacity float64) string {
	slices.Sort(r.unloaded)
	slices.Sort(r.loaded)
	each := func(n int) float64 { return float64(n) / r.elapsed.Seconds() }
	base, p99, times := quantile(r.unloaded, .99), "-", "-"
	if len(r.loaded) > 0 {
		p99 = short(quantile(r.loaded, .99))
		times = fmt.Sprintf("%.2f", quantile(r.loaded, .99).Seconds()/base.Seconds())
	}
	return fmt.Sprintf("| %s | %s | %.0f %% | %s | %s | %s | %s | %.1f | %.0f %% | %.0f | %.0f |\n", c.name, c.about,
		100*float64(len(r.loaded))/float64(max(1, r.asked)), short(quantile(r.loaded, .5)), p99, short(base), times,
		each(r.served), 100*each(r.served)/capacity, each(r.refused), each(r.lost))
}
