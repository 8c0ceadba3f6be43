package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestFrom(t *testing.T) {
	a := answers{length: 3 * time.Second, failed: 1}
	for n := range 300 {
		a.all = append(a.all, answer{at: time.Duration(n) * 10 * time.Millisecond, took: time.Duration(n) * time.Millisecond})
	}
	got := a.from(time.Second)
	want := result{rate: 100, p50: 200 * time.Millisecond, p99: 298 * time.Millisecond, failed: 1}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (answers{length: time.Second}).from(0); got != (result{}) {
		t.Errorf("of nothing: got %+v", got)
	}
}

func TestLoadCountsWhatFails(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.RemoteAddr, "127.77.0.") {
			t.Errorf("from %s", r.RemoteAddr)
		}
		if asked.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer s.Close()
	a := load(t.Context(), s.URL, 300*time.Millisecond)
	if len(a.all) == 0 || a.failed == 0 || int64(len(a.all)+a.failed) > asked.Load() {
		t.Errorf("%d answered, %d failed of %d", len(a.all), a.failed, asked.Load())
	}
}

func TestIsPython(t *testing.T) {
	for path, want := range map[string]bool{"/usr/bin/python3.11": true, "/usr/bin/python3": true, "/opt/flask2ban": false, "/python/sh": false} {
		if got := isPython(path); got != want {
			t.Errorf("%s: got %t", path, got)
		}
	}
}

func TestReport(t *testing.T) {
	k := kind{"gunicorn", cpuBound}
	b := &bench{began: time.Now(), rows: []*row{
		{kind: k, workers: elastic, chosen: 2, growth: []string{"2 at 2.6 s"}, shrank: []string{"1 at 60.0 s"}, events: []string{"16 requests for 1 instance: started another"}},
		{kind: k, workers: "2", result: result{rate: 99.6, p50: time.Second}, rss: 30 << 20},
	}, shared: []*row{{kind: k, workers: "2"}}}
	got := b.report(t.Context())
	for _, want := range []string{
		"| gunicorn | /cpu | 2 | 100 | 1000 ms | 0 ms | 0 | 0 | 30 MB |  |\n| gunicorn | /cpu | auto:1-4 | 0 |",
		"| 2 | 0 MB | 2 at 2.6 s |", "- gunicorn /cpu, idle afterwards: 1 at 60.0 s", "shared (flasksupervisor)",
		fmt.Sprint(clients, " clients"),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
