package app

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// slowToRead is an app whose server has a request's header, and waits for its
// body, before the app begins; every view notes what it ran.
const slowToRead = `
from flask import Flask, request
app = Flask(__name__)
def note(line):
    with open("ran", "a") as f:
        f.write(line + "\n")
@app.route("/post", methods=["POST"])
def post():
    note(request.headers["X-Name"])
    if request.args.get("die"):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    return "ran"
`

// posted is a POST on a connection of its own.
type posted struct {
	flight *Flight
	conn   net.Conn
}

func (r *running) post(name, target, id string) *posted {
	r.t.Helper()
	p := &posted{flight: &Flight{ID: id, Method: "POST", Route: "/post"}}
	r.Enter(p.flight)
	r.t.Cleanup(func() { r.Leave(p.flight) })
	p.send(r, name, target)
	return p
}

// send sends it, or sends it again.
func (p *posted) send(r *running, name, target string) {
	r.t.Helper()
	conn, err := net.Dial("tcp", p.flight.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	p.conn = conn
	r.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nX-Name: %s\r\n%s: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		target, name, r.secrets.request, forwardedValue(Forwarded{ID: p.flight.ID, Client: client, Scheme: "http", Host: "x"}))
}

// status is the answer's first line; empty where the connection broke.
func (p *posted) status() string {
	line, _ := bufio.NewReader(p.conn).ReadString('\n')
	return strings.TrimSpace(line)
}

func ran(dir string) string {
	data, _ := os.ReadFile(filepath.Join(dir, "ran"))
	return strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", " ")
}

// A POST that the app has begun is never proved unread; one that it has not
// begun is, also while the process that had it goes on: the hook then refuses
// to begin it.
func TestProofThatAPostWasNotRead(t *testing.T) {
	for _, server := range []struct {
		name    string
		command []string
	}{
		{"werkzeug", nil},
		{"gunicorn", []string{"/usr/bin/gunicorn", "-w", "2", "app:app"}},
	} {
		t.Run(server.name, func(t *testing.T) {
			dir := write(t, map[string]string{"app.py": slowToRead})
			c := Config{App: "app.py", Command: server.command, Dir: dir}
			r := start(t, c)

			pid := r.State().PID
			begun := r.post("begun", "/post?die=1", "a-1")
			if got := begun.status(); got != "" {
				t.Fatalf("got %s from a process that died", got)
			}
			if err := r.Again(t.Context(), begun.flight, false, false); err == nil {
				t.Error("a POST that has run may be sent again")
			}
			if server.command == nil {
				eventually(t, "another serves", func() bool { s := r.State(); return s.Name == Ready && s.PID != pid })
			}

			unread := &posted{flight: &Flight{ID: "a-2", Method: "POST", Route: "/post"}}
			r.Enter(unread.flight)
			defer r.Leave(unread.flight)
			if err := r.Again(t.Context(), unread.flight, false, false); err != nil {
				t.Fatalf("a POST that never came may not be sent again: %v", err)
			}
			if unread.flight.ID != "a-2.2" {
				t.Errorf("the second try is %s", unread.flight.ID)
			}
			// The first try comes after all: it must not run.
			late := &posted{flight: unread.flight}
			was := unread.flight.ID
			unread.flight.ID = "a-2"
			late.send(r, "late", "/post")
			unread.flight.ID = was
			if got := late.status(); !strings.Contains(got, "503") {
				t.Errorf("a revoked request got %q", got)
			}
			unread.send(r, "again", "/post")
			if got := unread.status(); !strings.Contains(got, "200") {
				t.Errorf("the second try got %q", got)
			}
			if got := ran(dir); got != "begun again" {
				t.Errorf("ran: %s", got)
			}
		})
	}
}

// Where something of the app's own comes before Flask, silence proves nothing.
func TestNoProofBehindAMiddleware(t *testing.T) {
	dir := write(t, map[string]string{"app.py": slowToRead + `
def outer(environ, start_response):
    return app(environ, start_response)
from werkzeug.serving import run_simple
run_simple("127.0.0.1", 18700, outer)
`})
	r := start(t, Config{App: "app.py", Dir: dir})
	f := &Flight{ID: "m-1", Method: "POST", Route: "/post"}
	r.Enter(f)
	defer r.Leave(f)
	if err := r.Again(t.Context(), f, false, false); err == nil {
		t.Error("a POST may be sent again that a middleware may have had")
	}
	if err := r.Again(t.Context(), f, false, true); err != nil {
		t.Errorf("one that was not sent: %v", err)
	}
	if err := r.Again(t.Context(), f, true, false); err != nil {
		t.Errorf("one that may run twice: %v", err)
	}
}

// A request that ends the app twice is blamed for it; one that was there when
// somebody killed the app is not.
func TestBlame(t *testing.T) {
	dir := write(t, map[string]string{"app.py": slowToRead + `
@app.route("/segfault")
def segfault():
    import ctypes
    ctypes.string_at(0)
@app.route("/wait")
def wait():
    note("waits")
    import time
    time.sleep(1000)
app.run(port=18701)
`})
	r := start(t, Config{App: "app.py", Dir: dir})
	guilty := &Flight{ID: "b-1", Method: "GET", Route: "/segfault"}
	r.Enter(guilty)
	defer r.Leave(guilty)
	for n := range 2 {
		(&posted{flight: guilty}).get(r, "/segfault").status()
		if err := r.Again(t.Context(), guilty, true, false); err != nil {
			t.Fatal(err)
		}
		if guilty.Deaths() != n+1 {
			t.Errorf("%d deaths, want %d", guilty.Deaths(), n+1)
		}
	}
	innocent := &Flight{ID: "b-2", Method: "GET", Route: "/wait"}
	r.Enter(innocent)
	defer r.Leave(innocent)
	r.wait()
	for range 2 {
		os.Remove(filepath.Join(dir, "ran"))
		p := (&posted{flight: innocent}).get(r, "/wait")
		eventually(t, "the view runs", func() bool { return ran(dir) == "waits" })
		pid := r.State().PID
		syscall.Kill(pid, syscall.SIGKILL)
		p.status()
		eventually(t, "another serves", func() bool { s := r.State(); return s.Name == Ready && s.PID != pid })
		if err := r.Again(t.Context(), innocent, true, false); err != nil {
			t.Fatal(err)
		}
		if n := innocent.Deaths(); n != 0 {
			t.Errorf("%d deaths are blamed on a request that somebody else's kill met", n)
		}
	}
}

func (p *posted) get(r *running, target string) *posted {
	r.t.Helper()
	conn, err := net.Dial("tcp", p.flight.Addr())
	if err != nil {
		r.t.Fatal(err)
	}
	p.conn = conn
	r.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nConnection: close\r\n\r\n",
		target, r.secrets.request, forwardedValue(Forwarded{ID: p.flight.ID, Client: client, Scheme: "http", Host: "x"}))
	return p
}
