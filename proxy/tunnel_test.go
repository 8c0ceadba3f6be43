package proxy

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// changing answers 101 and gives the connection to talk; hello follows the
// answer's header in the same segment.
func changing(hello string, talk func(net.Conn, *bufio.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"+hello)
		talk(conn, buf.Reader)
	}
}

// upgradeRequest is what a client begins with.
const upgradeRequest = "GET /user/a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: chat\r\nUser-Agent: tester\r\n\r\n"

// caller is a client's end of a tunnel through g.
type caller struct {
	net.Conn
	in *bufio.Reader
}

// CloseWrite half-closes, over TLS or without.
func (c caller) CloseWrite() error { return closeWrite(c.Conn) }

// call changes the protocol over front, and sends early with the request.
func call(t testing.TB, front net.Conn, early string) caller {
	t.Helper()
	t.Cleanup(func() { front.Close() })
	front.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(front, upgradeRequest+early); err != nil {
		t.Fatal(err)
	}
	c := caller{front, bufio.NewReader(front)}
	res, err := http.ReadResponse(c.in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Upgrade") != "chat" {
		t.Fatalf("change of protocol: %v %v", res, err)
	}
	return c
}

// dialer connects to a rig.
type dialer func(t testing.TB, g *rig) net.Conn

func dialPlain(t testing.TB, g *rig) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", g.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dialTLS connects to a second front of g, which speaks TLS.
func dialTLS(t testing.TB, g *rig) net.Conn {
	t.Helper()
	front := httptest.NewTLSServer(g.handler)
	t.Cleanup(front.Close)
	c, err := tls.Dial("tcp", front.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// dialServed connects to a Server, as the daemon has it, with its crowd.
func dialServed(t testing.TB, g *rig) net.Conn {
	t.Helper()
	s := serveRig(t, g, ServerConfig{})
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serveRig(t testing.TB, g *rig, c ServerConfig) *Server {
	t.Helper()
	c.Listen = []string{"127.0.0.1:0"}
	s, err := Listen(c, g.handler)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { s.Serve(t.Context()) })
	t.Cleanup(group.Wait)
	t.Cleanup(s.Close)
	return s
}

var dialers = map[string]dialer{"plain": dialPlain, "TLS": dialTLS, "served": dialServed}

// TestTunnel: all bytes pass both ways, those also that come in one segment with
// the request or with the answer; each side may end before the other; and the
// exchange ends with the tunnel, bytes counted.
func TestTunnel(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log lockedLog
			g := newRig(t, changing("hello ", func(conn net.Conn, in *bufio.Reader) {
				line, _ := in.ReadString('\n')
				io.WriteString(conn, line)
				all, err := io.ReadAll(in) // until the client has ended
				fmt.Fprintf(conn, "%d bytes, %v\n", len(all), err)
			}), func(c *Config, _ *ban.Config) { c.AccessLog = NewAccessLog(&log, nil) })
			c := call(t, dial(t, g), "early\n")
			if got, err := c.in.ReadString('\n'); got != "hello early\n" || err != nil {
				t.Fatalf("got %q, %v", got, err)
			}
			if got := log.String(); got != "" {
				t.Errorf("logged before its end: %q", got)
			}
			if _, err := c.Write(make([]byte, 100_000)); err != nil {
				t.Fatal(err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c.in); string(got) != "100000 bytes, <nil>\n" || err != nil {
				t.Errorf("after the client's end: %q, %v", got, err)
			}
			c.Close()
			want := `"GET /user/a HTTP/1.1" 101 32 "-" "tester"`
			await(t, "the line in the log", func() bool { return strings.Contains(log.String(), want) })
			await(t, "no WebSocket open", func() bool { return openTunnels(g) == 0 })
		})
	}
}

// lockedLog takes log lines from any goroutine.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func openTunnels(g *rig) int {
	u := &g.handler.lasting
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.open)
}

// TestTunnelEcho: pieces of all sizes around those of our buffers come back as
// they went, in whatever parts they come.
func TestTunnelEcho(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, changing("", func(conn net.Conn, in *bufio.Reader) { io.Copy(conn, in) }), nil)
			c := call(t, dial(t, g), "")
			for _, size := range []int{1, 2, smallBuffer - 1, smallBuffer, smallBuffer + 1, 2 * smallBuffer, bufferSize, bufferSize + smallBuffer, 1 << 20} {
				want := make([]byte, size)
				rand.Read(want)
				sent := make(chan error, 1)
				go func() {
					_, err := c.Write(want)
					sent <- err
				}()
				got := make([]byte, size)
				if _, err := io.ReadFull(c.in, got); err != nil || !bytes.Equal(got, want) || <-sent != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
			}
		})
	}
}

// TestTunnelPressesBack: a client that takes nothing stops the app's writing,
// and gets all once it reads.
func TestTunnelPressesBack(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const chunk = 1 << 20
			filled := make(chan int, 1)
			g := newRig(t, changing("", func(conn net.Conn, _ *bufio.Reader) {
				n, total := 0, 0
				var err error
				for err == nil { // until half a second passes in which nothing is taken
					conn.SetWriteDeadline(time.Now().Add(time.Second / 2))
					n, err = conn.Write(make([]byte, chunk))
					total += n
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the app's writing ended with %v", err)
				}
				filled <- total
			}), nil)
			c := call(t, dial(t, g), "")
			total := <-filled
			if got, err := io.Copy(io.Discard, c.in); int(got) != total || err != nil {
				t.Errorf("the client got %d bytes of %d, %v", got, total, err)
			}
		})
	}
}

// TestTunnelEndsWhole: a side that resets ends the other.
func TestTunnelEndsWhole(t *testing.T) {
	for name, dial := range dialers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := make(chan error, 1)
			resets := make(chan bool, 1)
			g := newRig(t, changing("x", func(conn net.Conn, in *bufio.Reader) {
				if <-resets {
					conn.(*net.TCPConn).SetLinger(0)
					return
				}
				conn.SetReadDeadline(time.Now().Add(time.Minute))
				_, err := in.ReadByte()
				told <- err
			}), nil)
			resets <- true
			c := call(t, dial(t, g), "")
			if _, err := io.Copy(io.Discard, c.in); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the app's reset did not reach the client")
			}
			resets <- false
			c = call(t, dial(t, g), "")
			c.in.ReadByte()
			switch conn := c.Conn.(type) {
			case *tls.Conn:
				conn.NetConn().(*net.TCPConn).SetLinger(0)
				conn.NetConn().Close()
			case *net.TCPConn:
				conn.SetLinger(0)
				conn.Close()
			}
			if err := <-told; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the client's reset reached the app as %v", err)
			}
			await(t, "no WebSocket open", func() bool { return openTunnels(g) == 0 })
		})
	}
}

// TestTunnelToTLS: an app that speaks TLS itself.
func TestTunnelToTLS(t *testing.T) {
	t.Parallel()
	back := httptest.NewTLSServer(changing("hello ", func(conn net.Conn, in *bufio.Reader) {
		io.Copy(conn, in)
		conn.(*tls.Conn).CloseWrite()
	}))
	t.Cleanup(back.Close)
	at, err := url.Parse(back.URL)
	if err != nil {
		t.Fatal(err)
	}
	g := newRig(t, nil, nil)
	g.handler.Upstream, g.app.tls = at, true
	c := call(t, dialServed(t, g), strings.Repeat("early ", 2000))
	c.Write([]byte("late"))
	c.CloseWrite()
	if got, err := io.ReadAll(c.in); string(got) != "hello "+strings.Repeat("early ", 2000)+"late" || err != nil {
		t.Errorf("got %d bytes, %v: %.40q", len(got), err, got)
	}
}

// BenchmarkTunnel: messages there and back through a tunnel's two directions,
// beside io.Copy as httputil.ReverseProxy uses it.
func BenchmarkTunnel(b *testing.B) {
	ways := map[string]func(to, from net.Conn){
		"ours": func(to, from net.Conn) { pass(to, newSource(from, nil)) },
		"io.Copy": func(to, from net.Conn) {
			io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
		},
	}
	for _, size := range []int{32, 4 << 10, 256 << 10} {
		for name, copyAll := range ways {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				near, user := tcpPair(b)
				far, app := tcpPair(b)
				go copyAll(app, user)
				go copyAll(user, app)
				go io.Copy(struct{ io.Writer }{far}, struct{ io.Reader }{far})
				message, back := make([]byte, size), make([]byte, size)
				b.SetBytes(int64(2 * size))
				for b.Loop() {
					if size > 64<<10 {
						go near.Write(message)
					} else {
						near.Write(message)
					}
					if _, err := io.ReadFull(near, back); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// tcpPair are the two ends of a connection.
func tcpPair(b testing.TB) (net.Conn, net.Conn) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}
