package store

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/flask2ban/flask2ban/ban"
)

// childEnv makes the test binary a process that bans until it is killed.
const childEnv = "FLASK2BAN_STORE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := banUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// banUntilKilled bans one address after the other and names each on standard
// output as soon as Flush has returned.
func banUntilKilled(dir string) error {
	ctx := context.Background()
	st, err := Open(ctx, "bolt", dir)
	if err != nil {
		return err
	}
	e, err := ban.New(ban.Config{})
	if err != nil {
		return err
	}
	go func() {
		if err := e.Serve(ctx, st); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	for i := 0; ; i++ {
		client := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		e.Observe(time.Now(), ban.Observation{Client: client, Evidence: &ban.Evidence{Kind: ban.Honeypath, Path: "/.env", Method: "GET"}})
		if err := e.Flush(ctx); err != nil {
			continue // Serve has not begun yet
		}
		fmt.Println(client)
	}
}

func TestKilledAfterFlushKeepsEveryBan(t *testing.T) {
	dir := t.TempDir()
	var told []netip.Prefix
	for round := range 3 {
		told = append(told, killedChild(t, dir, 40+round*20)...)
		kept := map[netip.Prefix]bool{}
		st := open(t, "bolt", dir)
		for _, r := range load(t, st) {
			kept[r.Client] = r.Ban != nil
		}
		closeStore(t, st)
		for _, client := range told {
			if !kept[client] {
				t.Fatalf("round %d: the ban of %s was lost", round, client)
			}
		}
	}
}

// killedChild runs a child, kills it with SIGKILL after n bans and returns
// those it had told of.
func killedChild(t *testing.T, dir string, n int) []netip.Prefix {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childEnv+"="+dir)
	var stderr bytes.Buffer
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var told []netip.Prefix
	for lines := bufio.NewScanner(out); lines.Scan(); {
		client, err := netip.ParsePrefix(lines.Text())
		if err != nil {
			break // the last line may be cut off
		}
		if told = append(told, client); len(told) == n {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // killed
	if len(told) < n {
		t.Fatalf("child told of %d bans, want %d; it said: %s", len(told), n, stderr.String())
	}
	return told
}

func TestFileMode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, boltFile)
	closeStore(t, open(t, "bolt", dir))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	closeStore(t, open(t, "bolt", dir))
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v; want mode 0600", info.Mode(), err)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	first := open(t, "bolt", dir)
	defer closeStore(t, first)
	_, err := Open(t.Context(), "bolt", dir)
	want := fmt.Sprintf("store %s is in use: another flask2ban runs with this state directory; stop it, or give this one another with --state", filepath.Join(dir, boltFile))
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, boltFile)
	closeStore(t, open(t, "bolt", dir))
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(schemaKey, binary.AppendUvarint(nil, boltSchema+1))
	}), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), "bolt", dir)
	want := fmt.Sprintf("store %s: it was written by a newer flask2ban (schema 2, this one knows 1): upgrade flask2ban, or move the file away and lose its bans", path)
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := os.Stat(path + ".corrupt-1"); err == nil {
		t.Error("a newer file was moved aside as if it were corrupt")
	}
}

func TestDirectoryMissing(t *testing.T) {
	_, err := Open(t.Context(), "bolt", filepath.Join(t.TempDir(), "none"))
	if err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("got %v, want that the directory doesn't exist", err)
	}
}

// damages are ways in which files go bad.
var damages = map[string]func([]byte) []byte{
	"not a database":  func(b []byte) []byte { return bytes.Repeat([]byte("hello "), len(b)/6) },
	"short":           func([]byte) []byte { return []byte("hello") },
	"one page":        func(b []byte) []byte { return b[:4096] },
	"cut in half":     func(b []byte) []byte { return b[:len(b)/2] },
	"both metas gone": func(b []byte) []byte { clear(b[:8192]); return b },
	"records gone":    func(b []byte) []byte { clear(b[8192:]); return b },
	"records noise":   func(b []byte) []byte { return noise(b, 8192) },
}

func noise(b []byte, from int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(b[from:]) // never fails
	return b
}

// filled makes a file with records and returns its content.
func filled(t *testing.T, path string) []byte {
	t.Helper()
	st := open(t, "bolt", filepath.Dir(path))
	for i := range 20 {
		save(t, st, banned(fmt.Sprintf("192.0.2.%d/32", i)), banned(fmt.Sprintf("198.51.100.%d/32", i)))
	}
	closeStore(t, st)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestCorruptFileIsMovedAside(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, boltFile)
			bad := damage(filled(t, path))
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			st, err := Open(t.Context(), "bolt", dir, WithLog(slog.New(slog.NewTextHandler(&log, nil))))
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			defer closeStore(t, st)
			equal(t, load(t, st), nil)
			save(t, st, banned("192.0.2.1/32"))
			if !strings.Contains(log.String(), "the store was corrupt: it was moved aside, and earlier bans are lost") {
				t.Errorf("log: %q", log.String())
			}
			kept, err := os.ReadFile(path + ".corrupt-1")
			if err != nil || !bytes.Equal(kept, bad) && len(kept) != len(bad) {
				t.Errorf("moved aside: %d bytes, %v; want the %d bad ones", len(kept), err, len(bad))
			}
		})
	}
}

func TestMovedAsideFilesAreKeptApart(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		if err := os.WriteFile(filepath.Join(dir, boltFile), []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
		closeStore(t, open(t, "bolt", dir))
	}
	aside, err := filepath.Glob(filepath.Join(dir, "*.corrupt-*"))
	if err != nil || len(aside) != 3 {
		t.Errorf("got %v, %v; want 3 files", aside, err)
	}
}

// TestAnyDamageIsSurvived flips bytes anywhere: opening and loading must never
// end the process, whatever is lost.
func TestAnyDamageIsSurvived(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, boltFile)
	good := filled(t, path)
	random := rand.New(rand.NewPCG(7, 7))
	moved := 0
	for range 150 {
		bad := bytes.Clone(good)
		for range 1 + random.IntN(64) {
			bad[random.IntN(len(bad))] ^= byte(1 + random.IntN(255))
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		st := open(t, "bolt", dir)
		load(t, st)
		closeStore(t, st)
		if os.Remove(path+".corrupt-1") == nil {
			moved++
		}
	}
	t.Logf("%d of 150 damaged files were moved aside", moved)
	if moved == 0 {
		t.Error("no damage was noticed")
	}
}

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a small disk needs the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDiskIsSurvived(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	st := open(t, "bolt", dir)
	defer closeStore(t, st)
	first := banned("192.0.2.1/32")
	save(t, st, first)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: got %v, want ENOSPC", err)
	}
	var more []ban.Record
	for i := range 1000 {
		more = append(more, banned(fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)))
	}
	err := st.Save(t.Context(), more)
	if err == nil || !strings.Contains(err.Error(), "the disk is full; bans are kept in memory until there is room") {
		t.Fatalf("save on a full disk: got %v", err)
	}
	equal(t, load(t, st), []ban.Record{first})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	save(t, st, more[:100]...)
	equal(t, load(t, st), append(more[:100:100], first))
}

// TestEngineOutlivesFullDisk has the whole engine meet a full disk: bans stay
// in force, the error is reported, and all is saved once there is room.
func TestEngineOutlivesFullDisk(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	st := open(t, "bolt", dir)
	defer closeStore(t, st)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: got %v, want ENOSPC", err)
	}
	reports := make(chan error, 100)
	e, err := ban.New(ban.Config{StoreError: func(err error) { reports <- err }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx, st) }()
	now := time.Now()
	for i := range 2000 {
		client := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
		e.Observe(now, ban.Observation{Client: client, Evidence: &ban.Evidence{Kind: ban.Honeypath, Path: "/.env"}})
	}
	if err := waitFor(t, reports); err == nil {
		t.Fatal("the full disk was not reported")
	}
	if got := len(e.Bans(now)); got != 2000 {
		t.Fatalf("%d bans in force while the disk is full, want 2000", got)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Fatalf("serve, once there was room: %v", err)
	}
	if got := len(load(t, st)); got != 2000 {
		t.Errorf("%d bans were saved, want 2000", got)
	}
}

func waitFor(t *testing.T, reports chan error) error {
	t.Helper()
	select {
	case err := <-reports:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("no report from the engine within 20 s")
		return nil
	}
}

func BenchmarkBoltLoad100k(b *testing.B) {
	dir := b.TempDir()
	st := open(b, "bolt", dir)
	records := manyBans(100_000)
	for part := records; len(part) > 0; part = part[min(len(part), 4096):] {
		save(b, st, part[:min(len(part), 4096)]...)
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	records = nil
	runtime.GC() // what making them has left is not the load's
	var cpu time.Duration
	for b.Loop() {
		before := cpuTime(b)
		restored(b, "bolt", dir)
		cpu += cpuTime(b) - before
	}
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
}

// cpuTime is what the process has used so far: on a machine with other work it
// says more than the clock does.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// manyBans are as attackers leave them, each with the evidence behind it.
func manyBans(n int) []ban.Record {
	records := make([]ban.Record, n)
	for i := range records {
		r := banned("192.0.2.1/32")
		r.Client = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
		r.Ban.Client = r.Client
		records[i] = r
	}
	return records
}

// restored makes an engine of what a store has.
func restored(b *testing.B, spec, dir string) {
	st := open(b, spec, dir)
	e, err := ban.New(ban.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Restore(b.Context(), st); err != nil {
		b.Fatal(err)
	}
	if n := e.Stats(epoch).Banned; n != 100_000 {
		b.Fatalf("%d bans, want 100000", n)
	}
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkBoltSave(b *testing.B) {
	for _, n := range []int{1, 100, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			st := open(b, "bolt", b.TempDir())
			records := make([]ban.Record, n)
			for i := range records {
				records[i] = banned(fmt.Sprintf("10.0.%d.%d/32", i/256, i%256))
			}
			for b.Loop() {
				save(b, st, records...)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/record")
		})
	}
}
