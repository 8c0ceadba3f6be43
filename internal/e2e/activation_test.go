package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// activated starts a program behind a socket of systemd's, which opens it, and
// starts the program with the first connection.
func activated(t *testing.T, program string, args ...string) *supervised {
	t.Helper()
	dir, addr, state := example(t, "hello"), freePort(t), filepath.Join(t.TempDir(), "state")
	words := append([]string{"--listen", addr, "--fdname=http", program, "app.py", "--state", state}, args...)
	s := &supervised{url: "http://" + addr, state: state}
	s.process = launch(t, dir, nil, "systemd-socket-activate", words...)
	s.await("the socket is open", func() bool { return strings.Contains(s.out.String(), "Listening on") })
	return s
}

// TestSocketActivation: the first request starts the program, and waits until
// the app answers. An upgrade keeps the socket.
func TestSocketActivation(t *testing.T) {
	exe := copyBinary(t, "flask2ban")
	for name, s := range map[string]func() *supervised{
		"flask2ban":       func() *supervised { return activated(t, exe, "--admin", "off", "--listen", "127.0.0.1:1") },
		"flasksupervisor": func() *supervised { return activated(t, supervisorBinary(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := s()
			s.t = t
			want := func(path string, status int) {
				t.Helper()
				if got, body, err := visitOnce(s.url + path); err != nil || got != status {
					t.Errorf("%s: got %d %.100s (%v), want %d", path, got, body, err, status)
				}
			}
			want("/2020", http.StatusOK)
			syscall.Kill(s.cmd.Process.Pid, syscall.SIGUSR2)
			s.await("a successor has taken over", func() bool { return strings.Contains(s.out.String(), "a successor has taken over") })
			want("/2020", http.StatusOK)
			if out := s.out.String(); name == "flask2ban" && !strings.Contains(out, "--listen is not used") {
				t.Errorf("nothing says that --listen is not used:\n%s", out)
			}
		})
	}
}

// TestSystemdExamples: systemd finds nothing wrong with the units, but that the
// program and the app are not here, and rates the system's as safe.
func TestSystemdExamples(t *testing.T) {
	need(t, "systemd-analyze")
	dir := t.TempDir()
	here := []string{"/usr/local/bin/flask2ban", "/bin/true", "/srv/shop", "/tmp", "User=shop", "User=daemon"}
	for name, pairs := range map[string][]string{
		"flask2ban-shop.socket": nil, "flask2ban-shop.service": here,
		"user/flask2ban-shop.service": {"%h/.local/bin/flask2ban", "/bin/true"},
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(changed(t, exampleFile(t, "systemd/"+name), pairs...)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	system := filepath.Join(dir, "flask2ban-shop.service")
	for _, words := range [][]string{
		{"verify", filepath.Join(dir, "flask2ban-shop.socket"), system},
		{"verify", "--user", filepath.Join(dir, "user", "flask2ban-shop.service")},
		{"security", "--offline=yes", "--threshold=30", system},
	} {
		cmd := exec.Command("systemd-analyze", words...)
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		blamed := words[0] == "verify" && strings.Contains(string(out), "flask2ban-shop.")
		if err != nil || blamed {
			t.Errorf("systemd-analyze %v: %v\n%s", words, err, out)
		}
	}
}
