package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inOwnNetwork runs the calling test again in a process of its own, in a
// network of its own, and reports how that went. It returns true in there.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	const mark = "FLASK2BAN_E2E_NETWORK"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	if out, err := exec.Command("unshare", "-n", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("a network namespace can't be made here (unshare -n): %v: %s", err, out)
	}
	cmd := exec.Command("unshare", "-n", "sh", "-c", `ip link set lo up && exec "$0" "$@"`, os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), mark+"="+t.Name())
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err != nil:
		t.Errorf("in its own network: %v\n%s", err, text)
	case strings.Contains(text, "--- SKIP"):
		t.Skip(text)
	}
	return false
}

// reach connects from an address of 127/8, which takes no time where the packets
// arrive: it is accepted, or refused where nobody listens, within the limit.
func reach(from, addr string, limit time.Duration) bool {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: limit}
	conn, err := dialer.Dial("tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

// dropped says that what an address sends does not arrive.
func dropped(from, addr string) bool { return !reach(from, addr, time.Second) }

// getsThrough says that it does, however long the machine takes for that.
func getsThrough(from, addr string) bool { return reach(from, addr, patience) }

// TestKernelTakesOver: after a kill -9 the packets of who was told go on to be
// dropped, and the next start knows it, though it told nobody itself.
func TestKernelTakesOver(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	state := t.TempDir()
	d := start(t, example(t, "hello"), state, "app.py", "--kernel")
	c := d.from("127.0.1.1")
	c.want(404, "/.env")
	for range 10 {
		c.want(403, "/")
	}
	d.await("its packets are dropped", func() bool { return dropped("127.0.1.1", d.addr) })
	d.cmd.Process.Signal(syscall.SIGKILL)
	<-d.done
	if !dropped("127.0.1.1", d.addr) {
		t.Error("it gets through to the port after the kill")
	}
	again := startAt(t, d.addr, example(t, "hello"), state, "app.py", "--kernel")
	if !dropped("127.0.1.1", d.addr) {
		t.Error("it gets through after the start")
	}
	again.from("127.0.1.2").want(200, "/")
	again.stop()
	if !getsThrough("127.0.1.1", d.addr) {
		t.Error("it is dropped after an orderly end")
	}
}

// TestKernel: a client that was told of its ban gets no connection any more,
// an unban lets it in at once, and the end of the daemon leaves nothing.
func TestKernel(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	d := start(t, example(t, "hello"), "", "app.py", "--kernel")
	c := d.from("127.0.1.1")
	c.want(404, "/.env")
	for range 9 {
		c.want(403, "/")
	}
	if !getsThrough("127.0.1.1", d.addr) {
		t.Error("dropped before it was told")
	}
	c.want(403, "/")
	d.await("its packets are dropped", func() bool { return dropped("127.0.1.1", d.addr) })
	d.from("127.0.1.2").want(200, "/")
	if out, err := d.cli("bans", "remove", "127.0.1.1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.await("it is let in after the unban", func() bool { return getsThrough("127.0.1.1", d.addr) })
	d.from("127.0.1.1").want(200, "/")
	d.stop()

	// The table is gone with it.
	again := start(t, example(t, "hello"), "", "app.py", "--kernel")
	if n := strings.Count(again.out.String(), `"taken over"=0`); n != 1 {
		t.Errorf("an orderly end left something behind: %s", again.out)
	}
}
