package app

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// sleepy is an app with a slow page, for tests that end it meanwhile.
const sleepy = hello + `
import os, sys, time
@app.route("/pid")
def pid():
    return str(os.getpid())
@app.route("/slow/<float:seconds>")
def slow(seconds):
    time.sleep(seconds)
    return "slept"
@app.route("/stream")
def stream():
    def numbers():
        for n in range(10):
            time.sleep(0.1)
            yield "%d\n" % n
    return app.response_class(numbers(), mimetype="text/plain")
port = int(os.environ.get("APP_PORT", 0))
`

// ownPortCases are servers that open their port themselves.
var ownPortCases = []struct {
	name, run string
	command   []string
}{
	{"werkzeug", "app.run(port=port)", nil},
	{"werkzeug on all addresses", "app.run(host='0.0.0.0', port=port)", nil},
	{"werkzeug one by one", "app.run(port=port, threaded=False)", nil},
	{"werkzeug ipv6", "app.run(host='::1', port=port)", nil},
	{"waitress", "import waitress; waitress.serve(app, host='127.0.0.1', port=port)", nil},
	{"gevent", "from gevent import monkey; monkey.patch_all()\nfrom gevent.pywsgi import WSGIServer\nWSGIServer(('127.0.0.1', port), app).serve_forever()", nil},
	{"eventlet", "import eventlet; eventlet.monkey_patch()\nimport eventlet.wsgi\neventlet.wsgi.server(eventlet.listen(('127.0.0.1', port)), app)", nil},
	{"gunicorn", "", []string{"gunicorn", "-b", "127.0.0.1:PORT", "app:app"}},
	{"gunicorn gthread", "", []string{"gunicorn", "-k", "gthread", "--threads", "4", "-b", "127.0.0.1:PORT", "app:app"}},
	{"flask run", "", []string{"/usr/bin/python3", "-m", "flask", "run", "--port", "PORT"}},
}

// ownPort starts a case on a port that is free.
func ownPort(t *testing.T, run string, command []string) (r *running, port string) {
	t.Helper()
	port = fmt.Sprint(freeTestPort(t))
	c := Config{OwnPort: true, App: "app.py", Env: []string{"APP_PORT=" + port}}
	for _, word := range command {
		c.Command = append(c.Command, strings.ReplaceAll(word, "PORT", port))
	}
	c.Dir = write(t, map[string]string{"app.py": sleepy + "if __name__ == '__main__':\n    " + strings.ReplaceAll(run, "\n", "\n    ") + "\n    pass\n"})
	return start(t, c), port
}

var usedPorts atomic.Int32

// freeTestPort is below those that the kernel gives out.
func freeTestPort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 11000 + (os.Getpid()*97+int(usedPorts.Add(1)))%8000
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		l.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// fresh asks over a connection of its own.
func fresh(url string) (int, string, error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// TestOwnPort: the app is on the port that it names; when it is killed,
// connections wait for the next instance.
func TestOwnPort(t *testing.T) {
	for _, c := range ownPortCases {
		t.Run(c.name, func(t *testing.T) {
			r, port := ownPort(t, c.run, c.command)
			if !strings.HasSuffix(r.Addr(), ":"+port) {
				t.Fatalf("the address is %q, want port %s", r.Addr(), port)
			}
			url := "http://" + r.socket.dial()
			status, first, err := fresh(url + "/pid")
			if status != 200 || err != nil {
				t.Fatalf("got %d, %v\n%s", status, err, r.output)
			}
			if err := syscall.Kill(r.State().PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, "another instance serves, and nobody is refused meanwhile", func() bool {
				_, pid, err := fresh(url + "/pid")
				if errors.Is(err, syscall.ECONNREFUSED) {
					t.Fatal("refused")
				}
				return err == nil && pid != first
			})
			r.wait()
			if s := r.State(); s.Launcher != "hook" {
				t.Errorf("launcher %q", s.Launcher)
			}
		})
	}
}

// TestStopLetsRequestsFinish: SIGTERM comes while requests run; they are
// answered, new ones are not taken.
func TestStopLetsRequestsFinish(t *testing.T) {
	for _, c := range ownPortCases {
		t.Run(c.name, func(t *testing.T) {
			r, _ := ownPort(t, c.run, c.command)
			url := "http://" + r.socket.dial()
			answers := make(chan string, 2)
			ask := func(path string) {
				_, body, err := fresh(url + path)
				answers <- fmt.Sprint(body, err)
			}
			go ask("/slow/1.5")
			several := !strings.Contains(c.name, "one by one") && c.name != "gunicorn"
			if several {
				go ask("/stream")
			} else {
				answers <- "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n<nil>"
			}
			eventually(t, "the requests are read", func() bool { return received(t, r) })
			time.AfterFunc(300*time.Millisecond, r.stop) // both are in the app by then, mostly
			got := map[string]bool{<-answers: true, <-answers: true}
			for _, want := range []string{"slept<nil>", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n<nil>"} {
				if !got[want] {
					t.Errorf("got %v, want %q among it\n%s", got, want, r.output)
				}
			}
			begin := time.Now()
			if err := r.end(); err != nil {
				t.Errorf("the end: %v", err)
			}
			for _, e := range r.Events() {
				if strings.Contains(e.Seen, "did not end") {
					t.Errorf("killed: %v after %s", e, time.Since(begin))
				}
			}
		})
	}
}

// received says whether nothing waits in the app's socket.
func received(t *testing.T, r *running) bool {
	n, err := r.socket.queued()
	if err != nil {
		t.Fatal(err)
	}
	return n == 0
}

// TestOwnPortOfSeveral: the first instance opens the port, and the others do not
// find it in use.
func TestOwnPortOfSeveral(t *testing.T) {
	port := fmt.Sprint(freeTestPort(t))
	r := start(t, Config{OwnPort: true, Workers: 3, App: "app.py", Env: []string{"APP_PORT=" + port},
		Dir: write(t, map[string]string{"app.py": sleepy + "app.run(port=port)\n"})})
	eventually(t, "all serve", func() bool {
		for _, in := range r.State().Instances {
			if in.Name != Ready {
				return false
			}
		}
		return len(r.State().Instances) == 3
	})
	for _, e := range r.Events() {
		if e.Kind != Served {
			t.Errorf("%s: %s: %s", e.Kind, e.Seen, e.Done)
		}
	}
	if got := r.State().Restarts; got != 0 {
		t.Errorf("%d restarts, want 0", got)
	}
}

// TestOwnPortOfNoName: an app that names no port is where flask run would have
// it.
func TestOwnPortOfNoName(t *testing.T) {
	port := fmt.Sprint(freeTestPort(t))
	r := start(t, Config{OwnPort: true, App: "app:app", Env: []string{"FLASK_RUN_PORT=" + port},
		Dir: write(t, map[string]string{"app.py": hello})})
	if got, want := r.Addr(), "127.0.0.1:"+port; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestGivenListener: an app gets the socket that we are given.
func TestGivenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{OwnPort: true, Listener: f, App: "app.py", Dir: write(t, map[string]string{"app.py": helloMain})})
	if r.Addr() != l.Addr().String() {
		t.Errorf("got %s, want %s", r.Addr(), l.Addr())
	}
	if status, body, err := fresh("http://" + r.Addr() + "/"); status != 200 || body != "hello" {
		t.Errorf("got %d %q %v", status, body, err)
	}
	if listening(t, 18080) {
		t.Error("the app's own port is open as well")
	}
}

// TestOwnPortTaken: the app says itself why it can't have its port.
func TestOwnPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	r := begin(t, Config{OwnPort: true, App: "app.py", Env: []string{fmt.Sprintf("APP_PORT=%d", port)},
		Dir: write(t, map[string]string{"app.py": sleepy + "app.run(port=port)"})})
	eventually(t, "the reason is known", func() bool { return strings.Contains(strings.Join(r.State().Output, "\n"), "in use") })
}
