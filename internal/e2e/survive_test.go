package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// appPID is the process of the app's instance.
func (d *daemon) appPID() int {
	d.t.Helper()
	out, err := d.cli("status", "--json")
	if err != nil {
		d.t.Fatalf("status: %v: %s", err, out)
	}
	var status struct {
		Instance struct {
			PID int `json:"pid"`
		} `json:"instance"`
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil || status.Instance.PID == 0 {
		d.t.Fatalf("status --json: %v: %s", err, out)
	}
	return status.Instance.PID
}

// TestBanSurvivesKill: kill -9 right after a ban; the next start still refuses
// the client, and the app's old process is gone.
func TestBanSurvivesKill(t *testing.T) {
	state := t.TempDir()
	d := start(t, example(t, "hello"), state, "app.py")
	app := d.appPID()
	c := d.from("127.0.1.1")
	c.want(404, "/.env")
	// The answer to the honeypath has come, so the ban is known.
	d.cmd.Process.Signal(syscall.SIGKILL)
	<-d.done
	again := start(t, example(t, "hello"), state, "app.py")
	again.await("the old app is gone", func() bool { return !testbed.Alive(app) })
	again.from("127.0.1.1").want(403, "/")
	again.from("127.0.1.2").want(200, "/")
}

// TestAppKilledUnderLoad: the app is killed three times under load and no
// request is lost.
func TestAppKilledUnderLoad(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	var lost, sent atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	defer group.Wait()
	defer close(stop)
	for n := range 8 {
		c := d.from(fmt.Sprintf("127.0.8.%d", n+1))
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				if status, body := c.get("/slow/0.05"); status != 200 {
					lost.Add(1)
					t.Errorf("lost: %d %.200s", status, body)
					return
				}
			}
		})
	}
	for range 3 {
		pid := d.appPID()
		before := sent.Load()
		d.await("requests flow", func() bool { return sent.Load() > before+20 })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		d.await("a new instance", func() bool {
			out, err := d.cli("status", "--json")
			return err == nil && !strings.Contains(out, fmt.Sprintf(`"pid": %d`, pid)) && strings.Contains(out, `"ready"`)
		})
	}
	t.Logf("%d requests over 3 kills, %d lost", sent.Load(), lost.Load())
	// Which of two kills in a row a request met is not always known.
	if out, err := d.cli("status"); err != nil || strings.Count(out, "; away for") < 3 || !strings.Contains(out, " sent again") {
		t.Errorf("status does not say what the kills cost: %v\n%s", err, out)
	}
	if n := d.metric("flask2ban_app_restarts_total"); n < 3 {
		t.Errorf("restarts counted: %v, want 3", n)
	}
}

// TestStopDrains: SIGTERM lets a running request finish.
func TestStopDrains(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "protocols.py"))
	app := d.appPID()
	c := d.from("127.0.1.1")
	answered := make(chan int, 1)
	go func() {
		status, _ := c.get("/slow/1.5")
		answered <- status
	}()
	d.await("the request runs", func() bool { return d.metric("flask2ban_http_requests_in_flight") >= 1 })
	d.cmd.Process.Signal(syscall.SIGTERM)
	if status := <-answered; status != 200 {
		t.Errorf("the running request got %d", status)
	}
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatal("no end after SIGTERM")
	}
	if !d.cmd.ProcessState.Success() {
		t.Errorf("ended with %v", d.cmd.ProcessState)
	}
	if testbed.Alive(app) {
		t.Errorf("the app's process %d is left behind", app)
	}
}

// TestGunicorn runs the app under a server of the user's choice.
func TestGunicorn(t *testing.T) {
	d := start(t, example(t, "hello"), "", "app.py", "--", "gunicorn", "--workers", "2", "--bind", "127.0.0.1:18099", "app:app")
	c := d.from("127.0.1.1")
	c.want(200, "/2020")
	c.want(404, "/.env")
	c.want(403, "/")
	d.from("127.0.1.2").want(200, "/")
}

// TestPoison: what ends the app twice is not asked for again, and the rest is: by
// its route or, where one route has nearly everything, by its path.
func TestPoison(t *testing.T) {
	d := start(t, t.TempDir(), "", testApp(t, "crashing.py"))
	c := d.from("127.0.1.1")
	c.want(502, "/bad/page")
	c.want(200, "/good/page")
	c.want(502, "/item/bad")
	c.want(200, "/another/page")
	app := d.appPID()
	c.want(502, "/bad/page?again")
	c.want(502, "/item/good")
	if now := d.appPID(); now != app {
		t.Errorf("process %d was ended once more: %d now", app, now)
	}
}
