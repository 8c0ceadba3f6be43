package cmdline

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/config"
)

// unitOf runs "prog unit" with arguments and returns what it prints.
func unitOf(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	p := Program{Name: "prog", Getenv: os.Getenv, Stdout: &out, Stderr: &out}
	settings := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(settings)
	cmd := p.UnitCommand(settings, func(flags *pflag.FlagSet) (*config.Config, error) {
		return config.Load(flags, func(string) string { return "" }, "")
	})
	cmd.SetArgs(append([]string{}, args...)) // nil would be our own
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// readable is a directory with an app that everybody can read, and owner's.
func readable(t *testing.T, owner int) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "unit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	err = os.WriteFile(filepath.Join(dir, "app.py"), []byte("from flask import Flask\napp = Flask(__name__)\n"), 0o644)
	if err := errors.Join(err, os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	if owner > 0 {
		if os.Geteuid() != 0 {
			t.Skip("only root can give files away")
		}
		if err := os.Chown(dir, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// execStart is the unit's command line as a shell of the service manager would split it.
func execStart(t *testing.T, unit string) string {
	t.Helper()
	_, rest, ok := strings.Cut(unit, "\nExecStart=")
	if !ok {
		t.Fatalf("no ExecStart in\n%s", unit)
	}
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// TestUnitKeepsEachFlag: values that hold commas stay one value, and what the unit
// decides itself is left out.
func TestUnitKeepsEachFlag(t *testing.T) {
	dir := readable(t, 0)
	unit, err := unitOf(t, filepath.Join(dir, "app.py"), "--python", "/usr/bin/python3", "--env", "A=1,2", "--env", "B=x y",
		"--listen", ":8080", "--listen", "127.0.0.1:81", "--watch", "--name", "shop")
	if err != nil {
		t.Fatal(err)
	}
	line := execStart(t, unit)
	for _, want := range []string{
		`"--env=A=1,2" "--env=B=x y"`, `"--listen=:8080" "--listen=127.0.0.1:81"`, `"--watch=true"`, `"--python=/usr/bin/python3"`,
		`"--state" ${STATE_DIRECTORY}`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("got %s, want %s in it", line, want)
		}
	}
	for _, want := range []string{"AmbientCapabilities=CAP_NET_BIND_SERVICE", "/etc/systemd/system/shop.service"} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit lacks %s:\n%s", want, unit)
		}
	}
	if unit, err = unitOf(t, filepath.Join(dir, "app.py"), "--python", "/usr/bin/python3", "--listen", "https://:443", "--acme-domain", "example.org", "--kernel"); err != nil ||
		!strings.Contains(unit, "\nAmbientCapabilities=CAP_NET_BIND_SERVICE CAP_NET_ADMIN\n") {
		t.Errorf("what --kernel needs is missing, %v:\n%s", err, unit)
	}
	if strings.Contains(line, "--name") {
		t.Errorf("the unit's own name is a flag of the service: %s", line)
	}
}

// TestUnitOwner: the app's owner runs it; root's app gets a user of its own.
func TestUnitOwner(t *testing.T) {
	theirs := readable(t, 65534)
	unit, err := unitOf(t, filepath.Join(theirs, "app.py"), "--python", "/usr/bin/python3")
	if err != nil || !strings.Contains(unit, "\nUser=nobody\n") || strings.Contains(unit, "\nDynamicUser=yes") {
		t.Errorf("%v\n%s", err, unit)
	}
	roots := readable(t, 0)
	unit, err = unitOf(t, filepath.Join(roots, "app.py"), "--python", "/usr/bin/python3")
	if err != nil || strings.Contains(unit, "\nUser=") || !strings.Contains(unit, "\nDynamicUser=yes") {
		t.Errorf("%v\n%s", err, unit)
	}
	unit, err = unitOf(t, filepath.Join(roots, "app.py"), "--python", "/usr/bin/python3", "--user")
	if err != nil || strings.Contains(unit, "\nDynamicUser=yes") || strings.Contains(unit, "STATE_DIRECTORY") || !strings.Contains(unit, "systemctl --user enable") {
		t.Errorf("for a user's own services: %v\n%s", err, unit)
	}
}

// TestUnitOfRootsAlone: a service that can't read its app is refused, with the remedy.
func TestUnitOfRootsAlone(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("what is closed is root's")
	}
	dir := readable(t, 0)
	closed := filepath.Join(dir, "closed")
	app := filepath.Join(closed, "app.py")
	if err := errors.Join(os.Mkdir(closed, 0o700), os.WriteFile(app, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	_, err := unitOf(t, app, "--python", "/usr/bin/python3")
	if err == nil || !strings.Contains(err.Error(), closed+" is for root alone") || !strings.Contains(err.Error(), "chmod o+rx "+closed) {
		t.Errorf("got %v", err)
	}
	python := filepath.Join(closed, "python3")
	if err := os.Symlink("/usr/bin/python3", python); err != nil {
		t.Fatal(err)
	}
	_, err = unitOf(t, filepath.Join(dir, "app.py"), "--python", python)
	if err == nil || !strings.Contains(err.Error(), "the interpreter "+python+" lies in "+closed) {
		t.Errorf("got %v", err)
	}
}

func TestUnitRefuses(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "APP missing"},
		{[]string{"a.py", "b.py"}, `unexpected argument "b.py"`},
		{[]string{"a.py", "--"}, "no command after --"},
		{[]string{"a.py", "--", "no-such-server"}, "no-such-server: not found on PATH"},
		{[]string{"a.py", "--maxretry", "many"}, "--maxretry"},
	} {
		_, err := unitOf(t, tt.args...)
		var exit *ExitError
		if err == nil || !strings.Contains(err.Error(), tt.want) || !errors.As(err, &exit) || exit.Code != BadlyCalled {
			t.Errorf("%v: got %v, want %q as an error of usage", tt.args, err, tt.want)
		}
	}
}

func TestIsLow(t *testing.T) {
	for addr, want := range map[string]bool{":80": true, "127.0.0.1:443": true, "[::1]:1023": true, "https://:443": true, "https://:8443": false, ":1024": false, ":0": false, ":http": false, "80": false} {
		if got := isLow(addr); got != want {
			t.Errorf("%s: got %v", addr, got)
		}
	}
}

// TestQuoted has a shell take the words apart again.
func TestQuoted(t *testing.T) {
	words := []string{"plain", "", "two words", "it's", `"`, "$HOME", "a\nb", "`id`", "größe", "*", "~", "a;b", "/srv/my app/app.py", "-x", `\`, "#no"}
	var line strings.Builder
	line.WriteString(`printf '%s\0'`)
	for _, word := range words {
		line.WriteString(" " + Quoted(word))
	}
	out, err := exec.Command("sh", "-c", line.String()).Output()
	if want := strings.Join(words, "\x00") + "\x00"; err != nil || string(out) != want {
		t.Errorf("%s printed %q, %v; want %q", line.String(), out, err, want)
	}
	if got := Quoted("/srv/app.py"); got != "/srv/app.py" {
		t.Errorf("a plain path became %s", got)
	}
	if got := StateHint("/a b"); got != " --state '/a b'" || StateHint("") != "" {
		t.Errorf("hint %q", got)
	}
}
