package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// calmRSS is the memory once it has not shrunk for half a minute: what a burst
// has left is given back when it is calm.
func (d *daemon) calmRSS() int {
	least, since := d.rss(), time.Now()
	for time.Since(since) < 30*time.Second {
		time.Sleep(time.Second)
		if now := d.rss(); now < least*99/100 {
			least, since = now, time.Now()
		}
	}
	return least
}

// BenchmarkIdleWebSockets opens 10,000 WebSockets, or as many as the limit of
// open files allows (each takes two), and says what an idle one costs us in
// memory; and 2,000 over TLS, whose handshakes take longer. Each must still
// answer at the end.
func BenchmarkIdleWebSockets(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		d, _ := socketServer(b)
		idleWebSockets(b, d, 10_000, func(conn net.Conn) net.Conn { return conn })
	})
	b.Run("TLS", func(b *testing.B) {
		ca := newAuthority(b)
		cert, key := ca.files(b.TempDir(), "app.example")
		d, _ := socketServer(b, "--tls-cert", cert, "--tls-key", key)
		trusting := &tls.Config{RootCAs: ca.pool(), ServerName: "app.example"}
		idleWebSockets(b, d, 2_000, func(conn net.Conn) net.Conn { return tls.Client(conn, trusting) })
	})
}

// idleWebSockets opens them on connections that secured may wrap.
func idleWebSockets(b *testing.B, d *daemon, count int, secured func(net.Conn) net.Conn) {
	for b.Loop() {
		sockets := openIdle(b, d, mayOpen(b, count), func(from string) (*webSocket, error) {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
			conn, err := dialer.Dial("tcp", d.addr)
			if err != nil {
				return nil, err
			}
			s, res, err := shakeHands(secured(conn), d.addr, "/ws/idle")
			if err == nil && res.StatusCode != http.StatusSwitchingProtocols {
				err = fmt.Errorf("status %d", res.StatusCode)
			}
			if err == nil {
				s.conn.SetDeadline(time.Time{})
			}
			return s, err
		})
		for _, s := range sockets {
			s.echo(b, "still here")
			s.conn.Close()
		}
		d.await("all are closed", func() bool { return d.open() < 100 })
	}
}

// mayOpen is how many connections the limit of open files allows us, of want.
// Each takes two; 256 are kept for all else, see proxy.ServerConfig.
func mayOpen(b *testing.B, want int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		b.Fatal(err)
	}
	return min(want, int(limit.Max-256)/2-50)
}

// openIdle opens count of something, and reports what each costs the daemon in
// memory: just opened, and when it is calm.
func openIdle[T any](b *testing.B, d *daemon, count int, open func(from string) (T, error)) []T {
	before := d.rss()
	var group sync.WaitGroup
	all := make([]T, count)
	for worker := range 16 {
		group.Go(func() {
			for i := worker; i < count; i += 16 {
				one, err := open(fmt.Sprintf("127.0.5.%d", 10+i%200))
				if err != nil {
					b.Errorf("%d: %v", i, err)
					return
				}
				all[i] = one
			}
		})
	}
	group.Wait()
	if b.Failed() {
		b.FailNow()
	}
	each := func(rss int) float64 { return float64(rss-before) / float64(count) / 1024 }
	b.ReportMetric(float64(count), "open")
	b.ReportMetric(each(d.rss()), "KiB/opening")
	b.ReportMetric(each(d.calmRSS()), "KiB/idle")
	return all
}

// BenchmarkIdleStreams opens 5,000 streams of server-sent events on which one
// event has come, and says what an idle one costs us in memory.
func BenchmarkIdleStreams(b *testing.B) {
	for b.Loop() {
		more := make(chan struct{})
		raw := listenRaw(b, func(conn net.Conn, _ *http.Request) {
			conn.SetDeadline(time.Time{})
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
			<-more
			io.WriteString(conn, "data: 2\n\n")
		})
		d := start(b, b.TempDir(), "", testApp(b, "protocols.py"), "--upstream", "http://"+raw)
		type stream struct {
			io.Closer
			body *bufio.Reader
		}
		streams := openIdle(b, d, mayOpen(b, 5_000), func(from string) (stream, error) {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
			conn, err := dialer.Dial("tcp", d.addr)
			if err != nil {
				return stream{}, err
			}
			fmt.Fprintf(conn, "GET /stream HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
			if err != nil {
				return stream{}, err
			}
			s := stream{conn, bufio.NewReaderSize(res.Body, 16)}
			line, err := s.body.ReadString('\n')
			if err == nil && line != "data: 1\n" {
				err = fmt.Errorf("first line %q", line)
			}
			return s, err
		})
		close(more)
		for _, s := range streams {
			rest, err := io.ReadAll(s.body)
			if err != nil || !strings.Contains(string(rest), "data: 2") {
				b.Fatalf("the rest of a stream: %q, %v", rest, err)
			}
			s.Close()
		}
	}
}
