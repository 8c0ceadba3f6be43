package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crowdServer echoes bodies; what it sheds is counted by reason.
func crowdServer(t *testing.T, c ServerConfig, h http.HandlerFunc) (s *Server, shed func(reason string) int) {
	t.Helper()
	var mu sync.Mutex
	counts := map[string]int{}
	c.Listen = []string{"127.0.0.1:0"}
	c.Shed = func(reason string) { mu.Lock(); defer mu.Unlock(); counts[reason]++ }
	s, err := Listen(c, h)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { s.Serve(ctx) })
	t.Cleanup(func() { cancel(); s.Close(); group.Wait() })
	return s, func(reason string) int { mu.Lock(); defer mu.Unlock(); return counts[reason] }
}

func echo(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }

func (c *crowd) size(client string) (all, its int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.conns), c.held[netip.MustParseAddr(client)]
}

// Who opens all connections and says nothing keeps nobody out.
func TestCrowdTakesFromTheGreediest(t *testing.T) {
	s, shed := crowdServer(t, ServerConfig{MaxConnections: 20}, echo)
	at := s.Addrs()[0]
	flood(t, "127.0.1.1", at, 25)
	await(t, "all places are taken", func() bool { all, _ := s.crowd.size("127.0.1.1"); return all == 20 && shed("full") == 5 })
	for range 3 {
		good := dialAs(t, "127.0.1.2", at)
		io.WriteString(good, helloRequest)
		if got := answerOf(t, good); got != "hello" {
			t.Errorf("a good client: %s", got)
		}
	}
	if all, its := s.crowd.size("127.0.1.1"); all > 20 || its < 17 {
		t.Errorf("%d connections, %d of the greediest", all, its)
	}
}

// Where everybody has one, who comes takes the place of one that only waits,
// and who has one already gets no second.
func TestCrowdIsFair(t *testing.T) {
	s, shed := crowdServer(t, ServerConfig{MaxConnections: 10}, echo)
	at := s.Addrs()[0]
	for i := range 10 {
		dialAs(t, netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}).String(), at)
	}
	await(t, "all places are taken", func() bool { all, _ := s.crowd.size("127.0.1.1"); return all == 10 })
	flood(t, "127.0.1.1", at, 1)
	await(t, "its second is refused", func() bool { return shed("full") == 1 })
	if _, its := s.crowd.size("127.0.1.1"); its != 1 {
		t.Errorf("the first has %d", its)
	}
	next := dialAs(t, "127.0.1.99", at)
	io.WriteString(next, helloRequest)
	if got := answerOf(t, next); got != "hello" {
		t.Errorf("the next: %s", got)
	}
}

// flood opens connections that may be reset at any time.
func flood(t *testing.T, from string, at net.Addr, n int, say ...string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	for range n {
		conn, err := d.Dial("tcp", at.String())
		if err != nil {
			continue
		}
		t.Cleanup(func() { conn.Close() })
		for _, text := range say {
			io.WriteString(conn, text)
		}
	}
}

// Requests under way are not given up, unless their client has an eighth of all.
func TestCrowdSparesRequests(t *testing.T) {
	s, _ := crowdServer(t, ServerConfig{MaxConnections: 40}, echo)
	at := s.Addrs()[0]
	const head = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"
	var uploads []net.Conn
	for range 5 {
		conn := dialAs(t, "127.0.1.3", at)
		io.WriteString(conn, head)
		uploads = append(uploads, conn)
	}
	busy := func() (n int) {
		s.crowd.mu.Lock()
		defer s.crowd.mu.Unlock()
		for _, one := range s.crowd.conns {
			n += btoi(!one.waiting.Load())
		}
		return n
	}
	await(t, "all five are read", func() bool { return busy() == 5 })
	flood(t, "127.0.1.4", at, 60)
	for _, conn := range uploads {
		io.WriteString(conn, "hello")
		if got := answerOf(t, conn); got != "hello" {
			t.Errorf("an upload: %s", got)
		}
	}
	// One that fills the place with requests that never end does give way.
	flood(t, "127.0.1.4", at, 60, head)
	good := dialAs(t, "127.0.1.5", at)
	io.WriteString(good, helloRequest)
	if got := answerOf(t, good); got != "hello" {
		t.Errorf("a good client: %s", got)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Without file descriptors, one connection of the greediest makes room.
func TestCrowdRelieves(t *testing.T) {
	s, shed := crowdServer(t, ServerConfig{}, echo)
	conn := dialAs(t, "127.0.1.6", s.Addrs()[0])
	await(t, "it is taken", func() bool { all, _ := s.crowd.size("127.0.1.6"); return all == 1 })
	s.crowd.relieve(errors.New("another"))
	if all, _ := s.crowd.size("127.0.1.6"); all != 1 {
		t.Error("gave one up for another error")
	}
	s.crowd.relieve(&net.OpError{Op: "accept", Err: syscall.EMFILE})
	if got := answerOf(t, conn); got != "closed" || shed("descriptors") != 1 {
		t.Errorf("%s, %d shed", got, shed("descriptors"))
	}
}

// A client that takes nothing of a large answer loses its connection after a
// minute and what its bytes are worth; the clock is turned on by hand.
func TestCrowdEndsSlowReaders(t *testing.T) {
	ended := make(chan error, 1)
	s, shed := crowdServer(t, ServerConfig{MinRate: 500}, func(w http.ResponseWriter, r *http.Request) {
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		ended <- err
	})
	conn := dialAs(t, "127.0.1.7", s.Addrs()[0])
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: app\r\n\r\n")
	blocked := func() (due int64) {
		s.crowd.mu.Lock()
		defer s.crowd.mu.Unlock()
		for _, one := range s.crowd.conns {
			due = one.due.Load()
		}
		return due
	}
	await(t, "it is blocked", func() bool { return blocked() != 0 })
	select {
	case err := <-ended:
		t.Fatalf("ended early: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	s.crowd.clock.Add(int64(patience/time.Second) + 1<<20/500 + 2)
	select {
	case err := <-ended:
		await(t, "it is counted ("+err.Error()+")", func() bool { return shed("slow") == 1 })
	case <-time.After(20 * time.Second):
		t.Error("still blocked")
	}
}
