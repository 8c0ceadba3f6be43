package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// TestBufferBodies: slow uploads take no worker of an app that has only one,
// and reach it whole; nothing is left on the disk.
func TestBufferBodies(t *testing.T) {
	state := t.TempDir()
	app := testApp(t, "protocols.py")
	d := start(t, filepath.Dir(app), state, "protocols:app", "--buffer-bodies", "--", "gunicorn", "-w", "1", "protocols:app")
	var pipes []*io.PipeWriter
	answers := make(chan string, 8)
	for i := range 8 {
		r, w := io.Pipe()
		pipes = append(pipes, w)
		go func() {
			status, body := d.from(fmt.Sprintf("127.0.8.%d", i+1)).do(http.MethodPost, "/upload", r)
			answers <- fmt.Sprint(status, " ", body)
		}()
		if _, err := w.Write(make([]byte, 2<<20)); err != nil { // more than stays in memory
			t.Fatal(err)
		}
	}
	for range 5 {
		d.from("127.0.8.100").want(200, "/seen/x")
	}
	if names, err := os.ReadDir(filepath.Join(state, "bodies")); err != nil || len(names) > 0 {
		t.Errorf("named files: %v, %v; a kill would leave them", names, err)
	}
	for _, w := range pipes {
		w.Write([]byte("end"))
		w.Close()
	}
	for range pipes {
		if got := <-answers; !strings.HasPrefix(got, "200 ") || !strings.Contains(got, fmt.Sprint(2<<20+3)) {
			t.Errorf("got %s", got)
		}
	}
}

// slowAttacks are slowhttptest's ways to hold a server: slow headers, slow
// bodies, slow reading.
var slowAttacks = map[string][]string{
	"slowloris": {"-H", "-i", "5"},
	"slow body": {"-B", "-i", "5", "-s", "8192", "-x", "10"},
	"slow read": {"-X", "-w", "1", "-y", "1", "-n", "5", "-z", "32", "-k", "3"},
}

// TestSlowClients: each of them with as many connections as there may be, and
// others are served as before.
func TestSlowClients(t *testing.T) {
	const connections = 300
	for name, args := range slowAttacks {
		t.Run(name, func(t *testing.T) {
			d := start(t, t.TempDir(), "", testApp(t, "protocols.py"), "--max-connections", fmt.Sprint(connections), "--buffer-bodies")
			before := d.rss()
			target := map[string]string{"slow body": "/upload", "slow read": "/download/1000000"}[name]
			if target == "" {
				target = "/seen/x"
			}
			// slowhttptest comes from 127.0.0.1, whose connections are never
			// given up; so it goes through an address of 127/8 that can be.
			via := d.relay("127.0.8.66")
			attack := exec.Command("slowhttptest", append(args, "-c", fmt.Sprint(2*connections), "-r", "200", "-l", "8", "-p", "2",
				"-u", "http://"+via+target)...)
			attack.Stdout, attack.Stderr = nil, nil
			if err := attack.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { attack.Process.Kill(); attack.Wait() })
			d.await("there are many connections", func() bool { return d.open() > connections/3 })
			good := d.from("127.0.8.7")
			for range 50 {
				good.want(200, "/seen/x")
			}
			if now := d.rss(); now > before+100<<20 {
				t.Errorf("memory grew from %d MiB to %d MiB", before>>20, now>>20)
			}
		})
	}
}

// relay forwards connections to the daemon from one address.
func (d *daemon) relay(from string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { l.Close() })
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := dialer.Dial("tcp", d.addr)
				if err != nil {
					return
				}
				defer out.Close()
				// Small buffers: what isn't read here must not be read there.
				out.(*net.TCPConn).SetReadBuffer(4096)
				in.(*net.TCPConn).SetWriteBuffer(4096)
				go func() { io.Copy(out, in); out.(*net.TCPConn).CloseWrite() }()
				io.Copy(in, out)
			}()
		}
	}()
	return l.Addr().String()
}

// open counts the daemon's sockets.
func (d *daemon) open() (n int) {
	dir := fmt.Sprintf("/proc/%d/fd", d.cmd.Process.Pid)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if to, _ := os.Readlink(filepath.Join(dir, e.Name())); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// cpu is the processor time that the daemon has had, without the app's: what its
// work takes, however much of the machine others have.
func (d *daemon) cpu() time.Duration {
	d.t.Helper()
	stat, err := testbed.ReadStat(d.cmd.Process.Pid)
	if err != nil {
		d.t.Fatal(err)
	}
	return stat.CPU
}

// rss is the daemon's memory in bytes.
func (d *daemon) rss() (bytes int) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &bytes)
		}
	}
	return bytes << 10
}

// TestTruncatedUpload: a client that leaves in the middle of a body is its own
// fault, not the app's, and the app sees no whole request.
func TestTruncatedUpload(t *testing.T) {
	for _, flag := range []string{"--buffer-bodies=false", "--buffer-bodies"} {
		d := start(t, t.TempDir(), "", testApp(t, "protocols.py"), flag)
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nshort")
		time.AfterFunc(200*time.Millisecond, func() { conn.Close() })
		d.await("it is counted as the client's", func() bool {
			return d.metric("flask2ban_http_requests_total", `code="499"`)+d.metric("flask2ban_http_requests_total", `code="4xx"`) > 0
		})
		if strings.Contains(d.out.String(), "gave no answer") {
			t.Error("held against the app")
		}
	}
}

// TestBufferedBodiesAfterKill: kill -9 in the middle of uploads leaves no file.
func TestBufferedBodiesAfterKill(t *testing.T) {
	state := t.TempDir()
	d := start(t, t.TempDir(), state, testApp(t, "protocols.py"), "--buffer-bodies")
	for range 4 {
		conn, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n")
		if _, err := conn.Write(make([]byte, 2<<20)); err != nil {
			t.Fatal(err)
		}
	}
	held := func() (n int) {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", d.cmd.Process.Pid))
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); strings.Contains(to, filepath.Join(state, "bodies")) {
				n++
			}
		}
		return n
	}
	d.await("the bodies are on the disk", func() bool { return held() == 4 })
	d.cmd.Process.Kill()
	<-d.done
	if names, err := os.ReadDir(filepath.Join(state, "bodies")); err != nil || len(names) > 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

// TestOutOfFiles: a process that has no file descriptor left gives up the idle
// connections of who has the most, and good clients go on.
func TestOutOfFiles(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	// Below what it was started with, so that accept fails with EMFILE before
	// the bound on connections, which was made from the old limit, is reached.
	limit := fmt.Sprintf("--nofile=%d", 150)
	if code, out := command(t, "prlimit", "--pid", fmt.Sprint(d.cmd.Process.Pid), limit); code != 0 {
		t.Fatalf("prlimit: %s", out)
	}
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.8.90")}}
	for range 300 {
		conn, err := dialer.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	d.await("descriptors are short", func() bool { return strings.Contains(d.out.String(), "connections are given up") })
	good := d.from("127.0.8.91")
	served := 0
	d.await("a good client is served 20 times", func() bool {
		if status, _ := good.get("/seen/x"); status == 200 {
			served++
		}
		return served == 20
	})
}
