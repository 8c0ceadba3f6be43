package e2e

import (
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stuckApp has one view that never ends, and one that says who serves.
const stuckApp = `import os, threading
from flask import Flask
app = Flask(__name__)
lock = threading.Lock()

@app.route("/pid")
def pid():
    return str(os.getpid())

@app.route("/stuck")
def stuck():
    lock.acquire()
    lock.acquire()
`

// Behind our own limit nothing stands in the app's accept queue: what waits
// with us must count, or an app with one worker that hangs would hang for ever.
func TestAHangIsSeenThoughOurQueueHoldsTheRequests(t *testing.T) {
	d := start(t, publicDir(t, map[string]string{"stuck.py": stuckApp}), "", "stuck.py", "--hang-after", "3s", "--", "gunicorn", "-w", "1", "--timeout", "0", "stuck:app")
	_, worker := d.from("127.0.41.1").get("/pid")
	waiters := func() (all *sync.WaitGroup) {
		all = &sync.WaitGroup{}
		for _, from := range []string{"127.0.41.2", "127.0.41.3", "127.0.41.4"} {
			c := d.from(from)
			all.Go(func() {
				if status, body := c.get("/pid"); status != 200 {
					t.Errorf("who waited got %d %.200s", status, body)
				}
			})
		}
		return all
	}
	var stuck sync.WaitGroup
	defer stuck.Wait()
	c := d.from("127.0.41.5")
	stuck.Go(func() { c.get("/stuck") }) // whatever it gets, once its worker is killed
	d.await("the worker has it", func() bool { return d.metric("flask2ban_http_requests_in_flight") >= 1 })
	waiters().Wait()
	_, next := d.from("127.0.41.1").get("/pid")
	if next == worker {
		t.Errorf("the stuck worker %s serves", worker)
	}
	d.says("hung: accept queue ") // 3, or 2 where one of them stands in the app's own
	// One that is stopped is woken, and loses nothing.
	pid, err := strconv.Atoi(next)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGSTOP)
	begin := time.Now()
	waiters().Wait()
	t.Logf("a stopped worker served again after %v", time.Since(begin))
}
