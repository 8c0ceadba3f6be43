package e2e

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestField13MemoryAndDiskAreBounded: a flood of new addresses neither grows
// what is remembered nor the state on disk, nor does it push a ban out
// (crowdsec#2683, fail2ban#2118).
func TestField13MemoryAndDiskAreBounded(t *testing.T) {
	const most, addresses = 500, 6000
	d, ask := startBehind(t, "--max-clients", fmt.Sprint(most))
	ask("203.0.113.7", "/.env")
	var group sync.WaitGroup
	for w := range 4 {
		ask := d.behind()
		group.Go(func() {
			for n := w; n < addresses; n += 4 {
				ask(fmt.Sprintf("198.18.%d.%d", n>>8, n&255), "/probe")
			}
		})
	}
	group.Wait()
	if n := d.metric("flask2ban_clients_tracked"); n > most || n < most/2 {
		t.Errorf("%v clients are remembered, want at most %d, and nearly as many", n, most)
	}
	if n := d.metric("flask2ban_http_requests_total"); n < addresses {
		t.Errorf("the flood was of %v requests, want %d", n, addresses)
	}
	wantStatus(t, "who was banned before the flood", ask("203.0.113.7", "/"), 403)
	var size int64
	err := filepath.WalkDir(d.state, func(path string, e fs.DirEntry, err error) error {
		if info, infoErr := os.Stat(path); err == nil && infoErr == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	})
	if err != nil || size > 4<<20 {
		t.Errorf("the state takes %d KiB, %v; want at most 4 MiB", size>>10, err)
	}
}

// TestField14RestartWithManyBans: 6,000 bans are there again before the first
// request is answered, and that soon (fail2ban#1382: 20 minutes).
func TestField14RestartWithManyBans(t *testing.T) {
	state := t.TempDir()
	d := start(t, example(t, "hello"), state, "app.py")
	var list strings.Builder
	for n := range 6000 {
		fmt.Fprintf(&list, "198.18.%d.%d\n", n>>8, n&255)
	}
	file := filepath.Join(t.TempDir(), "bans.txt")
	if err := os.WriteFile(file, []byte(list.String()+"127.0.1.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := d.cli("bans", "import", file); err != nil {
		t.Fatalf("bans import: %v: %s", err, tail(out, 500))
	}
	d.stop()

	// Asked from before it listens on, a banned client never gets a page.
	stop, asked := make(chan struct{}), make(chan []int, 1)
	began := time.Now()
	again := &daemon{process: &process{t: t}, addr: d.addr}
	c := again.from("127.0.1.1")
	go func() {
		var seen []int
		for {
			select {
			case <-stop:
				asked <- seen
				return
			default:
				if status, _ := c.get("/"); status != 0 {
					seen = append(seen, status)
				}
			}
		}
	}()
	second := startAt(t, d.addr, example(t, "hello"), state, "app.py")
	took := time.Since(began)
	close(stop)
	seen := <-asked
	if slices.ContainsFunc(seen, func(s int) bool { return s != 403 }) {
		t.Errorf("a banned client got %v while starting", seen)
	}
	if len(seen) == 0 { // it was all too quick to be asked
		c.want(403, "/")
	}
	if n := len(second.bans()); n != 6001 {
		t.Errorf("%d bans after the restart, want 6001", n)
	}
	t.Logf("ready %v after the start, app included", took.Round(time.Millisecond))
	if cpu := second.cpu(); cpu > 20*time.Second {
		t.Errorf("ready after %v of a processor", cpu)
	}
}

// TestField15CountersSurvive: what was counted goes on to count after a reload
// and after a restart (haproxy#842, #1216, #1497), and there is one count,
// however many workers the app has (flask-limiter#256).
func TestField15CountersSurvive(t *testing.T) {
	state := t.TempDir()
	args := []string{"app.py", "--", "gunicorn", "--workers", "3", "--bind", "127.0.0.1:18098", "app:app"}
	d := start(t, example(t, "hello"), state, args...)
	c := d.from("127.0.1.1")
	c.want(404, "/a")
	c.want(404, "/b")
	d.cmd.Process.Signal(syscall.SIGHUP)
	d.await("the reload is done", func() bool { return strings.Contains(d.out.String(), "configuration reloaded") })
	c.want(404, "/c")
	d.stop()
	d = start(t, example(t, "hello"), state, args...)
	c = d.from("127.0.1.1")
	c.want(404, "/d")
	c.want(404, "/e")
	c.want(403, "/")
}

// TestField16StreamsGoOn: WebSockets work, outlive a reload and others' bans;
// events are not held back (tomMoulard#241, caddy#5471, thruster#47).
func TestField16StreamsGoOn(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	conn, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", d.addr)
	r := bufio.NewReader(conn)
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
		t.Fatalf("handshake: %v, %v", res, err)
	}
	echo := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		io.WriteString(conn, text)
		if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
			t.Errorf("echo of %q: %q, %v", text, got, err)
		}
	}
	echo("before")
	d.from("127.0.1.1").want(404, "/.env")
	d.from("127.0.1.1").want(403, "/")
	echo("after a ban")
	if out, err := d.cli("reload"); err != nil {
		t.Fatalf("reload: %v: %s", err, out)
	}
	echo("after a reload")
	t.Run("events", TestStreamIsNotBuffered)
}

// TestField17SlowIsNotCut: slow uploads and answers pass, and a request that
// meets a starting app waits instead of getting 502 (thruster#111, #91,
// kamal-proxy#53).
func TestField17SlowIsNotCut(t *testing.T) {
	t.Run("uploads", TestSlowUploadAndAnswer)
	t.Run("booting", func(t *testing.T) {
		d := start(t, example(t, "hello"), "", "app.py")
		c := d.from("127.0.1.1")
		c.want(200, "/")
		if err := syscall.Kill(d.appPID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			c.want(200, "/")
		}
	})
}

// TestField18NoControlPlaneToLose: nothing outside of the process decides; with
// the state directory gone and the API off, visitors are served and attackers
// refused (crowdsec-bouncer-traefik-plugin PR#373).
func TestField18NoControlPlaneToLose(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py")
	if err := os.RemoveAll(d.state); err != nil {
		t.Fatal(err)
	}
	visitor := d.from("127.0.1.2")
	for range 20 {
		visitor.want(200, "/")
	}
	attacker := d.from("127.0.1.1")
	attacker.want(404, "/.env")
	attacker.want(403, "/")
	visitor.want(200, "/2020")
}
