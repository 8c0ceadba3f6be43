package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// load is HTTP/1.1 from source addresses of choice, which wrk can't do. It is
// bounded in time, and by its sources where each comes once.
type load struct {
	addr    string
	sources sources
	// once: each source comes once, else they come again and again.
	once bool
	// perSource is how many requests a source sends in one visit, one after
	// the other; 0 for as long as the load lasts.
	perSource int
	// requests are sent in turn; none only connects and awaits the end.
	requests []string
	// body goes after each request.
	body    []byte
	workers int
	limit   time.Duration
}

// sources are n addresses 127.net.x.y.
type sources struct {
	net byte
	n   int
	one string // this one only, where it is set
}

const perSubnet = 250

func (s sources) at(i int) string {
	if s.one != "" {
		return s.one
	}
	return netip.AddrFrom4([4]byte{127, s.net, byte(i / perSubnet), byte(1 + i%perSubnet)}).String()
}

// refusedAnswer stands for a connection that was closed without an answer.
const refusedAnswer = 0

// tally is what a load got.
type tally struct {
	answers   map[int]int // by status
	latencies []time.Duration
	elapsed   time.Duration
}

func (t *tally) note(status int, took time.Duration) {
	t.answers[status]++
	t.latencies = append(t.latencies, took)
}

// run sends the load. Its error is one of ours, such as no free port; what the
// server does is in the tally.
func (l load) run(ctx context.Context) (tally, error) {
	ctx, cancel := context.WithTimeout(ctx, l.limit)
	defer cancel()
	tallies := make([]tally, l.workers)
	failures := make([]error, l.workers)
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for w := range l.workers {
		tallies[w].answers = map[int]int{}
		group.Go(func() { failures[w] = l.work(ctx, &next, &tallies[w]) })
	}
	group.Wait()
	all := tally{answers: map[int]int{}, elapsed: time.Since(start)}
	for _, t := range tallies {
		for status, n := range t.answers {
			all.answers[status] += n
		}
		all.latencies = append(all.latencies, t.latencies...)
	}
	slices.Sort(all.latencies)
	return all, errors.Join(failures...)
}

// work is one worker: one source after the other.
func (l load) work(ctx context.Context, next *atomic.Int64, t *tally) error {
	for ctx.Err() == nil {
		i := int(next.Add(1) - 1)
		if l.once && i >= l.sources.n {
			return nil
		}
		v := visit{load: l, source: l.sources.at(i % l.sources.n), tally: t}
		if err := v.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// visit is one source's requests, over one connection while the server keeps it.
type visit struct {
	load
	source string
	tally  *tally
	conn   net.Conn
	reader *bufio.Reader
}

func (v *visit) run(ctx context.Context) error {
	defer v.close()
	for k := 0; ctx.Err() == nil && (v.perSource == 0 || k < v.perSource); k++ {
		start := time.Now()
		if v.conn == nil {
			if err := v.open(); err != nil {
				if ours(err) {
					return fmt.Errorf("connect from %s: %w", v.source, err)
				}
				v.tally.note(refusedAnswer, time.Since(start))
				continue
			}
		}
		v.tally.note(v.ask(k), time.Since(start))
	}
	return nil
}

// ours says that a connection failed for a reason on our side.
func ours(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EMFILE)
}

func (v *visit) open() error {
	conn, err := dialFrom(v.source, v.addr)
	if err != nil {
		return err
	}
	v.conn = conn
	if v.reader == nil {
		v.reader = bufio.NewReader(conn)
	} else {
		v.reader.Reset(conn)
	}
	return conn.SetDeadline(time.Now().Add(v.limit + 10*time.Second))
}

func (v *visit) close() {
	if v.conn != nil {
		v.conn.Close()
		v.conn = nil
	}
}

// ask sends the k-th request and returns the answer's status.
func (v *visit) ask(k int) int {
	if len(v.requests) > 0 {
		if _, err := io.WriteString(v.conn, v.requests[k%len(v.requests)]); err != nil {
			v.close()
			return refusedAnswer
		}
		if len(v.body) > 0 {
			v.conn.Write(v.body) // an answer may come all the same
		}
	}
	res, err := http.ReadResponse(v.reader, nil)
	if err != nil {
		v.close()
		return refusedAnswer
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err != nil || res.Close {
		v.close()
	}
	return res.StatusCode
}

// bindNoPort is IP_BIND_ADDRESS_NO_PORT (ip(7)): the port is chosen when we
// connect, so that one serves for several destinations.
const bindNoPort = 24

// dialFrom connects from a source address; empty leaves it to the kernel.
func dialFrom(source, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, KeepAlive: -1}
	if source != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
		d.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindNoPort, 1)
			}); e != nil {
				return e
			}
			return err
		}
	}
	return d.Dial("tcp", addr)
}

// request is a request's header as bytes.
func request(method, target string, headers ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: bench\r\n", method, target)
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// ask sends one request's bytes and reads the answer's status and body.
func ask(addr, source, bytes string) (int, string, error) {
	conn, err := dialFrom(source, addr)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, bytes); err != nil {
		return 0, "", err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(body), err
}
