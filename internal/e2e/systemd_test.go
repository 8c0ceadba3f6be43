package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// machine is a container with a booted systemd on a copy of this machine's files, in a network
// of its own.
type machine struct {
	*process
	leader int // its process 1, as it is called here
}

// bootScript mounts in a mount namespace of its own, and writes to memory alone,
// so that nothing is left when its process is killed.
const bootScript = `set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" overlay "$1/root"
rm -rf "$1"/root/etc/systemd/system/*.wants "$1"/root/var/lib/flask2ban "$1"/root/var/lib/flasksupervisor
cp -a "$2"/. "$1/root/"
exec systemd-nspawn --quiet --keep-unit --register=no --link-journal=no --private-network --console=pipe \
  --machine=flask2ban-test --directory="$1/root" --boot systemd.unit=basic.target
`

// boot starts a container with files beside this machine's.
func boot(t *testing.T, files string) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a container takes root")
	}
	for _, program := range []string{"systemd-nspawn", "nsenter", "unshare", "curl"} {
		need(t, program)
	}
	runtime.LockOSThread() // its death signal comes with the end of this thread
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", bootScript, "sh", t.TempDir(), files)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	program, err := testbed.Start("systemd-nspawn", cmd)
	if err != nil {
		t.Fatal(err)
	}
	c := &machine{process: &process{Program: program, t: t, cmd: cmd, out: &program.Log, done: program.Done}}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := c.try("journalctl", "--no-pager", "-n", "60", "-o", "short-precise")
			t.Log(log)
		}
		cmd.Process.Kill()
		if c.leader != 0 {
			syscall.Kill(c.leader, syscall.SIGKILL) // and all of the container with it
		}
		<-program.Done
	})
	deadline := time.Now().Add(patience)
	for !c.isUp() {
		if program.Ended() || time.Now().After(deadline) {
			t.Skipf("no container with systemd can be booted here (root, overlay and cgroups that can be written): %s", program.Log.Tail())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return c
}

// isUp says whether its systemd has reached its target.
func (c *machine) isUp() bool {
	if c.leader == 0 {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", c.PID()))
		for _, text := range strings.Fields(string(children)) {
			pid, _ := strconv.Atoi(text)
			if name, _ := os.ReadFile("/proc/" + text + "/comm"); string(name) == "systemd\n" {
				c.leader = pid
			}
		}
	}
	if c.leader == 0 {
		return false
	}
	_, err := c.try("systemctl", "is-active", "--quiet", "basic.target")
	return err == nil
}

// try runs a command in the container.
func (c *machine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(c.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run runs a command that must succeed.
func (c *machine) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	if err != nil {
		c.t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// get is the status of an answer, as curl has it, to a client of the container.
func (c *machine) get(client, target string) string {
	out, _ := c.try("curl", "-s", "-o", "/dev/null", "-m", "60", "-w", "%{http_code}", "--interface", client, "http://127.0.0.1"+target)
	return out
}

// property is one of a unit's properties.
func (c *machine) property(unit, name string) string {
	c.t.Helper()
	return c.run("systemctl", "show", "--value", "-p", name, unit)
}

// journal is what a unit and systemd about it have logged; more are further
// arguments of journalctl.
func (c *machine) journal(unit string, more ...string) string {
	c.t.Helper()
	return c.run(append([]string{"journalctl", "--no-pager", "-o", "cat", "-u", unit}, more...)...)
}

// shopApp says what its process may do, and has a slow view.
const shopApp = `import time
from flask import Flask

app = Flask(__name__)

@app.route("/")
def index():
    with open("/proc/self/status") as status:
        return [line for line in status if line.startswith("CapEff")][0]

@app.route("/slow")
def slow():
    open("begun", "w").close()
    time.sleep(4)
    return "done"

if __name__ == "__main__":
    app.run()
`

// shop is a directory of files for a container: the programs, and an app of the
// user daemon's in /srv/shop.
func shop(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	files := publicDir(t, map[string]string{"srv/shop/app.py": shopApp})
	for _, dir := range []string{"usr/local/bin", "etc/systemd/system"} {
		if err := os.MkdirAll(filepath.Join(files, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"flask2ban", "flasksupervisor"} {
		install(t, filepath.Join(filepath.Dir(path), name), filepath.Join(files, "usr/local/bin", name))
	}
	const daemon = 1 // in every Debian
	for _, name := range []string{"srv/shop", "srv/shop/app.py"} {
		os.Chown(filepath.Join(files, name), daemon, daemon)
	}
	return files
}

// TestSystemd walks the units that we print through a real systemd.
func TestSystemd(t *testing.T) {
	t.Parallel()
	c := boot(t, shop(t))
	for _, program := range []string{"flask2ban", "flasksupervisor"} {
		unit, more := program+"-shop", "--listen :80"
		if program == "flask2ban" {
			more += " --kernel"
		}
		c.run("sh", "-c", "cd /srv/shop && "+program+" unit app.py --python "+debianPython+" "+more+" > /etc/systemd/system/"+unit+".service")
		c.run("systemctl", "daemon-reload")
		c.run("systemctl", "start", unit)
		if got := c.property(unit, "StatusText"); !strings.Contains(got, "app.py is ready, pid ") {
			t.Errorf("%s: status %q", program, got)
		}
		if got := c.get("127.0.0.1", "/"); got != "200" {
			t.Errorf("%s: got %s", program, got)
		}
		c.run("systemctl", "reload", unit)
		if program == "flask2ban" {
			c.bans(t, unit)
		}
		c.upgrade(t, unit)
		c.killed(t, unit)
		c.run("systemctl", "stop", unit)
		if out, err := c.try("pgrep", "-u", "daemon", "-a"); err == nil {
			t.Errorf("%s has left %s", program, out)
		}
	}
}

// bans: the packet filter is set by a service without root, whose app has no
// right to do that; the journal knows which lines are warnings.
func (c *machine) bans(t *testing.T, unit string) {
	const client = "127.0.0.2"
	if got := c.run("curl", "-s", "http://127.0.0.1/"); !strings.HasSuffix(got, "0000000400") {
		t.Errorf("the app has %s, want CAP_NET_BIND_SERVICE at most", got)
	}
	if got := c.get(client, "/.env"); got != "404" {
		t.Errorf("a scanner got %s", got)
	}
	for range 10 { // then the kernel drops it
		if got := c.get(client, "/"); got != "403" {
			t.Errorf("when banned it got %s", got)
		}
	}
	warnings := c.journal(unit, "-p", "warning")
	if !strings.Contains(warnings, "level=WARN msg=banned client=127.0.0.2/32") || strings.Contains(warnings, "level=INFO") || strings.Contains(warnings, "time=") {
		t.Errorf("warnings: %s", warnings)
	}
	if out := c.run("flask2ban", "bans", "list"); !strings.Contains(out, client) {
		t.Errorf("bans list: %s", out)
	}
}

// upgrade: the service manager follows, and a stop right after it loses no
// request, not even one that the old process still answers.
func (c *machine) upgrade(t *testing.T, unit string) {
	before, status := c.property(unit, "MainPID"), c.property(unit, "StatusText")
	slow := make(chan string, 1)
	go func() { slow <- c.get("127.0.0.1", "/slow") }()
	c.await("a slow request has begun", func() bool {
		_, err := c.try("test", "-e", "/srv/shop/begun")
		return err == nil
	})
	c.run("systemctl", "kill", "--kill-whom=main", "-s", "USR2", unit)
	c.await("another process is the service", func() bool { return c.property(unit, "MainPID") != before })
	c.await("it says how its app is", func() bool {
		got := c.property(unit, "StatusText")
		return got != status && strings.Contains(got, "app.py is ready, pid ")
	})
	c.run("systemctl", "restart", unit)
	if got := <-slow; got != "200" {
		t.Errorf("the slow request got %q", got)
	}
	if got := c.get("127.0.0.1", "/"); got != "200" {
		t.Errorf("after the restart: %s", got)
	}
	log := c.journal(unit)
	for _, bad := range []string{"not our child", "reception only permitted", "SIGKILL", "Failed with result"} {
		if strings.Contains(log, bad) {
			t.Errorf("%q in the journal: %s", bad, log)
		}
	}
	c.run("rm", "/srv/shop/begun")
}

// killed: a service that died is there again, and bans are.
func (c *machine) killed(t *testing.T, unit string) {
	before := c.property(unit, "MainPID")
	c.run("kill", "-9", before)
	c.await("it runs again", func() bool {
		return c.property(unit, "MainPID") != before && c.property(unit, "ActiveState") == "active"
	})
	if got := c.get("127.0.0.1", "/"); got != "200" {
		t.Errorf("after a kill: %s", got)
	}
	if strings.HasPrefix(unit, "flask2ban") {
		if out := c.run("flask2ban", "bans", "list"); !strings.Contains(out, "127.0.0.2") {
			t.Errorf("the ban is gone: %s", out)
		}
	}
}

// TestSystemdSocket: with the example's socket unit nobody is refused over a
// restart, though the service has a user of its own and no capabilities.
func TestSystemdSocket(t *testing.T) {
	t.Parallel()
	files := shop(t)
	for name, pairs := range map[string][]string{"flask2ban-shop.socket": nil, "flask2ban-shop.service": {"User=shop", "User=daemon"}} {
		text := changed(t, exampleFile(t, "systemd/"+name), pairs...)
		if err := os.WriteFile(filepath.Join(files, "etc/systemd/system", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := boot(t, files)
	c.run("systemctl", "start", "flask2ban-shop.socket")
	if got := c.get("127.0.0.1", "/"); got != "200" {
		t.Errorf("the first request, which starts it: %s\n%s", got, c.journal("flask2ban-shop"))
	}
	stop, answers := make(chan struct{}), make(chan string, 1)
	go func() {
		all := ""
		for {
			select {
			case <-stop:
				answers <- all
				return
			default:
				all += c.get("127.0.0.1", "/") + " "
			}
		}
	}()
	c.run("systemctl", "restart", "flask2ban-shop")
	close(stop)
	if got := <-answers; strings.ReplaceAll(got, "200 ", "") != "" {
		t.Errorf("over a restart: %s", got)
	}
}
