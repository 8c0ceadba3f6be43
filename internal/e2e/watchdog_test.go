package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is the service manager's side of sd_notify(3).
type manager struct{ socket *net.UnixConn }

func newManager(t *testing.T) (m manager, env []string) {
	t.Helper()
	path := filepath.Join(publicDir(t, nil), "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return manager{l}, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=3000000"}
}

// hears reads messages until one has all of words, and returns all of them.
func (m manager) hears(t *testing.T, words ...string) (all string) {
	t.Helper()
	m.socket.SetReadDeadline(time.Now().Add(2 * time.Minute))
	buf := make([]byte, 1<<16)
	for {
		n, err := m.socket.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %q: %v; heard %s", words, err, tail(all, 2000))
		}
		message := string(buf[:n]) + "\n"
		all += message
		missing := 0
		for _, w := range words {
			if !strings.Contains(message, w) {
				missing++
			}
		}
		if missing == 0 {
			return all
		}
	}
}

// TestTheWatchdogIsFedInACrashLoop: an app that keeps failing is handled, and a
// kill by systemd would only end what handles it. It is not ready, and says so
// as soon as it is.
func TestTheWatchdogIsFedInACrashLoop(t *testing.T) {
	for _, program := range []string{"flask2ban", "flasksupervisor"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			path, err := binary()
			if err != nil {
				t.Fatal(err)
			}
			broken := "import os\nfrom flask import Flask\napp = Flask(__name__)\nif not os.path.exists('mended'):\n    raise SystemExit('not yet')\n" +
				"if __name__ == '__main__':\n    app.run(port=int(os.environ['APP_PORT']))\n"
			dir := publicDir(t, map[string]string{"app.py": broken})
			m, env := newManager(t)
			_, port, _ := net.SplitHostPort(freePort(t))
			args := []string{"app.py", "--python", debianPython, "--state", filepath.Join(dir, "state")}
			if program == "flask2ban" {
				args = append(args, "--listen", freePort(t), "--admin", freePort(t))
			}
			launch(t, dir, append(env, "APP_PORT="+port), filepath.Join(filepath.Dir(path), program), args...)
			heard := m.hears(t, "STATUS=", "is crash loop")
			for range 8 { // more than the watchdog's time
				heard += m.hears(t, "WATCHDOG=1")
			}
			if strings.Contains(heard, "READY=1") {
				t.Errorf("a crash loop is ready: %s", heard)
			}
			if err := os.WriteFile(filepath.Join(dir, "mended"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			m.hears(t, "READY=1")
		})
	}
}
