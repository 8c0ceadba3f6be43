package e2e

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// repeatingApp says what it was sent.
const repeatingApp = `from flask import Flask, request
app = Flask(__name__)

@app.route("/", methods=["GET", "POST"])
def index():
    return request.method + " " + request.get_data(as_text=True)
`

// TestSidecarWaitsForItsApp, which starts later than we do, is killed, and comes back
// each time; under servers that log each request. Nothing but requests is in their logs.
func TestSidecarWaitsForItsApp(t *testing.T) {
	for _, command := range []string{
		"gunicorn --bind ADDR --access-logfile - again:app",
		"python3 -m flask --app again run --host HOST --port PORT",
		"waitress-serve --listen ADDR again:app",
	} {
		t.Run(strings.Fields(command)[0], func(t *testing.T) { sidecarWaits(t, command) })
	}
}

func sidecarWaits(t *testing.T, command string) {
	dir := publicDir(t, map[string]string{"again.py": repeatingApp})
	at := freePort(t)
	host, port, _ := strings.Cut(at, ":")
	words := strings.Fields(strings.NewReplacer("ADDR", at, "HOST", host, "PORT", port).Replace(command))
	d := startAway(t, dir, "again.py", "--upstream", "http://"+at)
	if status, text := d.readyz(); status != 503 || !strings.Contains(text, "connection refused") || !strings.Contains(text, at) {
		t.Errorf("readyz while the app is away: %d %s", status, text)
	}
	out, err := d.cli("status")
	if err == nil || !strings.Contains(out, "no: the app does not accept connections") {
		t.Errorf("status while it is away: %v\n%s", err, out)
	}
	for round := range 2 {
		if up := d.metric("flask2ban_app_up"); up != 0 {
			t.Errorf("round %d: app_up is %v while it is away", round, up)
		}
		var waiting sync.WaitGroup
		for n := range 10 {
			c, method := d.from(fmt.Sprintf("127.0.47.%d", n)), []string{"GET", "POST"}[n%2]
			waiting.Go(func() {
				if status, body := c.do(method, "/", strings.NewReader("it's me")); status != 200 || body != method+" it's me" {
					t.Errorf("round %d: %s: %d %.200s", round, method, status, body)
				}
			})
		}
		d.await("all wait", func() bool {
			out, _ := d.cli("status") // which fails, as it is not ready
			return strings.Contains(out, "10 wait until it is there")
		})
		app := launch(t, dir, nil, words[0], words[1:]...)
		waiting.Wait()
		d.await("it is ready", func() bool { status, _ := d.readyz(); return status == 200 })
		if up := d.metric("flask2ban_app_up"); up != 1 {
			t.Errorf("round %d: app_up is %v", round, up)
		}
		for range 20 {
			d.readyz()
		}
		wantOnlyRequests(t, app, command)
		app.kill()
		d.await("it is not ready", func() bool { status, _ := d.readyz(); return status == 503 })
	}
	if bans := d.bans(); len(bans) > 0 {
		t.Errorf("bans: %v", bans)
	}
}

// startAway starts flask2ban in front of an app that need not be there.
func startAway(t *testing.T, dir string, args ...string) *daemon {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{state: t.TempDir(), addr: freePort(t), admin: freePort(t)}
	d.process = launch(t, dir, nil, path, append(args, "--listen", d.addr, "--admin", d.admin, "--state", d.state)...)
	d.await("it lives", func() bool { return testbed.Answers("http://" + d.admin + "/healthz") })
	d.says("does not accept connections")
	return d
}

// readyz asks whether the daemon can forward.
func (d *daemon) readyz() (int, string) {
	d.t.Helper()
	return d.askAdmin("/readyz")
}

// kill ends a program and its children at once, as a container's end does.
func (p *process) kill() {
	for _, s := range testbed.TreeOf(p.PID()) {
		_ = syscall.Kill(s.PID, syscall.SIGKILL) // fails where its parent's end has ended it
	}
	<-p.done
}

// wantOnlyRequests fails the test where a server has logged anything of requests but those
// of 10 clients and for random paths, or an error.
func wantOnlyRequests(t *testing.T, app *process, command string) {
	t.Helper()
	if !strings.HasPrefix(command, "waitress") { // which logs none
		app.await("each request is logged once", func() bool {
			log := app.out.String()
			return strings.Count(log, `"GET / `) == 5 && strings.Count(log, `"POST / `) == 5
		})
	}
	for line := range strings.Lines(app.out.String()) {
		asked := strings.Contains(line, `"GET /`) || strings.Contains(line, `"POST / `)
		if strings.Contains(line, "HTTP/") && !asked || strings.Contains(line, "Traceback") || strings.Contains(strings.ToLower(line), "error") {
			t.Errorf("the app has logged %q", line)
		}
	}
}

// TestSidecarOfANameThatIsUnknown waits for it, as a container's name is unknown while that restarts.
func TestSidecarOfANameThatIsUnknown(t *testing.T) {
	d := startAway(t, example(t, "hello"), "app.py", "--upstream", "http://no-such-app.invalid:5000", "--hold", "100ms")
	if status, text := d.readyz(); status != 503 || !strings.Contains(text, "no-such-app.invalid") {
		t.Errorf("readyz: %d %s", status, text)
	}
	if body := d.from("127.0.47.1").want(503, "/"); !strings.Contains(body, "The application is away") {
		t.Errorf("the page says %s", body)
	}
}
