package e2e

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// probes are request targets that vulnerability scanners send.
func probes(t testing.TB) []string {
	t.Helper()
	f, err := os.Open("../../routes/testdata/probes.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for s := bufio.NewScanner(z); s.Scan(); {
		// A space ends the target on the wire.
		target, _, _ := strings.Cut(s.Text(), " ")
		if strings.HasPrefix(target, "/") {
			list = append(list, target)
		}
	}
	return list
}

// walk are requests that a visitor of httpbin makes: every one is a route.
var walk = []string{
	"/", "/get", "/ip", "/headers", "/user-agent", "/uuid", "/html", "/xml",
	"/robots.txt", "/encoding/utf8", "/anything", "/anything/a/b/c", "/status/404", "/status/418",
	"/cache", "/etag/abc", "/response-headers?a=b", "/redirect/2", "/relative-redirect/1",
	"/cookies", "/basic-auth/user/pass", "/base64/aGVsbG8=", "/bytes/16", "/links/3/0", "/range/64",
	"/favicon.ico", "/apple-touch-icon.png", "/image/png", "/forms/post", "/deny", "/stream/2",
}

// TestAttackAmongVisitors sends a scanner's list at httpbin while 50 others
// walk its real routes. The scanner is stopped at once, the others never.
func TestAttackAmongVisitors(t *testing.T) {
	d := start(t, t.TempDir(), "", "httpbin:app")
	const visitors, rounds = 50, 4
	var refused, asked atomic.Int64
	var group sync.WaitGroup
	for v := range visitors {
		c := d.from(fmt.Sprintf("127.0.2.%d", v+1))
		group.Go(func() {
			for range rounds {
				for _, target := range walk {
					asked.Add(1)
					status, body := c.get(target)
					if status == 0 || status == 403 && target != "/deny" || status == 429 || status >= 502 {
						refused.Add(1)
						t.Errorf("visitor asked %s: %d %.200s", target, status, body)
					}
				}
			}
		})
	}
	list := probes(t)
	attacker := d.from("127.0.1.1")
	answers := map[int]int{}
	for _, target := range list {
		status, _ := attacker.get(target)
		answers[status]++
	}
	group.Wait()

	served := len(list) - answers[http.StatusForbidden] - answers[0]
	t.Logf("%d probes: %d answered, %d refused with a page, %d at accept; %d requests of %d visitors, %d refused",
		len(list), served, answers[http.StatusForbidden], answers[0], asked.Load(), visitors, refused.Load())
	if n := d.metric("flask2ban_refused_total", `penalty="accept"`); int(n) < answers[0] {
		t.Errorf("%d connections closed, but only %v counted as refused at accept", answers[0], n)
	}
	evidence := d.metric("flask2ban_evidence_total")
	if evidence < 1 || evidence > 5 {
		t.Errorf("%v pieces of evidence before the ban, want 1 to 5", evidence)
	}
	if bans := d.bans(); !slices.Equal(bans, []string{"127.0.1.1"}) {
		t.Errorf("banned %v, want the attacker alone", bans)
	}
}

// innocent runs an app, lets visit act as clients, and wants nobody banned.
func innocent(t *testing.T, app string, visit func(t *testing.T, d *daemon)) {
	t.Helper()
	d := start(t, t.TempDir(), "", app)
	visit(t, d)
	if bans := d.bans(); len(bans) > 0 {
		t.Errorf("banned: %v", bans)
	}
}

func testApp(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir + "/testdata/" + name
}

// TestBrokenImagesOfOwnPage: 40 visitors' browsers ask for images that the
// app's own page links to and that aren't there.
func TestBrokenImagesOfOwnPage(t *testing.T) {
	innocent(t, example(t, "hello")+"/app.py", func(t *testing.T, d *daemon) {
		c := d.from("127.0.1.10")
		c.want(200, "/")
		// Evidence is soft below 30 distinct paths; a page with more broken
		// images than that is asked for over and over all the same.
		for n := range 40 {
			c.want(404, fmt.Sprintf("/img/%d.png", n%20),
				"Referer", c.base+"/", "Accept", "image/avif,image/webp,*/*;q=0.8",
				"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image")
		}
		c.want(200, "/")
	})
}

// TestForeignImageOfHoneypath: a forum's page holds <img src="//app/.env">.
func TestForeignImageOfHoneypath(t *testing.T) {
	innocent(t, example(t, "hello")+"/app.py", func(t *testing.T, d *daemon) {
		for n := range 10 {
			c := d.from(fmt.Sprintf("127.0.3.%d", n+1))
			for range 3 {
				c.want(404, "/.env",
					"Accept", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
					"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image",
					"Referer", "https://forum.example/")
			}
			c.want(200, "/")
		}
	})
}

// TestDeadBookmark: someone opens a bookmark of a page that is gone, 30 times.
func TestDeadBookmark(t *testing.T) {
	innocent(t, example(t, "hello")+"/app.py", func(t *testing.T, d *daemon) {
		c := d.from("127.0.1.12")
		for range 30 {
			c.want(404, "/old/page.html")
		}
		c.want(200, "/")
	})
}

// TestLoginWall: an app that redirects everything, unknown paths too. Visitors
// who ask for pages that aren't there are not told apart from the rest by
// status; the hook knows.
func TestLoginWall(t *testing.T) {
	innocent(t, testApp(t, "loginwall.py"), func(t *testing.T, d *daemon) {
		for n := range 20 {
			c := d.from(fmt.Sprintf("127.0.4.%d", n+1))
			for _, target := range []string{"/reports/1", "/reports/99", "/dashboard", "/favicon.ico", "/login", "/reports/2"} {
				status, _ := c.get(target)
				if status != 302 && status != 200 && target != "/favicon.ico" {
					t.Errorf("%s: %d", target, status)
				}
			}
		}
	})
}

// TestLoginWallAttacker: the same wall does not hide a scanner.
func TestLoginWallAttacker(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "loginwall.py"))
	wantBanned(t, d, "127.0.1.20", probes(t)[:400]...)
}

// TestSoft404: an app whose 404 handler answers 200. The attacker is found,
// visitors are not.
func TestSoft404(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "soft404.py"))
	for n := range 20 {
		c := d.from(fmt.Sprintf("127.0.5.%d", n+1))
		for _, target := range []string{"/", "/item/1", "/item/2", "/about", "/item/3", "/favicon.ico"} {
			if status, body := c.get(target); status != 200 && target != "/favicon.ico" {
				t.Errorf("%s: %d %.200s", target, status, body)
			}
		}
	}
	if bans := d.bans(); len(bans) > 0 {
		t.Errorf("visitors banned: %v", bans)
	}
	wantBanned(t, d, "127.0.1.21", probes(t)[:400]...)
}

// wantBanned lets one address ask for paths until it is refused.
func wantBanned(t *testing.T, d *daemon, ip string, paths ...string) {
	t.Helper()
	c := d.from(ip)
	for n, p := range paths {
		if status, _ := c.get(p); status == 403 {
			t.Logf("%s is refused after %d paths", ip, n)
			return
		}
	}
	out, _ := d.cli("why", ip)
	t.Errorf("%s is not refused after %d paths; why says:\n%s", ip, len(paths), out)
}
