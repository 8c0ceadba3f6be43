package admin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/state"
)

// TestManyOperatorsAtOnce bans and lifts from many goroutines; nothing may be
// lost or left.
func TestManyOperatorsAtOnce(t *testing.T) {
	d := run(t)
	const operators, each = 8, 25
	var group sync.WaitGroup
	for n := range operators {
		group.Go(func() {
			for i := range each {
				client := fmt.Sprintf("198.51.%d.%d", n, i)
				if _, err := d.client.Ban(t.Context(), admin.Order{Client: client}); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					continue
				}
				if _, err := d.client.Unban(t.Context(), client, false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	bans, err := d.client.Bans(t.Context())
	if want := operators * (each/2 + 1); err != nil || len(bans) != want {
		t.Errorf("%d bans, want %d (%v)", len(bans), want, err)
	}
}

// bare is a server on a listener, with the means to end it.
func bare(t *testing.T, l net.Listener, change func(*admin.Config)) (stop func() error) {
	t.Helper()
	engine, err := ban.New(ban.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := admin.Config{Engine: engine, Log: slog.New(slog.DiscardHandler)}
	change(&c)
	s, err := admin.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	return func() error { cancel(); return <-done }
}

// TestTheEndWaitsForRequests: an answer that is under way is still given.
func TestTheEndWaitsForRequests(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	stop := bare(t, l, func(c *admin.Config) {
		c.Ready = func() error { close(asked); <-answer; return nil }
	})
	status := make(chan int, 1)
	go func() {
		status <- request(t, "GET", l.Addr().String(), "/readyz", "").status
	}()
	<-asked
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	close(answer)
	if got := <-status; got != http.StatusOK {
		t.Errorf("got %d", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTheEndIsBounded: an answer that never comes doesn't keep the daemon.
func TestTheEndIsBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked, answer := make(chan struct{}), make(chan struct{})
	defer close(answer)
	stop := bare(t, l, func(c *admin.Config) {
		c.Ready = func() error { close(asked); <-answer; return nil }
	})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	<-asked
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// TestIPv6Loopback is as local as IPv4's.
func TestIPv6Loopback(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	stop := bare(t, l, func(*admin.Config) {})
	if got := request(t, "GET", l.Addr().String(), "/api/v1/bans", ""); got.status != http.StatusOK {
		t.Errorf("got %+v", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestTheSocketNeedsNeitherTokenNorHost: who opens it is the operator.
func TestTheSocketNeedsNeitherTokenNorHost(t *testing.T) {
	d := run(t)
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return state.Dial(ctx, d.dir) },
	}
	req, err := http.NewRequest(http.MethodDelete, "http://evil.example/api/v1/bans/192.0.2.1", nil)
	if err != nil {
		t.Fatal(err)
	}
	d.add(t, "192.0.2.1", time.Hour)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("got %s", resp.Status)
	}
}

// TestTheClientComesBack: after the daemon's restart the same client works.
func TestTheClientComesBack(t *testing.T) {
	dir := t.TempDir()
	client := admin.NewClient(dir)
	defer client.Close()
	for range 2 {
		l, err := state.Listen(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		stop := bare(t, l, func(*admin.Config) {})
		if _, err := client.Bans(t.Context()); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if _, err := client.Bans(t.Context()); !errors.Is(err, admin.ErrNotRunning) {
			t.Errorf("after its end: %v", err)
		}
	}
}

// TestTheClientTellsStrangersApart: something else may answer on the socket.
func TestTheClientTellsStrangersApart(t *testing.T) {
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{200, "<html>", "read the daemon's answer: invalid character '<' looking for beginning of value; is it of another version?"},
		{502, "<html>", "the daemon answered 502 Bad Gateway"},
		{409, `{"error": "no"}`, "no"},
	} {
		dir := t.TempDir()
		l, err := state.Listen(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.body)
		})}
		done := make(chan error, 1)
		go func() { done <- server.Serve(l) }()
		client := admin.NewClient(dir)
		if _, err := client.Bans(t.Context()); err == nil || err.Error() != tt.want {
			t.Errorf("%d %s: got %v, want %s", tt.status, tt.body, err, tt.want)
		}
		client.Close()
		server.Close()
		<-done
	}
}

// TestObserveMode: a ban by hand is listed and can be lifted though it refuses
// nobody.
func TestObserveMode(t *testing.T) {
	engine, err := ban.New(ban.Config{Observe: true})
	if err != nil {
		t.Fatal(err)
	}
	d := run(t, func(c *admin.Config) { c.Engine = engine })
	b, err := d.client.Ban(t.Context(), admin.Order{Client: "2001:db8::1", Duration: "2h"})
	if err != nil || b.Client != netip.MustParsePrefix("2001:db8::/64") || !b.Observed {
		t.Errorf("got %+v, %v", b, err)
	}
	if r, err := d.client.Unban(t.Context(), "2001:db8::1", false); err != nil || r.Removed.Client != b.Client {
		t.Errorf("got %+v, %v", r, err)
	}
}
