package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The tests of this file, by number, are what users of fail2ban, CrowdSec and
// the plugins of proxies complain about. The eighth is in package proxy: it
// needs minutes of a clock; the fourth beside the rest of its subject.

// balancer is the trusted proxy in front, where a test has one.
const balancer = "127.0.5.1"

// behind returns a function that asks for a client through the balancer.
func (d *daemon) behind() func(client, target string) int {
	c := d.from(balancer)
	return func(client, target string) int {
		status, _ := c.get(target, "X-Forwarded-For", client)
		return status
	}
}

func startBehind(t *testing.T, args ...string) (*daemon, func(client, target string) int) {
	t.Helper()
	d := start(t, example(t, "hello"), "", append([]string{"app.py", "--trusted-proxy", balancer}, args...)...)
	return d, d.behind()
}

func wantStatus(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

func wantBans(t *testing.T, d *daemon, want ...string) {
	t.Helper()
	got := d.bans()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("banned %v, want %v", got, want)
	}
}

// TestField01NeverBanTheProxyInFront: the client is banned, not the proxy that
// stands for everyone; also not for what comes without a client's name
// (fail2ban#3974, flask-ipban#25, caddy-ratelimit#19).
func TestField01NeverBanTheProxyInFront(t *testing.T) {
	d, ask := startBehind(t)
	wantStatus(t, "a probe", ask("203.0.113.7", "/.env"), 404)
	wantStatus(t, "the prober", ask("203.0.113.7", "/"), 403)
	wantStatus(t, "another client", ask("203.0.113.8", "/"), 200)
	for _, p := range []string{"/.env", "/.git/config", "/wp-login.php", "/a", "/b", "/c", "/d", "/e"} {
		for _, nameless := range []string{"", "unknown", balancer} {
			ask(nameless, p)
		}
	}
	wantStatus(t, "the proxy itself", ask("", "/"), 200)
	wantStatus(t, "another client", ask("203.0.113.8", "/"), 200)
	if out, err := d.cli("bans", "add", balancer); err == nil {
		t.Errorf("a person may ban the proxy: %s", out)
	}
	wantBans(t, d, "203.0.113.7")
}

// TestField02SpoofedForwardedFor: no header of the client's own says who it
// is, neither direct nor behind a proxy (flask-limiter#41).
func TestField02SpoofedForwardedFor(t *testing.T) {
	d, ask := startBehind(t)
	direct := d.from("127.0.1.1")
	for n := range 5 {
		fake := fmt.Sprintf("198.51.100.%d", n)
		direct.want(404, fmt.Sprintf("/probe/%d", n), "X-Forwarded-For", fake, "Forwarded", "for="+fake, "X-Real-IP", fake)
		wantStatus(t, "behind the proxy", ask(fake+", 203.0.113.7", fmt.Sprintf("/probe/%d", n)), 404)
	}
	direct.want(403, "/", "X-Forwarded-For", "198.51.100.99")
	wantStatus(t, "behind the proxy", ask("198.51.100.99, 203.0.113.7", "/"), 403)
	wantStatus(t, "the one whose name was forged", ask("198.51.100.1", "/"), 200)
	wantBans(t, d, "127.0.1.1", "203.0.113.7")
}

// TestField03BansHoldBehindACDN: a ban is enforced in HTTP as long as it lasts,
// and what could not work there is refused as configuration (fail2ban#3620).
func TestField03BansHoldBehindACDN(t *testing.T) {
	d, ask := startBehind(t)
	ask("203.0.113.7", "/.env")
	for n := range 30 {
		wantStatus(t, fmt.Sprintf("refusal %d", n+1), ask("203.0.113.7", "/"), 403)
	}
	wantStatus(t, "another over the same connections", ask("203.0.113.8", "/"), 200)
	if n := d.metric("flask2ban_refused_total", `penalty="accept"`); n != 0 {
		t.Errorf("%v connections of the proxy were closed", n)
	}
	out, err := d.cli("serve", "app.py", "--kernel", "--trusted-proxy", balancer)
	if err == nil || !strings.Contains(out, "--kernel: has no effect behind --trusted-proxy") {
		t.Errorf("--kernel behind a proxy: %v: %s", err, out)
	}
}

// TestField05IPv6By64: whoever has a network of 2⁶⁴ addresses is one client,
// and its neighbour another (fail2ban#3960, traefik#9721).
func TestField05IPv6By64(t *testing.T) {
	d, ask := startBehind(t)
	for n := range 5 {
		ask(fmt.Sprintf("2001:db8:1:2::%x", n+1), fmt.Sprintf("/probe/%d", n))
	}
	wantStatus(t, "a sixth address", ask("2001:db8:1:2:ffff::9", "/"), 403)
	wantStatus(t, "the next network", ask("2001:db8:1:3::1", "/"), 200)
	wantBans(t, d, "2001:db8:1:2::/64")
	// One who changes from /64 to /64 loses the /56, and its neighbour doesn't.
	for n := range 8 {
		ask(fmt.Sprintf("2001:db8:2:1%02x::1", n), "/.env")
	}
	wantStatus(t, "the ninth network of the /56", ask("2001:db8:2:1ff::1", "/"), 403)
	wantStatus(t, "the next /56", ask("2001:db8:2:200::1", "/"), 200)
	// But where a phone beside them uses the app, only who offends is refused.
	wantStatus(t, "a phone", ask("2001:db8:3:1ff::1", "/"), 200)
	for n := range 12 {
		ask(fmt.Sprintf("2001:db8:3:1%02x::1", n), "/.env")
	}
	wantStatus(t, "the phone", ask("2001:db8:3:1ff::1", "/"), 200)
	out, err := d.cli("why", "2001:db8:2:1ff::1")
	if err != nil || !strings.Contains(out, "by rule siblings") || !strings.Contains(out, "flask2ban bans remove 2001:db8:2:100::/56") {
		t.Errorf("why: %v: %s", err, out)
	}
	if out, err := d.cli("bans", "remove", "2001:db8:2:100::/56", "--inside"); err != nil || !strings.Contains(out, "8 bans inside it are ended") {
		t.Errorf("remove: %v: %s", err, out)
	}
	wantStatus(t, "after the unban", ask("2001:db8:2:101::1", "/"), 200)
}

// TestField06BrowsersAndMissingRecords: what browsers ask for on their own,
// records that are gone, and fast browsing are no offence (fail2ban#970,
// hub#694, hub#1519, crowdsec#3561).
func TestField06BrowsersAndMissingRecords(t *testing.T) {
	t.Run("touch icons", func(t *testing.T) {
		innocent(t, example(t, "hello")+"/app.py", func(t *testing.T, d *daemon) {
			c := d.from("127.0.1.1")
			for _, p := range []string{
				"/favicon.ico", "/apple-touch-icon.png", "/apple-touch-icon-precomposed.png", "/apple-touch-icon-120x120.png",
				"/apple-touch-icon-152x152-precomposed.png", "/robots.txt", "/sitemap.xml", "/ads.txt", "/.well-known/security.txt",
				"/.well-known/apple-app-site-association", "/browserconfig.xml", "/manifest.json",
			} {
				if status, _ := c.get(p); status != 404 {
					t.Errorf("%s: %d", p, status)
				}
			}
			c.want(200, "/")
		})
	})
	t.Run("missing records", func(t *testing.T) {
		d := start(t, example(t, "factory"), "", "shop")
		c := d.from("127.0.1.1")
		for n := range 60 {
			c.want(404, fmt.Sprintf("/account/nobody%d", n))
		}
		c.want(200, "/")
		wantBans(t, d)
	})
	t.Run("fast browsing", func(t *testing.T) {
		innocent(t, testApp(t, "oddroutes.py"), func(t *testing.T, d *daemon) {
			c := d.from("127.0.1.1")
			for n := range 300 {
				c.want(200, fmt.Sprintf("/item/0d1f7c2a-5b0e-4f6e-9a53-%012x", n))
			}
		})
	})
}

// TestField07NoAllowListPerApp: what the app has is no offence, however much it
// looks like one, with no configuration (hub#1023, #1271).
func TestField07NoAllowListPerApp(t *testing.T) {
	innocent(t, testApp(t, "oddroutes.py"), func(t *testing.T, d *daemon) {
		c := d.from("127.0.1.1")
		for range 3 {
			for _, p := range []string{"/wp-login.php", "/admin/config.php", "/.env/docs", "/backup.zip", "/api/v1/pods", "/cgi-bin/status"} {
				c.want(200, p)
			}
		}
	})
}

// TestField09IgnoredAndUnbanned: who is ignored is never banned, and an unban
// works at once, also for one who was refused at accept (crowdsec#3656,
// crowdsec-bouncer-traefik-plugin#78).
func TestField09IgnoredAndUnbanned(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py", "--ignore", "127.0.6.0/24")
	ignored := d.from("127.0.6.7")
	for n := range 40 {
		ignored.want(404, fmt.Sprintf("/probe/%d", n))
	}
	ignored.want(404, "/.env")
	ignored.want(200, "/")
	if out, err := d.cli("bans", "add", "127.0.6.7"); err == nil || !strings.Contains(out, "ignore") {
		t.Errorf("an ignored client can be banned by hand: %v: %s", err, out)
	}
	c := d.from("127.0.1.1")
	c.want(404, "/.env")
	for range 10 {
		c.want(403, "/")
	}
	if status, _ := c.get("/"); status != 0 {
		t.Errorf("after ten refusals: %d, want the connection closed", status)
	}
	if out, err := d.cli("bans", "remove", "127.0.1.1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c.want(200, "/")
	for n := range 8 { // it goes on as before, and the unban is still to have an effect
		if status, _ := c.get(fmt.Sprintf("/again/%d", n)); status == 403 {
			t.Errorf("banned again in the grace, with probe %d", n+1)
		}
	}
	c.want(200, "/")
	wantBans(t, d)
}

// TestField10BansAtOnce: the request after the one that fills the score is
// refused, not one some seconds later (fail2ban#3021, #2332,
// cs-firewall-bouncer#233).
func TestField10BansAtOnce(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py")
	c := d.from("127.0.1.1")
	for n := range 5 {
		c.want(404, fmt.Sprintf("/probe/%d", n))
	}
	c.want(403, "/")
	d.from("127.0.1.2").want(404, "/.env")
	d.from("127.0.1.2").want(403, "/")
}

// TestField11BannedIsNotServed: neither over connections that were open before
// the ban nor over many new ones at once (fail2ban#2545).
func TestField11BannedIsNotServed(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py")
	c := d.from("127.0.1.1")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.1.1")}}
	open, err := dialer.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	open.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(open)
	over := func() (int, error) {
		fmt.Fprintf(open, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", d.addr)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
	if status, err := over(); status != 200 {
		t.Fatalf("before the ban: %d, %v", status, err)
	}
	c.want(404, "/.env")
	if status, err := over(); status != 403 {
		t.Errorf("over a connection that was open: %d, %v; want 403", status, err)
	}
	if status, err := over(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("that connection stays open: %d, %v", status, err)
	}
	served := atomic.Int64{}
	var group sync.WaitGroup
	for range 20 {
		another := d.from("127.0.1.1")
		group.Go(func() {
			for range 10 {
				if status, _ := another.get("/"); status != 403 && status != 0 {
					served.Add(1)
				}
			}
		})
	}
	group.Wait()
	if n := served.Load(); n > 0 {
		t.Errorf("%d of 200 requests of a banned client were served", n)
	}
}

// raw sends bytes from an address and reads until the connection ends.
func (d *daemon) raw(from, text string) string {
	d.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", d.addr)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, text)
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

// TestField12LogsCannotBeForged: whatever a client sends, a request is one line
// of the log with nothing in it that a terminal or a reader of the log would
// act on, and none takes long to judge (fail2ban PR#249,
// GHSA-33wh-ccjc-p397).
func TestField12LogsCannotBeForged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	d := start(t, example(t, "hello"), "", "app.py", "--access-log", file)
	asked := 0
	ask := func(target string, head ...string) {
		t.Helper()
		asked++
		before := d.cpu()
		d.raw("127.0.1.1", "GET "+target+" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"+strings.Join(head, "\r\n")+"\r\n\r\n")
		if took := d.cpu() - before; took > 5*time.Second {
			t.Errorf("%.40s took %v of a processor", target, took)
		}
	}
	ask("/%0a127.0.9.9%20-%20-%20GET%20/.env", "User-Agent: x\" 200 1 \"\xc2\x9b31m\x85")
	ask("/x", "Referer: http://a/\"\t]0;title", "User-Agent: "+strings.Repeat("(a+)+", 2000)+"\r\n")
	ask("/\xc2\x9b31m\xff\\\"")
	ask("/user/" + strings.Repeat("a", 50_000) + "!")
	ask("/" + strings.Repeat("a/", 20_000))
	ask("/" + strings.Repeat("%25", 10_000))
	d.stop()
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
	if len(lines) != asked {
		t.Errorf("%d requests are %d lines:\n%.2000s", asked, len(lines), log)
	}
	for _, line := range append(lines, strings.Split(d.out.String(), "\n")...) {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("control characters in %.200q", line)
		}
		if strings.HasPrefix(line, "127.0.9.9") {
			t.Errorf("a forged line: %.200q", line)
		}
	}
}
