package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// launchedApp has a slow page, and a name for each way to serve it.
const launchedApp = `
import os, time
from flask import Flask
app = Flask(__name__)
@app.route("/slow/<float:seconds>")
def slow(seconds):
    time.sleep(seconds)
    return "slept"
`

// launchCases are apps as their users start them. PORT in a command is a free
// port; main is the rest of app.py.
var launchCases = []struct {
	name, main string
	command    []string
	launcher   string
	// atOnce is how many requests it works on at a time, as status says; 0 is
	// not bounded, or not known.
	atOnce int
}{
	{name: "python app.py", main: "if __name__ == '__main__':\n    app.run(port=PORT)", launcher: app.ByHook},
	{name: "flask run", command: []string{"flask", "run", "--port", "PORT"}, launcher: app.ByHook},
	{name: "gunicorn sync", command: []string{"gunicorn", "-w", "2", "-b", ":PORT", "app:app"}, launcher: app.ByHook, atOnce: 2},
	{name: "gunicorn gthread", command: []string{"gunicorn", "-k", "gthread", "--threads", "3", "-b", ":PORT", "app:app"}, launcher: app.ByHook, atOnce: 3},
	{name: "gunicorn gevent", command: []string{"gunicorn", "-k", "gevent", "-b", ":PORT", "app:app"}, launcher: app.ByHook, atOnce: 1000},
	{name: "gunicorn eventlet", command: []string{"gunicorn", "-k", "eventlet", "-b", ":PORT", "app:app"}, launcher: app.ByHook, atOnce: 1000},
	{name: "waitress", command: []string{"python3", "-m", "waitress", "--port=PORT", "--threads=5", "app:app"}, launcher: app.ByHook, atOnce: 5},
	{name: "gevent.pywsgi", main: "if __name__ == '__main__':\n    from gevent import monkey; monkey.patch_all()\n    from gevent.pywsgi import WSGIServer\n    WSGIServer(('', PORT), app).serve_forever()", launcher: app.ByHook},
	{name: "flask-socketio", main: "from flask_socketio import SocketIO\nif __name__ == '__main__':\n    SocketIO(app, async_mode='threading').run(app, port=PORT, allow_unsafe_werkzeug=True)", launcher: app.ByHook},
	{name: "uvicorn", command: []string{"uvicorn", "--interface", "wsgi", "--port", "PORT", "app:app"}, launcher: app.ByHook},
	{name: "hypercorn", main: "from asgiref.wsgi import WsgiToAsgi\nasgi = WsgiToAsgi(app)", command: []string{"hypercorn", "-b", ":PORT", "app:asgi"}, launcher: app.ByHook},
	{name: "a wrapper script", command: []string{"sh", "-c", "python3 -c 'import app' && exec gunicorn -b :PORT app:app"}, launcher: app.ByHook, atOnce: 1},
	{name: "python -E", main: "if __name__ == '__main__':\n    app.run(port=PORT)", command: []string{"python3", "-E", "app.py"}, launcher: app.ByVariables},
	{name: "gunicorn -E", command: []string{"python3", "-E", "-m", "gunicorn", "-b", ":PORT", "app:app"}, launcher: app.ByVariables},
	{name: "uvicorn -E", command: []string{"python3", "-E", "-m", "uvicorn", "--interface", "wsgi", "--port", "PORT", "app:app"}, launcher: app.ByVariables},
	{name: "waitress -E, PORT", command: []string{"python3", "-E", "-c", "import os, waitress, app; waitress.serve(app.app, host='127.0.0.1', port=os.environ['PORT'])"}, launcher: app.ByPort},
	{name: "waitress -E, a port of its own", command: []string{"python3", "-E", "-m", "waitress", "--listen=127.0.0.1:PORT", "app:app"}, launcher: app.ByDiscovery},
	{name: "a program that starts gunicorn", command: []string{"python3", "-c", "import subprocess, sys; sys.exit(subprocess.call(['gunicorn', '-b', '127.0.0.1:PORT', 'app:app']))"}, launcher: app.ByDiscovery},
	{name: "uWSGI", command: []string{"uwsgi", "--plugin", "python3", "--master", "--die-on-term", "--threads", "4", "--http-socket", "127.0.0.1:PORT", "--module", "app:app"}, launcher: app.ByDiscovery},
}

// TestLaunchers: each serves; its first process is killed twice under load, and
// no GET is lost.
func TestLaunchers(t *testing.T) {
	for _, c := range launchCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := launchApp(t, c.main, c.command)
			state, _ := d.instance()
			if state.Launcher != c.launcher || (state.Address != "") != (c.launcher == app.ByPort || c.launcher == app.ByDiscovery) {
				t.Errorf("launched by %q, at %q; want %q", state.Launcher, state.Address, c.launcher)
			}
			var sent atomic.Int64
			stop := make(chan struct{})
			var group sync.WaitGroup
			for n := range 4 {
				group.Go(func() { askUntil(t, d.from(fmt.Sprintf("127.0.9.%d", n+1)), &sent, stop) })
			}
			for range 2 {
				before, _ := d.instance()
				from := sent.Load()
				d.await("requests flow", func() bool { return sent.Load() > from+20 })
				syscall.Kill(before.PID, syscall.SIGKILL)
				d.await("a new instance", func() bool {
					now, _ := d.instance()
					return now.Name == app.Ready && now.PID != before.PID
				})
			}
			close(stop)
			group.Wait()
			now, limit := d.instance()
			if now.Launcher != c.launcher {
				t.Errorf("launched by %q after a restart, want %q", now.Launcher, c.launcher)
			}
			if limit != c.atOnce {
				t.Errorf("%d requests at once, want %d", limit, c.atOnce)
			}
		})
	}
}

// launchApp starts an app; PORT in main and command is a free port.
func launchApp(t *testing.T, main string, command []string) *daemon {
	t.Helper()
	_, port, _ := net.SplitHostPort(freePort(t))
	text := strings.ReplaceAll(launchedApp+main+"\n", "PORT)", port+")")
	text = strings.ReplaceAll(text, "PORT,", port+",")
	args := []string{"app.py", "--python", "/usr/bin/python3", "--env", "PATH=/usr/bin:/bin"}
	if len(command) > 0 {
		args = append(args, "--")
	}
	for _, word := range command {
		if !strings.Contains(word, "environ") {
			word = strings.ReplaceAll(word, "PORT", port)
		}
		args = append(args, word)
	}
	return start(t, publicDir(t, map[string]string{"app.py": text}), "", args...)
}

// askUntil asks for pages, none of which may get lost.
func askUntil(t *testing.T, c *client, sent *atomic.Int64, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if status, body := c.get("/slow/0.02"); status != http.StatusOK {
			t.Errorf("lost: %d %.200s", status, body)
			return
		}
		sent.Add(1)
	}
}

// instance is what status says of the app, and how many requests it may have at
// a time.
func (d *daemon) instance() (app.State, int) {
	d.t.Helper()
	out, err := d.cli("status", "--json")
	var status struct {
		Instance app.State
		Queue    struct{ Limit int }
	}
	if jsonErr := json.Unmarshal([]byte(out), &status); jsonErr != nil {
		d.t.Fatalf("status --json: %v, %v: %s", err, jsonErr, out)
	}
	return status.Instance, status.Queue.Limit
}

// TestAppsPortIsTaken: while the app restarts another program opens its port.
// Requests wait until the app has it again; the other sees none.
func TestAppsPortIsTaken(t *testing.T) {
	// Its next start waits until the port is another's.
	hold := filepath.Join(t.TempDir(), "hold")
	waits := fmt.Sprintf("while os.path.exists(%q): time.sleep(0.02)", hold)
	d := launchApp(t, waits, []string{"python3", "-E", "-m", "waitress", "--listen=127.0.0.1:PORT", "app:app"})
	c := d.from("127.0.9.1")
	c.want(200, "/slow/0.01")
	if out, err := d.cli("status"); err != nil || !strings.Contains(out, "socket") || !strings.Contains(out, "discovered") {
		t.Errorf("status does not tell how it listens: %v\n%s", err, out)
	}
	before, _ := d.instance()
	if err := os.WriteFile(hold, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(before.PID, syscall.SIGKILL)
	var other net.Listener
	d.await("the port is another's", func() bool {
		l, err := net.Listen("tcp", before.Address)
		other = l
		return err == nil
	})
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Method + " " + r.URL.String():
		default:
		}
	})}
	go server.Serve(other)
	defer server.Close()
	answered := make(chan int, 1)
	go func() {
		status, _ := c.get("/slow/0.01")
		answered <- status
	}()
	d.await("the app can't have its port", func() bool {
		now, _ := d.instance()
		return strings.Contains(now.Reason, "in use") || now.Restarts > 1
	})
	server.Close()
	select {
	case status := <-answered:
		if status != http.StatusOK {
			t.Errorf("the request that waited got %d", status)
		}
	case <-time.After(time.Minute):
		t.Error("the request that waited got no answer")
	}
	select {
	case what := <-asked:
		t.Errorf("another program was asked: %s", what)
	default:
	}
}
