package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

// through is what a load balancer that speaks the PROXY protocol sends for one
// request of a client; the answer's status, 0 where the connection was closed.
func (d *daemon) through(balancer, client, target string) int {
	d.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(balancer)}}
	conn, err := dialer.Dial("tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "PROXY TCP4 %s 203.0.113.1 4000 80\r\nGET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", client, target, d.addr)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// TestField04ProxyProtocol: the client behind a load balancer is the one that
// its PROXY protocol header names: banned, told, then refused as its
// connection's header was read. Others behind the same balancer are served,
// and a stranger can't announce anybody.
func TestField04ProxyProtocol(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py", "--proxy-protocol", "--trusted-proxy", "127.0.5.1")
	const balancer = "127.0.5.1"
	if got := d.through(balancer, "203.0.113.7", "/.env"); got != 404 {
		t.Errorf("a probe: %d, want 404", got)
	}
	for n := range 10 {
		if got := d.through(balancer, "203.0.113.7", "/"); got != 403 {
			t.Fatalf("refusal %d: %d, want 403", n+1, got)
		}
	}
	if got := d.through(balancer, "203.0.113.7", "/"); got != 0 {
		t.Errorf("after ten refusals: %d, want the connection closed", got)
	}
	if n := d.metric("flask2ban_refused_total", `penalty="accept"`); n != 1 {
		t.Errorf("%v refused after their header, want 1", n)
	}
	if got := d.through(balancer, "203.0.113.8", "/"); got != 200 {
		t.Errorf("another client: %d, want 200", got)
	}
	if got := d.through("127.0.5.2", "203.0.113.8", "/"); got != 400 {
		t.Errorf("a stranger's header: %d, want 400", got)
	}
	if bans := d.bans(); !slices.Equal(bans, []string{"203.0.113.7"}) {
		t.Errorf("banned %v", bans)
	}
}
