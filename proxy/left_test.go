package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// served is the rig behind a Server of ours, with TLS and without.
func (g *rig) served(t *testing.T) (plain, secure string) {
	t.Helper()
	certified := httptest.NewTLSServer(g.handler)
	t.Cleanup(certified.Close)
	s, err := Listen(ServerConfig{
		Listen: []string{"127.0.0.1:0"}, ListenTLS: []string{"127.0.0.1:0"},
		TLS: &tls.Config{Certificates: certified.TLS.Certificates},
	}, g.handler)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return s.listeners[0].Addr().String(), s.listeners[1].Addr().String()
}

// closeWait says whether the kernel has a connection on which its peer's end
// has come and that we have not closed: state 08 of /proc/net/tcp (proc(5)).
func closeWait(t *testing.T, peer net.Addr) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(":%04X 08 ", peer.(*net.TCPAddr).Port)
	return bytes.Contains(table, []byte(want))
}

// A POST whose client leaves while it waits for a slot, with its body still in
// the kernel, does not reach the app. One whose client waits does.
func TestThePostOfAClientThatLeftIsNotBegun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		secure bool
		size   int
	}{{"small", false, 10}, {"larger", false, 60_000}, {"TLS", true, 10}} {
		t.Run(tt.name, func(t *testing.T) {
			free := make(chan struct{})
			g := slotted(t, 1, time.Minute, func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				<-free
			})
			plain, secure := g.served(t)
			g.background("/")
			await(t, "the app has one", func() bool { return g.asked.Load() == 1 })
			tcp, err := net.Dial("tcp", map[bool]string{false: plain, true: secure}[tt.secure])
			if err != nil {
				t.Fatal(err)
			}
			conn := tcp
			if tt.secure {
				conn = tls.Client(tcp, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			}
			fmt.Fprintf(conn, "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", tt.size, strings.Repeat("x", tt.size))
			await(t, "it waits", func() bool { return g.load().Waiting == 1 })
			stays := g.ask(t.Context(), "POST", "/post", strings.NewReader("a body"))
			await(t, "both wait", func() bool { return g.load().Waiting == 2 })
			local := tcp.LocalAddr()
			conn.Close()
			await(t, "the kernel knows", func() bool { return closeWait(t, local) })
			close(free)
			if got := <-stays; got != http.StatusOK {
				t.Errorf("the client that stays got %d", got)
			}
			await(t, "nothing is under way", func() bool { l := g.load(); return l.Waiting == 0 && l.InFlight == 0 })
			if got := g.asked.Load(); got != 2 {
				t.Errorf("the app was asked %d times, want 2: by the first and by the one who stays", got)
			}
		})
	}
}

// A client that is there and slow with its body is not one that has left.
func TestASlowClientHasNotLeft(t *testing.T) {
	free := make(chan struct{})
	g := slotted(t, 1, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		<-free
		fmt.Fprint(w, string(body), err)
	})
	plain, _ := g.served(t)
	g.background("/")
	await(t, "the app has one", func() bool { return g.asked.Load() == 1 })
	conn, err := net.Dial("tcp", plain)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /post HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\nhalf")
	await(t, "it waits", func() bool { return g.load().Waiting == 1 })
	close(free)
	await(t, "it is its turn", func() bool { return g.load().Waiting == 0 })
	io.WriteString(conn, "more")
	if all, err := io.ReadAll(conn); err != nil || !strings.HasSuffix(string(all), "halfmore<nil>") {
		t.Errorf("got %q, %v", all, err)
	}
}
