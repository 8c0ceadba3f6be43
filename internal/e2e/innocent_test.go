package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/chromedp/chromedp"
)

// seenFrom returns an address that leads to the daemon, which sees who connects
// there as ip: a browser can't choose its own.
func (d *daemon) seenFrom(ip string) string {
	d.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	d.t.Cleanup(func() { cancel(); listener.Close() })
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go join(ctx, from, &dialer, d.addr)
		}
	}()
	return listener.Addr().String()
}

// join copies both ways until either end closes, or ctx ends.
func join(ctx context.Context, from net.Conn, dialer *net.Dialer, addr string) {
	defer from.Close()
	to, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
	go func() {
		defer to.Close()
		_, _ = io.Copy(to, from) // the other way ends, too
	}()
	_, _ = io.Copy(from, to)
}

// TestGoodImagesBesideBrokenOnes: a real browser reads a page with a few broken
// images among many good ones, several times. It gets each of the good ones.
func TestGoodImagesBesideBrokenOnes(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "gallery.py"))
	page := "http://" + d.seenFrom("127.0.61.1") + "/"
	c := newChromium(t)
	for range 3 {
		c.run(chromedp.Navigate(page))
		if got := ask[int](c, `[...document.images].filter(i => i.complete && i.naturalWidth > 0).length`); got != 150 {
			t.Errorf("%d images are shown, want all 150 that the app has", got)
		}
	}
	if n := d.metric("flask2ban_refused_total", `rule="suspect"`); n > 0 {
		out, _ := d.cli("why", "127.0.61.1")
		t.Logf("%v requests refused, of the broken images at most; why: %s", n, out)
	}
	wantBans(t, d)
}

// TestPagesOfA404Handler: a program reads all pages and old addresses that an app
// serves by its 404 handler, and a scanner finds its frame at every path.
func TestPagesOfA404Handler(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "pages404.py"))
	reader := d.from("127.0.61.2")
	for n := range 60 {
		reader.want(200, fmt.Sprintf("/pages/%d.txt", n))
		reader.want(301, fmt.Sprintf("/old/%d", n))
	}
	wantBans(t, d)
	var unknown []string
	for n := range 60 {
		unknown = append(unknown, fmt.Sprintf("/unknown/%d", n))
	}
	wantBanned(t, d, "127.0.61.3", unknown...)
}
