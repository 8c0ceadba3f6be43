package proxy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// headedServer serves each request's RemoteAddr, without port, on loopback.
// Peers in 127.0.0.0/24 are trusted; refused clients are refused.
func headedServer(t *testing.T, timeout time.Duration, refused ...string) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	trusted := netip.MustParsePrefix("127.0.0.0/24")
	refuse := func(a netip.Addr) bool { return slices.Contains(refused, a.String()) }
	taken := &crowdListener{Listener: l, crowd: newCrowd(ServerConfig{Log: slog.New(slog.DiscardHandler)}), refuse: refuse}
	h := headed(taken, trusted.Contains, refuse, nil)
	h.(*headedListener).timeout = timeout
	srv := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			body, _ := io.ReadAll(r.Body)
			io.WriteString(w, host+" "+string(body))
		}),
	}
	var group sync.WaitGroup
	group.Go(func() { srv.Serve(h) })
	t.Cleanup(func() { srv.Close(); group.Wait() })
	return l.Addr()
}

// dialAs connects from a loopback address.
func dialAs(t *testing.T, from string, to net.Addr) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(context.Background(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn
}

const helloRequest = "POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

// answer is the body of a 200, the status of another answer, or "closed".
func answerOf(t *testing.T, conn net.Conn) string {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		if strings.Contains(err.Error(), "timeout") {
			t.Errorf("the connection is still open: %v", err)
		}
		return "closed"
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return string(body)
}

// version2 is a version 2 header from 203.0.113.7, changed by change.
func version2(t *testing.T, change func(*proxyproto.Header)) string {
	t.Helper()
	h := &proxyproto.Header{
		Version: 2, Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv4,
		SourceAddr:      &net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 1234},
		DestinationAddr: &net.TCPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 80},
	}
	if change != nil {
		change(h)
	}
	var b bytes.Buffer
	if _, err := h.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func toIPv6(h *proxyproto.Header) {
	h.TransportProtocol = proxyproto.TCPv6
	h.SourceAddr = &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 1}
	h.DestinationAddr = &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 80}
}

func toUnix(h *proxyproto.Header) {
	h.TransportProtocol = proxyproto.UnixStream
	h.SourceAddr, h.DestinationAddr = &net.UnixAddr{Net: "unix", Name: "/a"}, &net.UnixAddr{Net: "unix", Name: "/b"}
}

func withLargeTLV(t *testing.T) func(*proxyproto.Header) {
	return func(h *proxyproto.Header) {
		if err := h.SetTLVs([]proxyproto.TLV{{Type: proxyproto.PP2_TYPE_NOOP, Value: make([]byte, 1500)}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProxyProtocol: whose word counts, in every form of a header.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	badLength := []byte(version2(t, nil))
	binary.BigEndian.PutUint16(badLength[14:], 3)
	const trusted, stranger = "127.0.0.9", "127.0.9.9"
	tests := []struct{ name, from, header, want string }{
		{"v1, IPv4", trusted, "PROXY TCP4 203.0.113.7 203.0.113.1 1234 80\r\n", "203.0.113.7 hello"},
		{"v1, IPv6", trusted, "PROXY TCP6 2001:db8::7 2001:db8::1 1234 80\r\n", "2001:db8::7 hello"},
		{"v1, unknown", trusted, "PROXY UNKNOWN\r\n", trusted + " hello"},
		{"v1, no client's address", trusted, "PROXY TCP4 0.0.0.0 203.0.113.1 1234 80\r\n", trusted + " hello"},
		{"v2, IPv4", trusted, version2(t, nil), "203.0.113.7 hello"},
		{"v2, IPv6", trusted, version2(t, toIPv6), "2001:db8::7 hello"},
		{"v2, Unix socket", trusted, version2(t, toUnix), trusted + " hello"},
		{"v2, local", trusted, version2(t, func(h *proxyproto.Header) { h.Command = proxyproto.LOCAL }), trusted + " hello"},
		{"v2, more than the buffer", trusted, version2(t, withLargeTLV(t)), "203.0.113.7 hello"},
		{"no header", trusted, "", trusted + " hello"},
		{"announced client may not come", trusted, "PROXY TCP4 203.0.113.66 203.0.113.1 1234 80\r\n", "closed"},
		{"v1, bad address", trusted, "PROXY TCP4 203.0.113 203.0.113.1 1234 80\r\n", "closed"},
		{"v1, bad port", trusted, "PROXY TCP4 203.0.113.7 203.0.113.1 99999 80\r\n", "closed"},
		{"v1, no end", trusted, "PROXY " + strings.Repeat("x", 4000) + "\r\n", "closed"},
		{"v2, bad length", trusted, string(badLength), "closed"},
		{"a second header", trusted, "PROXY TCP4 203.0.113.7 203.0.113.1 1 80\r\nPROXY TCP4 203.0.113.8 203.0.113.1 1 80\r\n", "400 Bad Request"},
		{"stranger's v1", stranger, "PROXY TCP4 203.0.113.7 203.0.113.1 1234 80\r\n", "400 Bad Request"},
		{"stranger's v2", stranger, version2(t, nil), "400 Bad Request"},
		{"stranger without", stranger, "", stranger + " hello"},
	}
	addr := headedServer(t, 5*time.Second, "203.0.113.66")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := dialAs(t, tt.from, addr)
			if _, err := io.WriteString(conn, tt.header+helloRequest); err != nil {
				t.Fatal(err)
			}
			if got := answerOf(t, conn); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestProxyProtocolSlowSender: half a header is not waited for, an idle
// connection that sends its request later is served.
func TestProxyProtocolSlowSender(t *testing.T) {
	t.Parallel()
	const timeout = 150 * time.Millisecond
	addr := headedServer(t, timeout)
	for name, half := range map[string]string{"v1": "PROX", "v1 in pieces": "PROXY TCP4 203.", "v2": version2(t, nil)[:10], "v2 in pieces": version2(t, nil)[:20]} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			conn := dialAs(t, "127.0.0.9", addr)
			io.WriteString(conn, half)
			if got := answerOf(t, conn); got != "closed" {
				t.Errorf("got %q", got)
			}
			if took := time.Since(began); took > timeout+2*time.Second {
				t.Errorf("closed after %v, want %v", took, timeout)
			}
		})
	}
	t.Run("opened ahead of time", func(t *testing.T) {
		conn := dialAs(t, "127.0.0.9", addr)
		timer := time.NewTimer(2 * timeout)
		<-timer.C
		io.WriteString(conn, helloRequest)
		if got := answerOf(t, conn); got != "127.0.0.9 hello" {
			t.Errorf("got %q", got)
		}
	})
}

// TestProxyProtocolSlowSendersHoldNobodyUp: the accept loop waits for none.
func TestProxyProtocolSlowSendersHoldNobodyUp(t *testing.T) {
	t.Parallel()
	addr := headedServer(t, time.Minute)
	for range 50 {
		io.WriteString(dialAs(t, "127.0.0.9", addr), "PROX")
	}
	began := time.Now()
	conn := dialAs(t, "127.0.0.8", addr)
	io.WriteString(conn, "PROXY TCP4 203.0.113.7 203.0.113.1 1234 80\r\n"+helloRequest)
	if got := answerOf(t, conn); got != "203.0.113.7 hello" {
		t.Errorf("got %q", got)
	}
	if took := time.Since(began); took > 30*time.Second { // half of what one of them may take
		t.Errorf("waited %v behind slow senders", took)
	}
}

// FuzzProxyProtocol: whatever a trusted peer sends, the connection ends or is
// served, and nothing panics.
func FuzzProxyProtocol(f *testing.F) {
	f.Add([]byte("PROXY TCP4 203.0.113.7 203.0.113.1 1234 80\r\nGET / HTTP/1.0\r\n\r\n"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xcb\x00\x71\x01\x04\xd2\x00\x50rest"))
	f.Add([]byte("\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"))
	l := &headedListener{timeout: time.Second}
	f.Fuzz(func(t *testing.T, sent []byte) {
		near, far := net.Pipe()
		go func() { far.Write(sent); far.Close() }()
		c := &headedConn{Conn: near, listener: l, reader: bufio.NewReaderSize(near, headedBuffer), remote: near.RemoteAddr()}
		_ = c.RemoteAddr().String()
		got, err := io.ReadAll(c)
		if err == nil && !bytes.HasSuffix(sent, got) {
			t.Errorf("sent %q, read %q", sent, got)
		}
		near.Close()
		far.Close()
	})
}
