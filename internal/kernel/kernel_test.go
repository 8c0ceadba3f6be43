package kernel

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ownNetwork moves the test into a network of its own, with lo up and an IPv6
// network on it. It skips where that isn't permitted.
func ownNetwork(t *testing.T) {
	t.Helper()
	// The thread is not given back: it dies with its goroutine, and the
	// network namespace with it.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("a network namespace can't be made here (CAP_SYS_ADMIN): %v", err)
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"-6", "addr", "add", "2001:db8:0:1::1/64", "dev", "lo", "nodad"},
		{"-6", "addr", "add", "2001:db8:0:1::2/64", "dev", "lo", "nodad"},
		{"-6", "addr", "add", "2001:db8:0:2::1/64", "dev", "lo", "nodad"},
	} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("ip %v: %v: %s", args, err, out)
		}
	}
}

// firewall is a Firewall whose bans are a map.
type firewall struct {
	*Firewall
	mu   sync.Mutex
	bans map[string]Ban
}

func (f *firewall) list(time.Time) []Ban {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []Ban
	for text, b := range f.bans {
		b.Prefix = netip.MustParsePrefix(text)
		all = append(all, b)
	}
	return all
}

func (f *firewall) ban(text string, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bans == nil {
		f.bans = map[string]Ban{}
	}
	f.bans[text] = Ban{Until: time.Now().Add(d), Told: true}
}

func (f *firewall) unban(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.bans, text)
}

func (f *firewall) open(t *testing.T, c Config) {
	t.Helper()
	c.Bans = f.list
	var err error
	if f.Firewall, err = Open(c); err != nil {
		t.Skipf("nf_tables is not to be had here: %v", err)
	}
}

func (f *firewall) sync(t *testing.T) {
	t.Helper()
	if err := f.update(time.Now()); err != nil {
		t.Fatal(err)
	}
}

// listen accepts on all addresses and returns the port.
func listen(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// dropped is how long the answer to a packet that is dropped is waited for.
const dropped = 300 * time.Millisecond

// reaches says whether a connection from an address is made within the limit.
func reaches(from string, port uint16, limit time.Duration) bool {
	to := "127.0.0.1"
	if strings.Contains(from, ":") {
		to = "2001:db8:0:1::1"
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: limit}
	conn, err := d.Dial("tcp", net.JoinHostPort(to, fmt.Sprint(port)))
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func wantReach(t *testing.T, port uint16, want map[string]bool) {
	t.Helper()
	for from, reach := range want {
		limit := dropped
		if reach {
			limit = time.Minute // on a machine that others load
		}
		if got := reaches(from, port, limit); got != reach {
			t.Errorf("from %s to port %d: connected %t, want %t", from, port, got, reach)
		}
	}
}

// TestDrop: clients and networks of both families, nobody else, no other port,
// and an unban works at once.
func TestDrop(t *testing.T) {
	ownNetwork(t)
	port, ssh := listen(t), listen(t)
	var f firewall
	f.open(t, Config{Ports: []uint16{port}})
	defer f.Close()
	f.ban("127.0.1.1/32", time.Minute)
	f.ban("127.0.1.2/32", time.Minute) // its neighbour: intervals that touch
	f.ban("127.0.2.0/24", time.Minute)
	f.ban("127.0.2.7/32", time.Hour) // within the network
	f.ban("2001:db8:0:2::/64", time.Minute)
	f.sync(t)
	wantReach(t, port, map[string]bool{
		"127.0.0.1": true, "127.0.1.1": false, "127.0.1.2": false, "127.0.1.3": true,
		"127.0.2.0": false, "127.0.2.7": false, "127.0.2.255": false, "127.0.3.0": true,
		"2001:db8:0:1::2": true, "2001:db8:0:2::1": false,
	})
	wantReach(t, ssh, map[string]bool{"127.0.1.1": true, "2001:db8:0:2::1": true})

	f.unban("127.0.1.1/32")
	f.unban("127.0.2.0/24")
	f.unban("2001:db8:0:2::/64")
	f.sync(t)
	wantReach(t, port, map[string]bool{
		"127.0.1.1": true, "127.0.1.2": false, "127.0.2.1": true, "127.0.2.7": false, "2001:db8:0:2::1": true,
	})
}

// TestUntold: a client that does not know why yet is the proxy's.
func TestUntold(t *testing.T) {
	ownNetwork(t)
	port := listen(t)
	f := firewall{bans: map[string]Ban{"127.0.1.1/32": {Until: time.Now().Add(time.Minute)}}}
	f.open(t, Config{Ports: []uint16{port}})
	defer f.Close()
	f.sync(t)
	wantReach(t, port, map[string]bool{"127.0.1.1": true})
}

// TestTimeout: the kernel itself ends a ban, and a longer one takes its place.
func TestTimeout(t *testing.T) {
	ownNetwork(t)
	port := listen(t)
	var f firewall
	f.open(t, Config{Ports: []uint16{port}})
	defer f.Close()
	f.ban("127.0.1.1/32", 5*time.Second)
	f.ban("127.0.1.2/32", 5*time.Second)
	f.sync(t)
	f.ban("127.0.1.2/32", time.Minute)
	f.sync(t)
	wantReach(t, port, map[string]bool{"127.0.1.1": false, "127.0.1.2": false})
	deadline := time.Now().Add(time.Minute)
	for !reaches("127.0.1.1", port, dropped) { // no update meanwhile
		if time.Now().After(deadline) {
			t.Fatal("the ban does not end by itself")
		}
	}
	wantReach(t, port, map[string]bool{"127.0.1.2": false})
	f.unban("127.0.1.1/32")
	f.unban("127.0.1.2/32")
	f.sync(t)
	wantReach(t, port, map[string]bool{"127.0.1.2": true})
}

// TestTakeOver: what a process that was killed left behind goes on, where it is
// still banned, also with a client told by that process only.
func TestTakeOver(t *testing.T) {
	ownNetwork(t)
	port := listen(t)
	var first firewall
	first.open(t, Config{Ports: []uint16{port}, Keep: true})
	for _, text := range []string{"127.0.1.1/32", "127.0.2.0/25", "127.0.3.1/32", "2001:db8:0:2::/64"} {
		first.ban(text, time.Minute)
	}
	first.sync(t)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	wantReach(t, port, map[string]bool{"127.0.1.1": false, "127.0.3.1": false})

	until := time.Now().Add(time.Minute)
	second := firewall{bans: map[string]Ban{
		"127.0.1.1/32": {Until: until}, "127.0.2.0/25": {Until: until}, "2001:db8:0:2::/64": {Until: until}, "127.0.4.1/32": {Until: until},
	}}
	second.open(t, Config{Ports: []uint16{port}})
	wantReach(t, port, map[string]bool{
		"127.0.1.1": false, "127.0.2.9": false, "2001:db8:0:2::1": false, // still banned
		"127.0.3.1": true, // no longer
		"127.0.4.1": true, // never told
	})
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	wantReach(t, port, map[string]bool{"127.0.1.1": true})
	if left := tables(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func tables(t *testing.T) (names []string) {
	t.Helper()
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	all, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range all {
		names = append(names, table.Name)
	}
	return names
}

// TestTableTakenAway: somebody flushes the ruleset; the next change mends it.
func TestTableTakenAway(t *testing.T) {
	ownNetwork(t)
	port := listen(t)
	var f firewall
	f.open(t, Config{Ports: []uint16{port}})
	defer f.Close()
	f.ban("127.0.1.1/32", time.Minute)
	f.sync(t)
	f.conn.FlushRuleset()
	if err := f.conn.Flush(); err != nil {
		t.Fatal(err)
	}
	wantReach(t, port, map[string]bool{"127.0.1.1": true})
	f.ban("127.0.1.2/32", time.Minute)
	f.sync(t)
	wantReach(t, port, map[string]bool{"127.0.1.1": false, "127.0.1.2": false})
}

// TestServe: bans get there by themselves, and the end is orderly.
func TestServe(t *testing.T) {
	ownNetwork(t)
	port := listen(t)
	var f firewall
	f.open(t, Config{Ports: []uint16{port}})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx) }()
	f.ban("127.0.1.1/32", time.Minute)
	deadline := time.Now().Add(time.Minute)
	for reaches("127.0.1.1", port, dropped) {
		if time.Now().After(deadline) {
			t.Fatal("the ban does not reach the kernel")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	wantReach(t, port, map[string]bool{"127.0.1.1": true})
}

// TestMany: 20,000 clients and networks get in, and out, in batches.
func TestMany(t *testing.T) {
	ownNetwork(t)
	var f firewall
	f.open(t, Config{Ports: []uint16{1}})
	defer f.Close()
	a, six := netip.MustParseAddr("203.0.0.0"), [16]byte{0x20, 0x01, 0x0d, 0xb8}
	for n := range 10_000 {
		f.ban(a.String()+"/32", time.Hour)
		a = a.Next().Next()
		six[6], six[7] = byte(n>>8), byte(n)
		f.ban(netip.AddrFrom16(six).String()+"/64", time.Hour)
	}
	began := time.Now()
	f.sync(t)
	took := time.Since(began)
	left, err := f.rules.elements(f.conn)
	if err != nil || len(left) != 20_000 {
		t.Errorf("the kernel holds %d, %v", len(left), err)
	}
	clear(f.bans)
	began = time.Now()
	f.sync(t)
	t.Logf("20,000 in within %v, out within %v", took, time.Since(began))
	if left, err := f.rules.elements(f.conn); err != nil || len(left) != 0 {
		t.Errorf("the kernel holds %d, %v", len(left), err)
	}
}

// TestOneProcess: a second one is told so.
func TestOneProcess(t *testing.T) {
	ownNetwork(t)
	var f firewall
	f.open(t, Config{Ports: []uint16{1}})
	defer f.Close()
	_, err := Open(Config{Ports: []uint16{1}, Bans: f.list})
	want := "nf_tables: another flask2ban has the table flask2ban: leave --kernel out of one of the two"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestSuccessor: one that has the lock gets the table while its predecessor lives,
// who takes it back where the successor fails.
func TestSuccessor(t *testing.T) {
	ownNetwork(t)
	port := listen(t)
	var first firewall
	first.open(t, Config{Ports: []uint16{port}})
	defer first.Close()
	first.ban("127.0.1.1/32", time.Minute)
	first.sync(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- first.Serve(ctx) }()
	lock, err := first.Lock().(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	first.Pause(true)
	second := firewall{bans: map[string]Ban{"127.0.1.1/32": {Until: time.Now().Add(time.Minute)}}}
	second.open(t, Config{Ports: []uint16{port}, Lock: lock})
	wantReach(t, port, map[string]bool{"127.0.1.1": false, "127.0.1.2": true})
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	wantReach(t, port, map[string]bool{"127.0.1.1": true})
	first.Pause(false)
	deadline := time.Now().Add(time.Minute)
	for reaches("127.0.1.1", port, time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("the first one does not take the table back")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWithoutCapability runs itself as an unprivileged user.
func TestWithoutCapability(t *testing.T) {
	if os.Getenv("KERNEL_TEST_UNPRIVILEGED") != "" {
		_, err := Open(Config{Ports: []uint16{1}, Bans: func(time.Time) []Ban { return nil }, Table: "flask2ban-unprivileged"})
		fmt.Println("got:", err)
		return
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "kernel-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/test", self, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dir+"/test", "-test.run=TestWithoutCapability", "-test.v")
	cmd.Dir = "/"
	cmd.Env = []string{"KERNEL_TEST_UNPRIVILEGED=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "got: --kernel needs root or CAP_NET_ADMIN (AmbientCapabilities=CAP_NET_ADMIN in a systemd unit)") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestExplain(t *testing.T) {
	for _, err := range []error{unix.EPROTONOSUPPORT, unix.ENOENT} {
		if got := explain(err).Error(); !strings.HasPrefix(got, "--kernel needs a Linux kernel with nf_tables (modprobe nf_tables)") {
			t.Errorf("%v: %s", err, got)
		}
	}
	if got := explain(unix.EBUSY).Error(); got != "nf_tables: device or resource busy" {
		t.Error(got)
	}
}

func TestWant(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	until := now.Add(time.Minute)
	f := &Firewall{held: map[netip.Prefix]time.Time{netip.MustParsePrefix("192.0.2.3/32"): until}}
	f.config.Bans = func(time.Time) []Ban {
		return []Ban{
			{netip.MustParsePrefix("192.0.2.77/32"), until, true},
			{netip.MustParsePrefix("192.0.2.64/26"), until, true},
			{netip.MustParsePrefix("192.0.2.1/32"), until, false},
			{netip.MustParsePrefix("192.0.2.2/32"), now.Add(soon / 2), true},
			{netip.MustParsePrefix("192.0.2.3/32"), until, false},
			{netip.MustParsePrefix("2001:db8::/64"), until, true},
			{netip.MustParsePrefix("2001:db8::/48"), until, true},
			{netip.Prefix{}, until, true},
		}
	}
	want := map[netip.Prefix]time.Time{
		netip.MustParsePrefix("192.0.2.64/26"): until, netip.MustParsePrefix("192.0.2.3/32"): until, netip.MustParsePrefix("2001:db8::/48"): until,
	}
	if got := f.want(now); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestIntervals: elements and networks are each other's inverse, at the ends of
// the address space too.
func TestIntervals(t *testing.T) {
	for text, end := range map[string]string{
		"192.0.2.1/32": "192.0.2.2", "192.0.2.0/24": "192.0.3.0", "10.0.0.0/8": "11.0.0.0",
		"2001:db8::/64": "2001:db8:0:1::", "2001:db8::1/128": "2001:db8::2", "255.255.255.255/32": "invalid IP",
	} {
		p := netip.MustParsePrefix(text)
		if got := after(p).String(); got != end {
			t.Errorf("%s: ends before %s, want %s", text, got, end)
		}
		back := prefixes(interval(p, time.Minute))
		if end != "invalid IP" && (len(back) != 1 || back[0] != p) {
			t.Errorf("%s comes back as %v", text, back)
		}
	}
	odd := []nftables.SetElement{{Key: []byte{10, 0, 0, 1}}, {Key: []byte{10, 0, 0, 9}, IntervalEnd: true}, {Key: []byte{1}}}
	if got := prefixes(odd); len(got) != 0 {
		t.Errorf("made %v of what is no network", got)
	}
}
