package app

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// serveInGo is an app that neither hook nor variables reach, as one in another
// language or a frozen executable; at may name variables.
func serveInGo(at string) int {
	http.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	if err := http.ListenAndServe(os.ExpandEnv(at), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

// self is the command of serveInGo.
func self(t *testing.T, at string) Config {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Command: []string{program}, Dir: write(t, nil), Env: []string{"APP_TEST_SERVER=" + at}}
}

// pidApp is a Flask app with the page of serveInGo.
const pidApp = `
import os
from flask import Flask
app = Flask(__name__)
@app.route("/pid")
def pid():
    return str(os.getpid())
`

// boundInC is a server whose bind Python does not see, as uWSGI's or bjoern's;
// a metrics server is there three seconds before.
const boundInC = pidApp + `
import http.server, threading, time, _socket
from wsgiref.simple_server import WSGIServer, make_server
metrics = http.server.HTTPServer(("127.0.0.1", int(os.environ["METRICS"])), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=metrics.serve_forever, daemon=True).start()
time.sleep(3)
class InC(WSGIServer):
    def server_bind(self):
        _socket.socket.setsockopt(self.socket, _socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        _socket.socket.bind(self.socket, self.server_address)
        self.server_name, self.server_port = self.server_address
        self.setup_environ()
make_server("127.0.0.1", int(os.environ["OWN"]), app, server_class=InC).serve_forever()
`

// elsewhereCases are apps that our socket does not reach. OWN in a command is
// their own port, METRICS another.
var elsewhereCases = []struct {
	name     string
	command  []string
	launcher string
	hooked   bool
}{
	{"another language", []string{"SELF", "127.0.0.1:$PORT"}, ByPort, false},
	{"another language, on its own port", []string{"SELF", "127.0.0.1:OWN"}, ByDiscovery, false},
	{"waitress -E", []string{"/usr/bin/python3", "-E", "-c", "import os, waitress, app; waitress.serve(app.app, host='127.0.0.1', port=os.environ['PORT'])"}, ByPort, false},
	{"waitress -E, on its own port", []string{"/usr/bin/python3", "-E", "-m", "waitress", "--listen=127.0.0.1:OWN", "app:app"}, ByDiscovery, false},
	{"a program that starts gunicorn", []string{"/usr/bin/python3", "-c", "import subprocess, sys; sys.exit(subprocess.call(['gunicorn', '-b', '127.0.0.1:OWN', 'app:app']))"}, ByDiscovery, false},
	{"a script that closes descriptors", []string{"/bin/bash", "-c", "exec 197>&- 198>&- 199>&-; exec python3 -c 'import os, app; app.app.run(port=os.environ[\"PORT\"])'"}, ByPort, false},
	{"uWSGI", []string{"/usr/bin/uwsgi", "--plugin", "python3", "--master", "--die-on-term", "--http-socket", "127.0.0.1:OWN", "--module", "app:app"}, ByDiscovery, true},
	{"bound in C, after its metrics", []string{"/usr/bin/python3", "inc.py"}, ByDiscovery, true},
}

func TestElsewhere(t *testing.T) {
	for _, c := range elsewhereCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, port := startElsewhere(t, c.command)
			var first string
			for range 3 {
				pid := r.State().PID
				got := r.get("/pid")
				if got.status != 200 || got.body == first || got.witness.Present != c.hooked {
					t.Fatalf("got %+v, after %q\n%s", got, first, r.output)
				}
				first = got.body
				s := r.State()
				if s.Launcher != c.launcher || s.Address == "" || c.launcher == ByDiscovery && s.Address != "127.0.0.1:"+port {
					t.Errorf("launcher %q at %q, own port %s", s.Launcher, s.Address, port)
				}
				syscall.Kill(pid, syscall.SIGKILL)
				eventually(t, "another instance serves", func() bool {
					s := r.State()
					return s.Name == Ready && s.PID != pid
				})
			}
		})
	}
}

// startElsewhere runs a case, and returns its own port.
func startElsewhere(t *testing.T, command []string) (*running, string) {
	t.Helper()
	port := fmt.Sprint(freeTestPort(t))
	c := Config{}
	if command[0] == "SELF" {
		c = self(t, strings.ReplaceAll(command[1], "OWN", port))
	} else {
		for _, word := range command {
			c.Command = append(c.Command, strings.ReplaceAll(word, "OWN", port))
		}
	}
	c.Dir = write(t, map[string]string{"app.py": pidApp, "inc.py": boundInC})
	c.Env = append(c.Env, "PATH=/usr/bin:/bin", "OWN="+port, fmt.Sprintf("METRICS=%d", freeTestPort(t)))
	return start(t, c), port
}

// TestNobodyElseIsTakenForTheApp: another program opens the app's port while the
// app is down. The app can't start then; nothing is sent to the other.
func TestNobodyElseIsTakenForTheApp(t *testing.T) {
	port := fmt.Sprint(freeTestPort(t))
	c := self(t, "127.0.0.1:"+port)
	hold := filepath.Join(c.Dir, "hold")
	c.Command = []string{"/bin/sh", "-c", "while [ -e hold ]; do sleep 0.02; done; exec " + c.Command[0]}
	r := start(t, c)
	f := &Flight{ID: "one", Method: "GET", Route: "/pid"}
	r.Enter(f)
	defer r.Leave(f)
	if conn := connect(t, f.Addr()); !f.Reached(conn) {
		t.Error("the app is not recognised")
	}
	if err := os.WriteFile(hold, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(r.State().PID, syscall.SIGKILL)
	var other net.Listener
	eventually(t, "the port is another's", func() bool {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		other = l
		return err == nil
	})
	defer other.Close()
	os.Remove(hold)
	eventually(t, "the app can't start", func() bool { return strings.Contains(r.State().Reason, "address already in use") })
	if conn := connect(t, f.Addr()); f.Reached(conn) {
		t.Error("somebody else is taken for the app")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := r.Again(ctx, f, true, true); err == nil {
		t.Error("a request may be sent to somebody else")
	}
	other.Close()
	eventually(t, "the app is back", func() bool { return r.State().Name == Ready })
	if got := r.get("/pid"); got.status != 200 {
		t.Errorf("got %+v", got)
	}
}

func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestRollElsewhere: with a port for each instance the new one is there before
// the old one ends; with one port for all it can't be.
func TestRollElsewhere(t *testing.T) {
	for at, overlap := range map[string]bool{"127.0.0.1:$PORT": true, fmt.Sprintf("127.0.0.1:%d", freeTestPort(t)): false} {
		t.Run(fmt.Sprint("overlap ", overlap), func(t *testing.T) {
			r := start(t, self(t, at))
			before, first := r.get("/pid").body, r.State()
			if err := r.Roll(t.Context(), Reload, "asked"); err != nil {
				t.Fatal(err)
			}
			eventually(t, "another instance serves", func() bool {
				s := r.State()
				return s.Name == Ready && s.PID != first.PID
			})
			if got := r.get("/pid").body; got == before {
				t.Errorf("still process %s", got)
			}
			if moved := r.State().Address != first.Address; moved != overlap {
				t.Errorf("was at %s, is at %s", first.Address, r.State().Address)
			}
			for _, e := range r.Events() {
				if e.Kind == Reload && strings.Contains(e.Done, "took over") != overlap {
					t.Errorf("event %+v", e)
				}
			}
		})
	}
}

// TestOneInstanceOnAPortOfItsOwn: of several workers with one port, one stays.
func TestOneInstanceOnAPortOfItsOwn(t *testing.T) {
	c := self(t, fmt.Sprintf("127.0.0.1:%d", freeTestPort(t)))
	c.Workers, c.MaxWorkers = 2, 4
	r := start(t, c)
	eventually(t, "the other is gone", func() bool { return len(r.history.accepting()) == 1 && len(r.State().Instances) == 0 })
	if got := r.get("/pid"); got.status != 200 {
		t.Errorf("got %+v", got)
	}
}

// TestWorkersWithAPortEach: each instance has a port of its own.
func TestWorkersWithAPortEach(t *testing.T) {
	c := self(t, "127.0.0.1:$PORT")
	c.Workers = 2
	r := start(t, c)
	eventually(t, "both serve", func() bool { return len(r.history.accepting()) == 2 })
	seen := map[string]bool{}
	f := &Flight{ID: "held"}
	r.Enter(f) // one has a request more than the other
	seen[f.Addr()] = true
	g := &Flight{ID: "other"}
	r.Enter(g)
	seen[g.Addr()] = true
	r.Leave(f)
	r.Leave(g)
	if len(seen) != 2 {
		t.Errorf("requests go to %v", seen)
	}
}

// TestSupervisedElsewhere: an app keeps its own port where our socket does not
// reach it; it is kept alive there.
func TestSupervisedElsewhere(t *testing.T) {
	port := fmt.Sprint(freeTestPort(t))
	c := self(t, "127.0.0.1:"+port)
	c.OwnPort, c.Unseen = true, true
	r := start(t, c)
	if r.Addr() != "127.0.0.1:"+port || r.State().Launcher != ByDiscovery {
		t.Errorf("at %q by %q, want port %s", r.Addr(), r.State().Launcher, port)
	}
	_, first, _ := fresh("http://" + r.Addr() + "/pid")
	syscall.Kill(r.State().PID, syscall.SIGKILL)
	eventually(t, "another instance serves", func() bool {
		_, pid, err := fresh("http://" + r.Addr() + "/pid")
		return err == nil && pid != first
	})
	if _, err := r.Socket(); err == nil || !strings.Contains(err.Error(), "listens by itself") {
		t.Errorf("its socket can be handed over: %v", err)
	}
}

// TestDeaf: an app that runs and has closed its port is noticed.
func TestDeaf(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &elsewhere{addr: l.Addr().(*net.TCPAddr).AddrPort()}
	for _, s := range listeningSockets() {
		if s.addr == e.addr {
			e.inode = s.inode
		}
	}
	p := &place{}
	p.elsewhere.Store(e)
	now := time.Now()
	m := &monitor{place: p, heard: now}
	if got := m.unheardFor(now.Add(time.Hour)); got != 0 {
		t.Errorf("open, and unheard for %s", got)
	}
	conn := connect(t, l.Addr().String())
	if n, err := p.queued(); n != 1 || err != nil {
		t.Errorf("queued: got %d, %v, want 1", n, err)
	}
	conn.Close()
	l.Close()
	eventually(t, "it is seen to be closed", func() bool { return !p.open() })
	if got := m.unheardFor(now.Add(time.Hour + time.Minute)); got != time.Minute {
		t.Errorf("unheard for %s, want 1m", got)
	}
	if _, err := p.queued(); err == nil {
		t.Error("a closed port has a queue")
	}
}

// TestReadListening: what listens stands first, and the rest is not read.
func TestReadListening(t *testing.T) {
	table := strings.NewReader(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 5
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000000000000000 20 4 30 10 -1
`)
	rest := io.MultiReader(table, failing{})
	got := ""
	for _, s := range readListening(rest) {
		got += fmt.Sprintln(s.addr, s.inode, s.queued)
	}
	if want := "127.0.0.1:8080 4711 3\n0.0.0.0:80 4712 0\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// failing is what must not be read.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
