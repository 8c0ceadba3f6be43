package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// chromium is a browser with a profile of its own that notes what went wrong in
// it, and what it asked for.
type chromium struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	asked    []string
}

func newChromium(t *testing.T) *chromium {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 900), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	c := &chromium{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, c.hear); err != nil {
		t.Fatal(err)
	}
	call(c, network.Enable, network.EnableParams{})
	call(c, runtime.Enable, cdp.Empty{})
	call(c, log.Enable, cdp.Empty{})
	return c
}

// call is one command of the browser's protocol.
func call[P, R any](c *chromium, command cdp.Command[P, R], params P) {
	c.t.Helper()
	if _, err := chromedp.Call(c.ctx, command, params); err != nil {
		c.t.Fatal(err)
	}
}

// ask evaluates an expression in the page.
func ask[T any](c *chromium, expression string) T {
	c.t.Helper()
	v, err := chromedp.Run(c.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		c.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// hear notes exceptions, whatever stands in the console, dialogs, and requests.
func (c *chromium) hear(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		c.problems = append(c.problems, fmt.Sprintf("exception: %+v", e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		for _, arg := range e.Args {
			c.problems = append(c.problems, fmt.Sprintf("console %s: %s %s", e.Type, arg.Value, arg.Description))
		}
	case *log.EventEntryAdded:
		c.problems = append(c.problems, e.Entry.Text+" "+e.Entry.URL)
	case *network.EventRequestWillBeSent:
		c.asked = append(c.asked, e.Request.URL)
	}
}

func (c *chromium) run(actions ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	if err := chromedp.Do(c.ctx, actions...); err != nil {
		c.t.Fatalf("%v; problems so far: %v", err, c.problems)
	}
}

// open goes to a page and waits until it is live.
func (c *chromium) open(url string) {
	c.t.Helper()
	c.run(chromedp.Navigate(url))
	c.sees(live)
}

// live says that the page gets news.
const live = `document.getElementById("pause").dataset.state === "live"`

// sees waits until an expression is true in the page. While a page is being
// loaded there is none to ask.
func (c *chromium) sees(expression string) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		ok, err := chromedp.Run(c.ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
		if ok {
			return
		}
		if time.Now().After(deadline) {
			text, _ := chromedp.Run(c.ctx, chromedp.Evaluate[string](`document.body.innerText`))
			c.t.Fatalf("not within a minute: %s (%v, %v); the page says:\n%s", expression, err, c.problems, text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *chromium) shows(text string) {
	c.t.Helper()
	c.sees(`document.body.innerText.includes(` + "`" + text + "`" + `)`)
}

// clean fails the test where anything went wrong, or anything but host was asked.
func (c *chromium) clean(host string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.problems {
		c.t.Errorf("in the browser: %s", p)
	}
	for _, u := range c.asked {
		if !strings.HasPrefix(u, "http://"+host+"/") {
			c.t.Errorf("asked outside: %s", u)
		}
	}
	if len(c.asked) < 5 {
		c.t.Errorf("only %d requests were seen", len(c.asked))
	}
}

// hostilePath is what an attacker would like the operator's browser to run.
const hostilePath = `/<script>document.title='pwned'</script><img src=x onerror=alert(1)>`

// attack asks for what the shop doesn't have, with hostile text wherever a
// request has room for it.
func (d *daemon) attack(ip string) {
	d.t.Helper()
	for _, path := range []string{"/%3Cscript%3Edocument.title='pwned'%3C/script%3E%3Cimg%20src=x%20onerror=alert(1)%3E", "/a", "/b", "/c", "/.env"} {
		req, err := http.NewRequest("GET", "http://"+d.addr+path, nil)
		if err != nil {
			d.t.Fatal(err)
		}
		res, err := d.from(ip).http.Do(req)
		if err != nil {
			d.t.Fatal(err)
		}
		res.Body.Close()
	}
}

// TestStatusPage is the operator's way through an attack: they see it, read why,
// and take a ban back; nothing of what the attacker wrote does anything.
func TestStatusPage(t *testing.T) {
	d := start(t, "testdata/page", "", "app.py")
	c := newChromium(t)
	base := "http://" + d.admin
	c.run(chromedp.Navigate(base + "/"))
	c.shows("Nobody has anything against them")
	c.shows("read only · sign in")

	d.attack("127.0.0.77")
	req, err := http.NewRequest("GET", "http://"+d.addr+"/report/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("User-Agent", hostilePath)
	req.Header.Set("Referer", "http://x/"+hostilePath)
	res, err := d.from("127.0.0.78").http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	c.shows("127.0.0.77") // without a reload
	c.shows("blocked")
	c.sees(`document.querySelectorAll(".plot canvas").length === 3`)

	link, err := d.cli("page")
	if err != nil || !strings.HasPrefix(link, base+"/signin#") {
		t.Fatalf("page: %v: %s", err, link)
	}
	c.run(chromedp.Navigate(strings.TrimSpace(link)))
	c.shows("sign out")
	c.run(chromedp.Navigate(base + "/clients/127.0.0.77"))
	c.shows(hostilePath) // as text
	c.run(chromedp.Navigate(base + "/app"))
	c.shows("ValueError")
	c.run(chromedp.Click(chromedp.CSS("summary")))
	c.shows("Traceback (most recent call last)")
	c.shows("onerror=alert(1)")
	for _, view := range []string{"/events", "/routes", "/rules", "/clients"} {
		c.open(base + view)
	}

	c.run(chromedp.Click(chromedp.CSS(`button[aria-label="unban 127.0.0.77"]`)))
	c.shows("127.0.0.77 is unbanned")
	d.await("the ban has ended", func() bool { return len(d.bans()) == 0 })
	c.sees(`!document.querySelector("main").innerText.includes("blocked")`)

	if title := ask[string](c, "document.title"); !strings.Contains(title, "flask2ban") {
		t.Errorf("the title has become %q", title)
	}
	c.clean(d.admin)
}

// TestStatusPageByKeyboard never touches a mouse, and live updates leave the
// focus and what was opened alone.
func TestStatusPageByKeyboard(t *testing.T) {
	d := start(t, "testdata/page", "", "app.py")
	d.attack("127.0.0.77")
	d.attack("127.0.0.79")
	c := newChromium(t)
	base := "http://" + d.admin
	press := func(keys string) { t.Helper(); c.run(chromedp.KeyEvent(keys)) }
	c.open(base + "/")
	press("4")
	c.sees(`location.pathname === "/clients" && ` + live)
	press("j")
	press("j")
	c.sees(`document.activeElement.matches("main a.row")`)
	focused := ask[string](c, `document.activeElement.textContent`)
	d.attack("127.0.0.80") // comes first in the table
	c.shows("127.0.0.80")
	c.sees(`document.activeElement.textContent === "` + focused + `"`)
	press(kb.Enter)
	c.sees(`location.pathname === "/clients/` + focused + `" && ` + live)
	press("?")
	c.sees(`document.getElementById("help").open`)
	press(kb.Escape)
	c.sees(`!document.getElementById("help").open`)
	// Without its text: what the page prevents types nothing in a browser, but
	// the protocol would type it all the same.
	call(c, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "/"})
	c.sees(`document.activeElement.id === "find"`)
	press("127.0.0.77" + kb.Enter)
	c.sees(`location.pathname === "/clients/127.0.0.77" && ` + live)
	// A key that comes while the page is being exchanged is lost: a person
	// presses it again.
	paused := `document.getElementById("pause")?.dataset.state === "paused"`
	d.await("p pauses", func() bool {
		if !ask[bool](c, paused) {
			press("p")
		}
		return ask[bool](c, paused)
	})
	press("t")
	c.sees(`document.documentElement.dataset.theme === "light"`)
	press(kb.Tab)
	c.sees(`document.activeElement.matches(".skip")`)
	c.clean(d.admin)
}

// TestStatusPageOnAPhone: nothing is wider than the screen.
func TestStatusPageOnAPhone(t *testing.T) {
	d := start(t, "testdata/page", "", "app.py")
	d.attack("127.0.0.77")
	c := newChromium(t)
	call(c, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 375, Height: 800, DeviceScaleFactor: 2, Mobile: true})
	for _, view := range []string{"/", "/app", "/routes", "/clients", "/clients/127.0.0.77", "/bans", "/rules", "/events", "/signin"} {
		c.run(chromedp.Navigate("http://" + d.admin + view))
		c.sees(`document.documentElement.scrollWidth <= 375`)
	}
	c.clean(d.admin)
}

// TestStatusPageScreenshots writes docs/images anew where $SCREENSHOTS names that
// directory: make screenshots.
func TestStatusPageScreenshots(t *testing.T) {
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		t.Skip("makes pictures for docs/ only: make screenshots")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := start(t, "testdata/page", "", "app.py")
	d.browse(2 * time.Minute)
	c := newChromium(t)
	link, err := d.cli("page")
	if err != nil {
		t.Fatal(err)
	}
	c.run(chromedp.Navigate(strings.TrimSpace(link)))
	c.shows("sign out")
	for _, shot := range []struct {
		name, path, scheme string
		width, height      int64
	}{
		{"page-light", "/", "light", 1280, 900},
		{"page-dark", "/clients", "dark", 1280, 720},
		{"page-phone", "/", "light", 390, 844},
		{"page-app", "/app", "light", 1280, 720},
	} {
		call(c, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: shot.width, Height: shot.height, DeviceScaleFactor: 1, Mobile: shot.width < 600})
		call(c, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: shot.scheme}}})
		c.open("http://" + d.admin + shot.path)
		c.sees(`document.querySelectorAll(".plot").length === document.querySelectorAll(".plot canvas").length`)
		png, err := chromedp.Run(c.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, shot.name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.clean(d.admin)
}

// browse has people use the shop, and some scan it, for a while.
func (d *daemon) browse(long time.Duration) {
	d.t.Helper()
	tick := time.NewTicker(60 * time.Millisecond)
	defer tick.Stop()
	pages := []string{"/", "/product/3", "/search", "/cart", "/product/8", "/", "/product/5"}
	end := time.Now().Add(long)
	for n := 0; time.Now().Before(end); n++ {
		<-tick.C
		d.visit("127.0.1."+strconv.Itoa(1+n%90), pages[n%len(pages)])
		if n%97 == 0 {
			d.visit("127.0.2.1", "/report/march")
		}
		if n%150 == 0 {
			d.attack("127.0.9." + strconv.Itoa(1+n/150))
		}
		if n%110 == 0 {
			for _, path := range []string{"/old/index.php", "/backup.zip", "/shell"} {
				d.visit("127.0.8."+strconv.Itoa(1+n/110), path)
			}
		}
	}
}

func (d *daemon) visit(ip, path string) {
	res, err := d.from(ip).http.Get("http://" + d.addr + path)
	if err == nil {
		res.Body.Close()
	}
}
