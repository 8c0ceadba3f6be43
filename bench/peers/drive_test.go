package main

import (
	"os/exec"
	"testing"
	"time"
)

const wrkOutput = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     9.30ms    9.25ms  92.05ms   87.96%
    Req/Sec     8.08k     2.94k   15.14k    71.43%
  Latency Distribution
     50%  734.00us
     75%   12.54ms
     90%   20.02ms
     99%    1.25s 
  40365 requests in 2.03s, 5.31MB read
`

func TestParseWrk(t *testing.T) {
	for name, c := range map[string]struct {
		extra string
		wrong int
	}{
		"all well":     {"Requests/sec:   8020.55\n", 0},
		"other status": {"  Non-2xx or 3xx responses: 17\n", 17},
		"time-outs":    {"  Socket errors: connect 1, read 50, write 0, timeout 4\n", 5},
		"both":         {"  Socket errors: connect 0, read 0, write 0, timeout 4\n  Non-2xx or 3xx responses: 17\n", 21},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseWrk([]byte(wrkOutput + c.extra))
			want := sample{
				requests: 40365, wrong: c.wrong, elapsed: 2030 * time.Millisecond,
				p50: 734 * time.Microsecond, p99: 1250 * time.Millisecond,
			}
			if err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		})
	}
	for _, bad := range []string{"", "unable to connect", "5 requests in 2.0q, 1MB read"} {
		if _, err := parseWrk([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestParseH2load(t *testing.T) {
	got, err := parseH2load([]byte("1700\t200\t300\n1701\t200\t100\n1702\t502\t200\n"))
	want := sample{requests: 3, wrong: 1, p50: 200 * time.Microsecond, p99: 300 * time.Microsecond}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseH2load([]byte("1700\t200\n")); err == nil {
		t.Error("a short line was read")
	}
}

func TestQuantile(t *testing.T) {
	list := []time.Duration{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]time.Duration{0: 1, .5: 6, .99: 10, 1: 10} {
		if got := quantile(list, q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	if got := quantile(nil, .5); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Millisecond: "1", time.Second: "1", 2600 * time.Millisecond: "3"} {
		if got := seconds(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestWrkDrives(t *testing.T) {
	if _, err := exec.LookPath("wrk"); err != nil {
		t.Skip("wrk is not installed; make bench-peers installs it")
	}
	addr, s := newServer(t)
	got, err := wrk("http", "/404", "Connection: close")(t.Context(), trip{addr: addr, length: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if got.requests == 0 || got.wrong != got.requests || got.p99 < got.p50 || got.p50 <= 0 {
		t.Errorf("%+v: want only wrong answers", got)
	}
	if n := s.conns.Load(); n < int64(got.requests) {
		t.Errorf("%d requests over %d connections, want one each", got.requests, n)
	}
	if _, err := wrk("http", "/")(t.Context(), trip{addr: "127.0.0.1:1", length: time.Second}); err == nil {
		t.Error("no error where nobody listens")
	}
}
