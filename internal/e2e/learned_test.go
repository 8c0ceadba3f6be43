package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/internal/testbed"
	"golang.org/x/sys/unix"
)

// learnedApp is an app under Werkzeug's own threaded server, with a view that
// only computes and one that only waits.
const learnedApp = `import time
from flask import Flask
app = Flask(__name__)

@app.route("/compute")
def compute():
    return str(sum(i * i for i in range(200_000)))

@app.route("/wait")
def wait():
    time.sleep(0.5)
    return "waited"

if __name__ == "__main__":
    app.run()
`

// crowd has 32 clients ask for a target, each again as soon as it is answered,
// until ok. It reports whether that was so within the limit.
func (d *daemon) crowd(target string, limit time.Duration, ok func() bool) bool {
	d.t.Helper()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range 32 {
		c := d.from(fmt.Sprintf("127.0.47.%d", 1+i))
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, body := c.get(target); status != 200 {
					d.t.Errorf("%s: %d %.200s", target, status, body)
					return
				}
			}
		})
	}
	defer all.Wait()
	defer close(stop)
	return testbed.Poll(d.t.Context(), limit, func() (bool, error) { return ok(), nil }) == nil
}

// load is what the API says of the app's load, and who serves.
func (d *daemon) load() (q overview.Queue, pid int) {
	d.t.Helper()
	res, err := http.Get("http://" + d.admin + "/api/v1/status")
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	var status overview.Status
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		d.t.Fatal(err)
	}
	return *status.Queue, status.Instance.PID
}

// favour gives a process the processor before others, as far as we may: what
// the limit is learned from is how much of it the app gets.
func favour(t *testing.T, pid int) {
	nice := unix.Setpriority(unix.PRIO_PROCESS, pid, -20)
	group := os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte("-20"), 0)
	t.Logf("favour the app: %v; its session: %v", nice, group)
}

// draught measures the processors that an app gets.
type draught struct {
	pid  int
	at   time.Time
	used time.Duration
	most float64 // in any second
}

func (m *draught) sample() {
	stat, err := testbed.ReadStat(m.pid)
	now := time.Now()
	if elapsed := now.Sub(m.at); err == nil && elapsed >= time.Second {
		if !m.at.IsZero() {
			m.most = max(m.most, float64(stat.CPU-m.used)/float64(elapsed))
		}
		m.at, m.used = now, stat.CPU
	}
}

// Where an app of Werkzeug's threaded server only waits, all may be with it at a
// time; where it computes, and has the processor for that, few are.
func TestLimitIsLearnedWhereTheAppComputes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(learnedApp), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	d := start(t, dir, "", "app.py")
	t.Run("waits", d.testNoLimit)
	t.Run("computes", d.testLimit)
	d.await("the limit ends when nobody waits", func() bool { q, _ := d.load(); return q.Limit == 0 })
}

func (d *daemon) testNoLimit(t *testing.T) {
	answered := func() float64 { return d.metric("flask2ban_http_requests_total", `route="/wait"`) }
	most := 0
	if !d.crowd("/wait", patience, func() bool {
		q, _ := d.load()
		most = max(most, q.InFlight)
		if q.Limit != 0 {
			t.Errorf("a limit of %d for an app that only waits", q.Limit)
		}
		return q.Limit != 0 || answered() >= 300
	}) {
		t.Fatalf("%v of 300 requests answered in %v", answered(), patience)
	}
	if most < 20 {
		t.Errorf("at most %d of 32 were with the app at a time", most)
	}
}

func (d *daemon) testLimit(t *testing.T) {
	_, pid := d.load()
	favour(t, pid)
	cpu := draught{pid: pid}
	least, said := 0, ""
	if d.crowd("/compute", patience, func() bool {
		cpu.sample()
		q, _ := d.load()
		if q.Limit > 0 && (least == 0 || q.Limit < least) {
			least = q.Limit
		}
		if least > 0 && least <= 4 && len(q.Waiting) > 0 && said == "" {
			said, _ = d.cli("status")
		}
		return said != ""
	}) {
		t.Logf("the limit came down to %d; the app had up to %.2f processors; %s", least, cpu.most, said)
		if !strings.Contains(said, "at a time") {
			t.Errorf("status: %s", said)
		}
		return
	}
	if cpu.most < .9 {
		t.Skipf("others take the processor: the app, which needs one whole, had %.2f at most, and a limit is right only where it has it", cpu.most)
	}
	t.Errorf("limit %d (0: none) for 32 clients of a view that computes, want at most 4; the app had %.2f processors", least, cpu.most)
}
