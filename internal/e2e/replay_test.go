package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// need is the path of a program that a test can't do without.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed (see APT in the Makefile)", program)
	}
	return path
}

// serve starts a server, its output in a file of dir, waits until addr accepts
// connections, and ends it with the test.
func serve(t *testing.T, dir, addr string, env []string, command ...string) (output string) {
	t.Helper()
	output = filepath.Join(dir, "output.log")
	f, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(need(t, command[0]), command[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, f, f
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(done)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	})
	within(t, patience, command[0]+" accepts at "+addr, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return output
}

// within polls until ok, and fails the test when it takes longer.
func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s", limit, what)
		}
	}
}

// write makes a file in dir and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// nginx runs one in the foreground with these lines in its http block, and
// nothing of the machine's own configuration.
func nginx(t *testing.T, dir, addr, http string) {
	t.Helper()
	conf := write(t, dir, "nginx.conf", `daemon off; user root; worker_processes 1; pid `+dir+`/nginx.pid; error_log `+dir+`/error.log;
events {} http { client_body_temp_path `+dir+`; proxy_temp_path `+dir+`; fastcgi_temp_path `+dir+`; uwsgi_temp_path `+dir+`; scgi_temp_path `+dir+`;
`+http+"\n}\n")
	serve(t, dir, addr, nil, "nginx", "-c", conf, "-e", dir+"/error.log")
}

// logServers are the servers whose logs replay reads: each starts one at addr
// in front of examples/hello's app, or of something that answers alike, and
// returns its log.
var logServers = map[string]func(t *testing.T, dir, addr string) string{
	"nginx combined": func(t *testing.T, dir, addr string) string {
		nginx(t, dir, addr, nginxHello(addr, "access_log "+dir+"/access.log combined;"))
		return dir + "/access.log"
	},
	"nginx JSON": func(t *testing.T, dir, addr string) string {
		nginx(t, dir, addr, `log_format json escape=json '{"time_iso8601":"$time_iso8601","remote_addr":"$remote_addr","request_method":"$request_method",'
  '"request_uri":"$request_uri","status":"$status","http_referer":"$http_referer","http_user_agent":"$http_user_agent","host":"$host"}';
`+nginxHello(addr, "access_log "+dir+"/access.log json;"))
		return dir + "/access.log"
	},
	"common": func(t *testing.T, dir, addr string) string {
		nginx(t, dir, addr, `log_format common '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent';
`+nginxHello(addr, "access_log "+dir+"/access.log common;"))
		return dir + "/access.log"
	},
	"Caddy": func(t *testing.T, dir, addr string) string {
		conf := write(t, dir, "Caddyfile", `{
	admin off
	auto_https off
}
http://`+addr+` {
	log {
		output file `+dir+`/access.log
	}
	route {
		respond / 200
		respond /2020 200
		respond 404
	}
}
`)
		serve(t, dir, addr, []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
			"caddy", "run", "--config", conf, "--adapter", "caddyfile")
		return dir + "/access.log"
	},
	"gunicorn": func(t *testing.T, dir, addr string) string {
		serve(t, dir, addr, nil, "gunicorn", "-b", addr, "--chdir", example(t, "hello"), "--access-logfile", dir+"/access.log", "app:app")
		return dir + "/access.log"
	},
	"Werkzeug": func(t *testing.T, dir, addr string) string {
		host, port, _ := net.SplitHostPort(addr)
		return serve(t, dir, addr, []string{"FLASK_APP=" + example(t, "hello") + "/app.py"}, "/usr/bin/python3", "-m", "flask", "run", "-h", host, "-p", port)
	},
}

func nginxHello(addr, log string) string {
	return "server { listen " + addr + "; " + log + ` location = / { return 200; } location = /2020 { return 200; } location / { return 404; } }`
}

// replayOf runs replay on a log and reads its JSON.
func replayOf(t *testing.T, log string, args ...string) (r struct {
	Lines, Skipped, Clients int
	Banned                  []struct {
		Client                  string
		Bans, Requests, Refused int
		KnownShare              float64 `json:"known_share"`
	}
}) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"replay", "app.py", log, "--json"}, args...)...)
	cmd.Dir = example(t, "hello")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("replay: %v: %s", err, &errs)
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("replay --json printed %q: %v", out, err)
	}
	return r
}

// TestReplayOfRealServers: the logs that real servers write of the same visits
// lead to the same: the scanner is banned, and the visitor isn't.
func TestReplayOfRealServers(t *testing.T) {
	for name, start := range logServers {
		t.Run(name, func(t *testing.T) {
			addr := freePort(t)
			log := start(t, t.TempDir(), addr)
			visit(t, addr)
			const sent = 14
			var r = replayOf(t, log)
			within(t, patience, "all requests are in the log", func() bool {
				r = replayOf(t, log)
				return r.Lines-r.Skipped >= sent
			})
			if r.Lines-r.Skipped != sent || r.Clients != 2 || len(r.Banned) != 1 || r.Banned[0].Client != "127.0.3.1" {
				text, _ := os.ReadFile(log)
				t.Errorf("got %+v from\n%s", r, text)
			}
			if r.Skipped > 0 && name != "Werkzeug" { // which prints other lines too
				t.Errorf("%d lines not read", r.Skipped)
			}
		})
	}
}

// visit is a visitor's seven requests and as many of a scanner, some of them as
// odd as a server takes them.
func visit(t *testing.T, addr string) {
	t.Helper()
	ask := func(from, request string) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: a\"b\\c] 200 \"GET / HTTP/1.1\" 200\r\n\r\n", request, addr)
		// To its end: gunicorn logs no request whose client has left.
		if answer, err := io.ReadAll(conn); err != nil || len(answer) == 0 {
			t.Fatalf("%s: %q, %v", request, answer, err)
		}
	}
	for i := range 7 {
		ask("127.0.3.2", []string{"/", "/2020"}[i%2])
		ask("127.0.3.1", []string{"/a.php", "/b?c=\"d", "/%1b%5b2J", "/%22%20200%20-", "/%5c%22", "/x'y", "/%e2%82%ac"}[i])
	}
}

// follower is a running "replay -f --kernel".
func follower(t *testing.T, state, log string, port string) *daemon {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{state: state}
	d.process = launch(t, example(t, "hello"), nil, path, "replay", "app.py", "-f", "--kernel", "--port", port, "--state", state, log)
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("replay was given\n%s", text)
		}
	})
	return d
}

// TestReplayKernel: in front of nothing of ours, beside an nginx that serves
// the app, replay is what fail2ban is. A scanner's packets are dropped, also
// after the log was rotated; what an operator forgives stays forgiven over a
// restart; the end lifts all.
func TestReplayKernel(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	need(t, "nginx")
	dir, addr := t.TempDir(), freePort(t)
	log := logServers["nginx combined"](t, dir, addr)
	_, port, _ := net.SplitHostPort(addr)
	state := t.TempDir()
	at := &daemon{process: &process{t: t}, addr: addr}
	scan := func(from string) {
		for i := range 6 {
			at.from(from).get(fmt.Sprintf("/missing-%d", i))
		}
	}
	d := follower(t, state, log, port)
	scan("127.0.1.1")
	d.await("the scanner is dropped", func() bool { return dropped("127.0.1.1", addr) })
	at.from("127.0.1.2").want(200, "/")

	// As logrotate does it.
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	pid, err := os.ReadFile(dir + "/nginx.pid")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("kill", "-USR1", strings.TrimSpace(string(pid))).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	within(t, patience, "nginx reopens its log", func() bool { _, err := os.Stat(log); return err == nil })
	scan("127.0.1.3")
	d.await("the next scanner is dropped", func() bool { return dropped("127.0.1.3", addr) })

	if out, err := d.cli("bans", "remove", "127.0.1.3"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.await("it is let in after the unban", func() bool { return getsThrough("127.0.1.3", addr) })
	d.stop()
	if !d.cmd.ProcessState.Success() || !getsThrough("127.0.1.1", addr) {
		t.Errorf("after the end: %v, dropped %v", d.cmd.ProcessState, dropped("127.0.1.1", addr))
	}
	again := follower(t, state, log, port)
	again.await("the ban holds again", func() bool { return dropped("127.0.1.1", addr) })
	scan("127.0.1.4")
	again.await("the log is followed", func() bool { return dropped("127.0.1.4", addr) })
	if !getsThrough("127.0.1.3", addr) {
		t.Error("who was forgiven is dropped after a restart")
	}
	if out, err := again.cli("why", "127.0.1.4"); err != nil || !strings.Contains(out, "/missing-4") {
		t.Errorf("why: %v: %s", err, out)
	}
}

// TestReplayKernelRefuses: what can't be enforced is an error, not a surprise.
func TestReplayKernelRefuses(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	log := write(t, t.TempDir(), "access.log", "")
	for _, tt := range []struct{ args, want string }{
		{"--kernel", "--kernel needs -f"},
		{"-f --kernel --sweep maxretry=3..5", "exclude each other"},
		{"-f --kernel --port 0", "--port 0: want 1 to 65535"},
		{"-f --kernel --ignore .example.org", "write .example.org as addresses"},
	} {
		cmd := exec.Command(path, append([]string{"replay", "app.py", log, "--state", t.TempDir()}, strings.Fields(tt.args)...)...)
		cmd.Dir = example(t, "hello")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: %v: %s", tt.args, err, out)
		}
	}
}
