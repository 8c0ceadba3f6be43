package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// debianPython has the packages that the tests install.
const debianPython = "/usr/bin/python3"

// socketServer runs python3-websockets, and flask2ban in front of it.
func socketServer(t testing.TB, args ...string) (d *daemon, server *exec.Cmd) {
	t.Helper()
	addr := freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	server = exec.Command(debianPython, testApp(t, "sockets.py"), port)
	out := &lockedBuffer{}
	server.Stdout, server.Stderr = out, out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
		if t.Failed() {
			t.Logf("the WebSocket server printed %s", tail(out.String(), 4000))
		}
	})
	d = start(t, t.TempDir(), "", append([]string{testApp(t, "socketroutes.py"), "--upstream", "http://" + addr}, args...)...)
	d.await("the server is up", func() bool { return testbed.Answers("http://" + addr + "/plain") })
	return d, server
}

// TestWebSocketMessages: what RFC 6455 has passes both ways, to python3-websockets.
func TestWebSocketMessages(t *testing.T) {
	d, _ := socketServer(t)
	s := d.socket("127.0.5.2", "/ws/a")
	s.echo(t, "text, grüß Gott")
	large := make([]byte, 16<<20)
	rand.Read(large)
	for _, message := range [][]byte{{}, {0, 255, 10}, large} {
		sent := make(chan error, 1)
		go func() { sent <- s.send(wsFinal|wsBinary, message) }()
		head, got, err := s.receive()
		if err != nil || head != wsFinal|wsBinary || !bytes.Equal(got, message) || <-sent != nil {
			t.Fatalf("%d bytes: got %#x, %d bytes, %v", len(message), head, len(got), err)
		}
	}
	// A message in three frames with a ping between them (RFC 6455 5.4).
	s.send(wsText, []byte("in "))
	s.send(wsFinal|wsPing, []byte("from the client"))
	s.wantFrame(t, wsFinal|wsPong, "from the client")
	s.send(wsMore, []byte("three "))
	s.send(wsFinal|wsMore, []byte("parts"))
	s.wantFrame(t, wsFinal|wsText, "in three parts")
	// And one from the server.
	s.send(wsFinal|wsText, []byte("parts"))
	s.wantFrame(t, wsText, "one ")
	s.wantFrame(t, wsMore, "two ")
	s.wantFrame(t, wsMore, "three")
	s.wantFrame(t, wsFinal|wsMore, "")
	s.send(wsFinal|wsText, []byte("ping"))
	s.wantFrame(t, wsFinal|wsPing, "from the server")
	s.send(wsFinal|wsPong, []byte("from the server"))
	s.wantFrame(t, wsFinal|wsText, "pong came")
}

// TestWebSocketCloseCodes: the server's reaches the client, and the client's the server.
func TestWebSocketCloseCodes(t *testing.T) {
	d, _ := socketServer(t)
	for _, code := range []int{1000, 1001, 1009, 1011, 3000, 4999} {
		s := d.socket("127.0.5.3", "/ws/a")
		s.send(wsFinal|wsText, fmt.Appendf(nil, "close %d so it ends", code))
		s.wantFrame(t, wsFinal|wsClose, string([]byte{byte(code >> 8), byte(code)})+"so it ends")
		s.send(wsFinal|wsClose, []byte{byte(code >> 8), byte(code)})
		s.wantEnd(t)

		c := d.socket("127.0.5.3", "/ws/closer")
		c.send(wsFinal|wsClose, append([]byte{byte(code >> 8), byte(code)}, "mine"...))
		c.wantFrame(t, wsFinal|wsClose, string([]byte{byte(code >> 8), byte(code)})+"mine")
		c.wantEnd(t)
		want := fmt.Sprint(code, " mine")
		d.await("the server has the client's code "+want, func() bool {
			a := d.socket("127.0.5.3", "/ws/a")
			defer a.conn.Close()
			a.send(wsFinal|wsText, []byte("last"))
			_, got, err := a.receive()
			return err == nil && string(got) == want
		})
	}
	// A client that just leaves: the server is told.
	d.socket("127.0.5.3", "/ws/closer").conn.Close()
	d.await("the server noticed", func() bool {
		a := d.socket("127.0.5.3", "/ws/a")
		defer a.conn.Close()
		a.send(wsFinal|wsText, []byte("last"))
		_, got, _ := a.receive()
		return strings.HasPrefix(string(got), "1006")
	})
}

// TestUpgradeOnlyWhereAsked: a plain route stays the app's business, and a
// change of protocol that the client did not ask for is refused.
func TestUpgradeOnlyWhereAsked(t *testing.T) {
	d, _ := socketServer(t)
	if _, res, err := openSocket("127.0.5.4", d.addr, "/plain"); err != nil || res.StatusCode != 200 {
		t.Errorf("upgrade to a plain route: %v %v, want the server's 200", res, err)
	}
	if status, body := d.from("127.0.5.4").get("/ws/a"); status != 200 || body != "plain\n" {
		t.Errorf("a WebSocket's route without upgrade: %d %q, want the server's answer", status, body)
	}
	raw := listenRaw(t, func(conn net.Conn, _ *http.Request) {
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nand now for something else")
	})
	up := start(t, t.TempDir(), "", testApp(t, "protocols.py"), "--upstream", "http://"+raw)
	c := up.from("127.0.5.5")
	for _, method := range []string{"GET", "POST", "HEAD"} {
		if status, _ := c.do(method, "/seen/x", nil); status != http.StatusBadGateway {
			t.Errorf("%s, 101 that nobody asked for: %d, want 502", method, status)
		}
	}
	if _, res, err := openSocket("127.0.5.5", up.addr, "/ws"); err != nil || res.StatusCode != 101 {
		// The key's answer is missing, which is the client's to see.
		if res == nil || res.StatusCode != 101 {
			t.Errorf("asked for: %v %v", res, err)
		}
	}
	if status, _ := c.get("/seen/x", "Connection", "Upgrade", "Upgrade", "chat"); status != http.StatusBadGateway {
		t.Errorf("another protocol than asked for: %d, want 502", status)
	}
}

// TestBannedWebSocket: a client that is banned loses its WebSocket, and nobody
// else does; neither does a change of configuration close any.
func TestBannedWebSocket(t *testing.T) {
	d, _ := socketServer(t)
	bad, good := d.socket("127.0.5.66", "/ws/a"), d.socket("127.0.5.7", "/ws/a")
	bad.echo(t, "hello")
	if out, err := d.cli("reload"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bad.echo(t, "still here")
	if out, err := d.cli("bans", "add", "127.0.5.66"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bad.conn.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := bad.in.ReadByte(); err == nil || isTimeout(err) {
		t.Errorf("the banned client's WebSocket: %v, want it closed", err)
	}
	good.echo(t, "good")
	if _, res, err := openSocket("127.0.5.66", d.addr, "/ws/a"); err == nil && res.StatusCode != http.StatusForbidden {
		t.Errorf("the banned client's next: %d", res.StatusCode)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// TestWebSocketHoldsNoSlot: the app has one slot, and three WebSockets take none of it.
func TestWebSocketHoldsNoSlot(t *testing.T) {
	d, _ := socketServer(t, "--app-concurrency", "1", "--queue-wait", "60s")
	for range 3 {
		d.socket("127.0.5.8", "/ws/a").echo(t, "open")
	}
	for range 5 {
		d.from("127.0.5.9").want(200, "/plain")
	}
}
