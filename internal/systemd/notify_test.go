package systemd

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestNotifier speaks to a real socket: ready once, a status when it changes,
// the watchdog only while all is well, and the end.
func TestNotifier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "30000")
	var ready atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	n := Notifier{Log: slog.New(slog.DiscardHandler)}
	ended := make(chan error, 1)
	go func() {
		ended <- n.Serve(ctx, func() Health {
			if ready.Load() {
				return Health{Ready: true, Status: "well\nREADY=0"}
			}
			return Health{Status: "ill"}
		})
	}()
	hear := func() string {
		l.SetReadDeadline(time.Now().Add(30 * time.Second))
		buffer := make([]byte, 4096)
		count, err := l.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:count])
	}
	if got := hear(); got != "STATUS=ill" {
		t.Errorf("ill: got %q", got)
	}
	ready.Store(true)
	if got := hear(); got != "READY=1\nSTATUS=well READY=0\nWATCHDOG=1" {
		t.Errorf("well: got %q", got)
	}
	if got := hear(); got != "WATCHDOG=1" {
		t.Errorf("still well: got %q", got)
	}
	ready.Store(false)
	for got := ""; got != "STATUS=ill"; got = hear() {
	}
	cancel()
	if got := hear(); got != "STOPPING=1\nSTATUS=ending" {
		t.Errorf("the end: got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	go n.Reload(func() error { return nil })
	if got := hear(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
		t.Errorf("reload: got %q", got)
	}
	if got := hear(); got != "READY=1" {
		t.Errorf("reloaded: got %q", got)
	}
	n.Successor(42)
	if got := hear(); got != "MAINPID=42" {
		t.Errorf("successor: got %q", got)
	}
}

// TestUnit: systemd itself finds nothing wrong with the units, whatever the
// app is called, and rates the system's as safe.
func TestUnit(t *testing.T) {
	for name, u := range map[string]Unit{
		"dynamic": {Capabilities: []string{"CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN"}}, "owner": {Owner: "daemon", Home: true}, "user": {User: true},
	} {
		t.Run(name, func(t *testing.T) {
			u.Program, u.Name, u.App, u.Dir = "flask2ban", "odd", `my 100% "app" $HOME.py`, "/tmp"
			u.Command = []string{"/bin/true", u.App, "--state", StateDirectory, `back\slash`}
			var text strings.Builder
			if err := u.Write(&text); err != nil {
				t.Fatal(err)
			}
			want := `ExecStart="/bin/true" "my 100%% \"app\" $$HOME.py" "--state" ${STATE_DIRECTORY} "back\\slash"`
			if !strings.Contains(text.String(), want) {
				t.Errorf("got\n%s\nwant %s", text.String(), want)
			}
			path := filepath.Join(t.TempDir(), "odd.service")
			write(t, path, text.String())
			args := []string{"verify", path}
			if u.User {
				args = append([]string{"--user"}, args...)
			}
			verify := exec.Command("systemd-analyze", args...)
			verify.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
			if out, err := verify.CombinedOutput(); err != nil || strings.Contains(string(out), "odd.service:") {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
			if u.User {
				return
			}
			if out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=30", path).CombinedOutput(); err != nil {
				t.Errorf("systemd-analyze security: %v\n%s", err, out)
			}
		})
	}
	if err := (Unit{Dir: "/a\nb"}).Write(&strings.Builder{}); err == nil {
		t.Error("a path with a line break was taken")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
