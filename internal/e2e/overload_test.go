package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// overloadApp waits 50 ms, as for a database.
const overloadApp = `import time
from flask import Flask
app = Flask(__name__)

@app.route("/")
def index():
    time.sleep(0.05)
    return "fine"
`

const overloadRules = `rules:
  - name: first
    match: {peers: [127.99.0.1]}
    action: priority
    class: high
`

// askFrom asks once from a source address, on a connection of its own.
func askFrom(ctx context.Context, source, addr string) (status int, header http.Header) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		panic(err)
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, nil
	}
	res.Body.Close()
	return res.StatusCode, res.Header
}

// Ten times as many requests as four workers can serve, from 500 addresses,
// whose people leave after 2 s: who goes first is always served, the rest
// gets most of what is left, and all of it can be seen.
func TestOverloadOfGunicorn(t *testing.T) {
	dir := publicDir(t, map[string]string{"busy.py": overloadApp, "flask2ban.yaml": overloadRules, "gunicorn.conf.py": "workers = 2 + 2\n"})
	d := start(t, dir, "", "busy.py", "--config", "flask2ban.yaml", "--", "gunicorn", "busy:app")
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	var served, refused, banned atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n += 8 {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for i := n; i < n+8; i++ {
				all.Go(func() {
					patience, leave := context.WithTimeout(ctx, 2*time.Second)
					defer leave()
					switch status, _ := askFrom(patience, fmt.Sprintf("127.30.%d.%d", i%500/250, 1+i%250), d.addr); status {
					case 200:
						served.Add(1)
					case 503:
						refused.Add(1)
					case 403, 429:
						banned.Add(1)
					}
				})
			}
		}
	})
	asked, first := 0, 0
	waiting, status := 0.0, ""
	for ctx.Err() == nil {
		asked++
		if code, _ := askFrom(context.WithoutCancel(ctx), "127.99.0.1", d.addr); code == 200 {
			first++
		}
		waiting = max(waiting, d.metric("flask2ban_queue_depth", `class="normal"`))
		if asked == 10 {
			status, _ = d.cli("status")
		}
	}
	all.Wait()
	t.Logf("first: %d of %d; the rest: %d served, %d refused", first, asked, served.Load(), refused.Load())
	if first != asked || asked < 10 {
		t.Errorf("who goes first was served %d of %d times", first, asked)
	}
	if served.Load() < 100 {
		t.Errorf("the rest was served %d times in 8 s", served.Load())
	}
	if banned.Load() > 0 {
		t.Errorf("%d requests were refused as an attack", banned.Load())
	}
	if waited := d.metric("flask2ban_queue_wait_seconds_count", `class="normal"`); waiting < 10 || waited < 100 {
		t.Errorf("/metrics: at most %v waited at a time, %v in all", waiting, waited)
	}
	if !strings.Contains(status, "of 4 at a time, waiting: ") {
		t.Errorf("status: %s", status)
	}
}
