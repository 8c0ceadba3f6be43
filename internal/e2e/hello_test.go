package e2e

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestHello is the README's first run.
func TestHello(t *testing.T) {
	// The port that the app names is never opened: it is taken, by us or, if
	// that fails, by whoever has it already.
	if l, err := net.Listen("tcp", ":8080"); err == nil {
		defer l.Close()
	}
	d := start(t, example(t, "hello"), "", "app.py")
	c := d.from("127.0.1.1")
	if got := c.want(200, "/"); got != "Hello, world!\n" {
		t.Errorf("/ answered %q", got)
	}
	if got := c.want(200, "/2020"); got != "The year 2020\n" {
		t.Errorf("/2020 answered %q", got)
	}
	c.want(500, "/user/bob")
	c.want(404, "/abc")
	d.says("LookupError: no such user: bob") // the app's traceback is passed through
	d.await("the exception is counted", func() bool {
		return d.metric("flask2ban_app_exceptions_total", `type="LookupError"`) == 1
	})
	c.want(404, "/.env")
	if status, body := c.get("/"); status != 403 || !strings.Contains(body, "Access refused") {
		t.Errorf("after a honeypath: %d %.200s", status, body)
	}
	if bans := d.bans(); !slices.Contains(bans, "127.0.1.1") {
		t.Errorf("bans: %v", bans)
	}
	d.from("127.0.1.2").want(200, "/")
}

// TestUnbanByAnOperator undoes a ban.
func TestUnbanByAnOperator(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py")
	c := d.from("127.0.1.1")
	c.want(404, "/.env")
	c.want(403, "/")
	out, err := d.cli("why", "127.0.1.1")
	if err != nil || !strings.Contains(out, "/.env") || !strings.Contains(out, "bans remove 127.0.1.1") {
		t.Errorf("why: %v\n%s", err, out)
	}
	if out, err := d.cli("bans", "remove", "127.0.1.1"); err != nil {
		t.Fatalf("bans remove: %v: %s", err, out)
	}
	c.want(200, "/")
	if out, err := d.cli("bans", "add", "127.0.1.9", "--for", "1h", "--reason", "test"); err != nil {
		t.Fatalf("bans add: %v: %s", err, out)
	}
	if body := d.from("127.0.1.9").want(403, "/"); !strings.Contains(body, "test") {
		t.Errorf("the page does not give the operator's reason: %s", body)
	}
}

// TestObserve judges, counts and logs, and refuses nobody.
func TestObserve(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py", "--mode", "observe")
	c := d.from("127.0.1.1")
	for _, target := range []string{"/.env", "/wp-login.php", "/.git/config"} {
		c.want(404, target)
	}
	c.want(200, "/")
	d.says("127.0.1.1")
	if n := d.metric("flask2ban_evidence_total", `kind="honeypath"`); n < 1 {
		t.Errorf("honeypath evidence counted: %v", n)
	}
	if n := d.metric("flask2ban_refused_total"); n != 0 {
		t.Errorf("%v requests refused in observe mode", n)
	}
}

// TestFactory serves a package with an application factory.
func TestFactory(t *testing.T) {
	d := start(t, example(t, "factory"), "", "shop")
	c := d.from("127.0.1.1")
	c.want(200, "/")
	c.want(200, "/assets/shop.css")
	c.want(200, "/catalog/7")
	c.want(200, "/catalog/7/reviews/")
	c.want(308, "/catalog")
	c.want(404, "/account/nobody") // a missing record
	c.want(404, "/nowhere")
	out, err := d.cli("why", "127.0.1.1")
	if err != nil || !strings.Contains(out, "/nowhere") || strings.Contains(out, "/account/nobody") {
		t.Errorf("why: %v\n%s", err, out)
	}
}

// TestSidecar fronts an app that someone else runs.
func TestSidecar(t *testing.T) {
	upstream := start(t, example(t, "hello"), "", "app.py", "--mode", "observe")
	d := start(t, example(t, "hello"), "", "app.py", "--upstream", "http://"+upstream.addr)
	c := d.from("127.0.1.1")
	c.want(200, "/2020")
	// What is asked before the sidecar knows how the app answers unknown paths
	// is no evidence.
	d.await("an unknown path is evidence", func() bool {
		c := d.from("127.0.1.3")
		c.get("/nowhere")
		return d.metric("flask2ban_evidence_total", "kind", "unexpected_path") > 0
	})
	wantBanned(t, d, "127.0.1.2", "/a", "/b", "/c", "/d", "/e", "/f", "/g")
	c.want(200, "/")
}

// TestReload applies a changed configuration file to a running daemon, and
// keeps the old one where the new one is bad.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flask2ban.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("maxretry: 100\n")
	d := start(t, example(t, "hello"), "", "app.py", "--config", file)
	c := d.from("127.0.1.1")
	for _, p := range []string{"/a", "/b", "/c", "/d", "/e", "/f"} {
		c.want(404, p)
	}
	write("maxretry: many\n")
	if out, err := d.cli("reload"); err == nil || !strings.Contains(out, file+":1:11") || !strings.Contains(out, "old configuration stays") {
		t.Errorf("a bad file: %v, %s", err, out)
	}
	c.want(404, "/g")
	write("maxretry: 5\n")
	if out, err := d.cli("reload"); err != nil || out != "reloaded\n" {
		t.Fatalf("reload: %v: %s", err, out)
	}
	// What was counted before still counts.
	c.want(404, "/h")
	c.want(403, "/")
	// What waits for a restart is named as long as it does.
	write("maxretry: 6\nmax-body: 1MB\nipv4-prefix: 24\n")
	for range 2 {
		if out, err := d.cli("reload"); err != nil || out != "reloaded, but for what only a restart of flask2ban changes: max-body, ipv4-prefix\n" {
			t.Errorf("settings for the next start: %v: %s", err, out)
		}
	}
	write("mode: observe\n")
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.await("SIGHUP was heeded", func() bool { status, _ := c.get("/"); return status == 200 })
}
