package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

// at makes samples, one each second: their latency in ms, below 0 for failed.
func at(latencies ...int) (s probeSummary) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, ms := range latencies {
		sample := probeSample{at: begin.Add(time.Duration(i) * time.Second), took: time.Duration(ms) * time.Millisecond, status: 200}
		if ms < 0 {
			sample.took, sample.err = 0, errors.New("connection refused")
		}
		s.add(sample)
	}
	return s
}

func TestProbeSummary(t *testing.T) {
	for _, tt := range []struct {
		name string
		give probeSummary
		want string
	}{
		{"none", at(), "no request was answered before the end\n"},
		{"all well", at(10, 20, 30, 40), "\n4 requests, 0 failed: 100.000 % available\n" +
			"latency p50 20.0 ms, p90 40.0 ms, p99 40.0 ms, max 40.0 ms\n▂▄▆█\n"},
		{"an outage of three seconds", at(10, -1, -1, -1, 10, -1, 10), "\n7 requests, 4 failed: 42.857 % available\n" +
			"latency p50 10.0 ms, p90 10.0 ms, p99 10.0 ms, max 10.0 ms\nlongest outage 3s\n█xxx█x█\n"},
		{"down to the end", at(10, -1, -1), "\n3 requests, 2 failed: 33.333 % available\n" +
			"latency p50 10.0 ms, p90 10.0 ms, p99 10.0 ms, max 10.0 ms\nlongest outage 1s\n█xx\n"},
		{"never up", at(-1), "\n1 requests, 1 failed: 0.000 % available\nlongest outage 0s\nx\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got strings.Builder
			tt.give.write(&got)
			if got.String() != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got.String(), tt.want)
			}
		})
	}
}

func TestSparklineFitsALine(t *testing.T) {
	for n := 1; n < 500; n++ {
		s := at(make([]int, n)...)
		if got := len([]rune(sparkline(s.samples))); got > sparkWidth || got < min(n, sparkWidth/2) {
			t.Fatalf("%d samples are %d wide", n, got)
		}
	}
}

// TestProbe asks a server that fails once.
func TestProbe(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "flask2ban-probe" {
			t.Errorf("User-Agent is %q", r.UserAgent())
		}
		if asked.Add(1) == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	code, stdout, _ := call(t.Context(), "probe", server.URL, "--every", "1ms", "--count", "4")
	want := regexp.MustCompile(`(?s)^(\d\d:\d\d:\d\d\.\d{3}  \S+ ms  200 OK\n).*503 Service Unavailable\n.*\n4 requests, 1 failed: 75\.000 % available\nlatency p50 .*longest outage \S+\n.x..\n$`)
	if code != cmdline.Failed || !want.MatchString(stdout) || asked.Load() != 4 {
		t.Errorf("code %d, %d asked:\n%s", code, asked.Load(), stdout)
	}
	if code, stdout, _ = call(t.Context(), "probe", server.URL, "-q", "-n", "1"); code != cmdline.Done || strings.Contains(stdout, "200 OK") {
		t.Errorf("quiet: code %d:\n%s", code, stdout)
	}
}

func TestProbeOfNothing(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	code, stdout, _ := call(t.Context(), "probe", server.URL, "-n", "1")
	if code != cmdline.Failed || !strings.Contains(stdout, "connection refused") || strings.Contains(stdout, "Get ") {
		t.Errorf("code %d:\n%s", code, stdout)
	}
}

// TestProbeStops ends while a request hangs.
func TestProbeStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	code, stdout, _ := call(ctx, "probe", server.URL, "-n", "0")
	if code != cmdline.Failed || stdout != "no request was answered before the end\n" {
		t.Errorf("code %d:\n%s", code, stdout)
	}
}

func TestProbeUsage(t *testing.T) {
	for args, want := range map[string]string{
		"probe example.org":              `"example.org" is no URL to ask: write http://127.0.0.1:8080/`,
		"probe ftp://example.org/":       `"ftp://example.org/" is no URL to ask: write http://127.0.0.1:8080/`,
		"probe http://x/ --every 0s":     "--every and --timeout must be above zero",
		"probe http://x/ --count -1":     "--count -1: must be 0 or more",
		"probe http://x/ --timeout soon": `invalid argument "soon" for "--timeout" flag: time: invalid duration "soon" (flask2ban probe --help lists the flags)`,
	} {
		code, _, stderr := call(t.Context(), strings.Fields(args)...)
		if code != cmdline.BadlyCalled || stderr != "flask2ban: "+want+"\n" {
			t.Errorf("%s: code %d: %s", args, code, stderr)
		}
	}
}

// call runs the command line in this process.
func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = run(ctx, args, func(string) string { return "" }, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}
