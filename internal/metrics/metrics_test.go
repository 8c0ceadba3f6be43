package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

// exercised is a Metrics with every collector used once.
func exercised() *Metrics {
	m := New("1.2.3")
	m.Watch(Gauges{
		Bans: func() int { return 3 }, Clients: func() int { return 40 },
		Routes:     func() map[string]int { return map[string]int{"static": 5, "runtime": 2} },
		Unresolved: func() int { return 1 }, AppUp: func() bool { return true },
	})
	m.Request("/user/<username>", "GET", 200, 30*time.Millisecond, 80*time.Microsecond)
	m.InFlight(1)
	m.InFlight(1)
	m.InFlight(-1)
	m.Evidence("unexpected_path")
	m.Refused("reject", "unexpected")
	m.Banned("unexpected")
	m.Queue("normal").Enter()
	m.Queue("normal").Enter()
	m.Queue("normal").Leave(20 * time.Millisecond)
	m.Restarted("crash")
	m.Exception("ZeroDivisionError")
	return m
}

// families gathers what is ours, by name.
func families(t testing.TB, m *Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	all, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]*dto.MetricFamily{}
	for _, f := range all {
		if strings.HasPrefix(f.GetName(), namespace+"_") {
			ours[f.GetName()] = f
		}
	}
	return ours
}

// TestNamesAndLabels is the contract of DESIGN section 8, to the letter.
func TestNamesAndLabels(t *testing.T) {
	want := map[string]string{
		"flask2ban_http_requests_total":           "code,method,route",
		"flask2ban_http_request_duration_seconds": "route",
		"flask2ban_proxy_overhead_seconds":        "",
		"flask2ban_http_requests_in_flight":       "",
		"flask2ban_evidence_total":                "kind",
		"flask2ban_refused_total":                 "penalty,rule",
		"flask2ban_bans_total":                    "rule",
		"flask2ban_bans_active":                   "",
		"flask2ban_clients_tracked":               "",
		"flask2ban_queue_depth":                   "class",
		"flask2ban_queue_wait_seconds":            "class",
		"flask2ban_routes":                        "source",
		"flask2ban_routes_unresolved":             "",
		"flask2ban_app_up":                        "",
		"flask2ban_app_restarts_total":            "reason",
		"flask2ban_app_exceptions_total":          "type",
		"flask2ban_build_info":                    "goversion,version",
	}
	got := map[string]string{}
	for name, f := range families(t, exercised()) {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		got[name] = strings.Join(labels, ",")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestValues(t *testing.T) {
	m := exercised()
	want := `
# HELP flask2ban_app_exceptions_total Exceptions that the app did not handle, by type.
# TYPE flask2ban_app_exceptions_total counter
flask2ban_app_exceptions_total{type="ZeroDivisionError"} 1
# HELP flask2ban_app_restarts_total Restarts of the app, by reason.
# TYPE flask2ban_app_restarts_total counter
flask2ban_app_restarts_total{reason="crash"} 1
# HELP flask2ban_app_up Whether an instance of the app is ready (1) or not (0).
# TYPE flask2ban_app_up gauge
flask2ban_app_up 1
# HELP flask2ban_bans_active Bans in force.
# TYPE flask2ban_bans_active gauge
flask2ban_bans_active 3
# HELP flask2ban_bans_total Bans decided, by rule.
# TYPE flask2ban_bans_total counter
flask2ban_bans_total{rule="unexpected"} 1
# HELP flask2ban_clients_tracked Clients remembered.
# TYPE flask2ban_clients_tracked gauge
flask2ban_clients_tracked 40
# HELP flask2ban_evidence_total Evidence against clients, by kind.
# TYPE flask2ban_evidence_total counter
flask2ban_evidence_total{kind="unexpected_path"} 1
# HELP flask2ban_http_requests_in_flight Requests being handled now.
# TYPE flask2ban_http_requests_in_flight gauge
flask2ban_http_requests_in_flight 1
# HELP flask2ban_http_requests_total Requests by the rule that they matched.
# TYPE flask2ban_http_requests_total counter
flask2ban_http_requests_total{code="200",method="GET",route="/user/<username>"} 1
# HELP flask2ban_queue_depth Requests waiting for a slot now.
# TYPE flask2ban_queue_depth gauge
flask2ban_queue_depth{class="normal"} 1
# HELP flask2ban_refused_total Requests refused, by penalty and rule.
# TYPE flask2ban_refused_total counter
flask2ban_refused_total{penalty="reject",rule="unexpected"} 1
# HELP flask2ban_routes Routes of the table, by where they are known from.
# TYPE flask2ban_routes gauge
flask2ban_routes{source="runtime"} 2
flask2ban_routes{source="static"} 5
# HELP flask2ban_routes_unresolved Places in the app's source whose routes could not be read.
# TYPE flask2ban_routes_unresolved gauge
flask2ban_routes_unresolved 1
`
	var names []string
	for line := range strings.Lines(want) {
		if after, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(after, " ")
			names = append(names, name)
		}
	}
	if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestHistograms(t *testing.T) {
	all := families(t, exercised())
	for name, want := range map[string]float64{
		"flask2ban_http_request_duration_seconds": .03,
		"flask2ban_proxy_overhead_seconds":        .00008,
		"flask2ban_queue_wait_seconds":            .02,
	} {
		h := all[name].GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 1 || h.GetSampleSum() != want {
			t.Errorf("%s: got %d samples of %v, want 1 of %v", name, h.GetSampleCount(), h.GetSampleSum(), want)
		}
		var bounds []float64
		for _, b := range h.GetBucket() {
			bounds = append(bounds, b.GetUpperBound())
		}
		if !slices.IsSorted(bounds) || len(bounds) > 15 || bounds[0] >= want || bounds[len(bounds)-1] <= want {
			t.Errorf("%s: buckets %v don't fit %v", name, bounds, want)
		}
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(exercised().Registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What Prometheus would read, over a real connection.
func TestHandler(t *testing.T) {
	server := httptest.NewServer(exercised().Handler())
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("got %d, %s", answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	for _, line := range []string{
		`flask2ban_http_requests_total{code="200",method="GET",route="/user/<username>"} 1`,
		`flask2ban_build_info{goversion="go`, "\ngo_goroutines ", "\nprocess_open_fds ", "\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains(string(body), line) {
			t.Errorf("/metrics lacks %q", line)
		}
	}
}

func TestNoGaugesBeforeWatch(t *testing.T) {
	m := New("x")
	if f, ok := families(t, m)["flask2ban_bans_active"]; ok {
		t.Errorf("got %v before anything is watched", f)
	}
	m.Watch(Gauges{AppUp: func() bool { return false }})
	all := families(t, m)
	if got := all["flask2ban_app_up"].GetMetric()[0].GetGauge().GetValue(); got != 0 {
		t.Errorf("got app_up %v, want 0", got)
	}
	if _, ok := all["flask2ban_routes"]; ok {
		t.Error("got routes from nowhere")
	}
}

// A reload replaces what is watched.
func TestWatchAgain(t *testing.T) {
	m := New("x")
	for n := range 3 {
		m.Watch(Gauges{Bans: func() int { return n }})
		if got := families(t, m)["flask2ban_bans_active"].GetMetric()[0].GetGauge().GetValue(); got != float64(n) {
			t.Errorf("got %v bans, want %d", got, n)
		}
	}
}

// Two programs in one process, as in tests, share nothing.
func TestTwoRegistries(t *testing.T) {
	a, b := New("a"), New("b")
	a.Banned("x")
	if f, ok := families(t, b)["flask2ban_bans_total"]; ok {
		t.Errorf("got %v in the other", f)
	}
}

func TestNegativeOverheadIsNone(t *testing.T) {
	m := New("x")
	m.Request("/", "GET", 200, time.Millisecond, -time.Second)
	if got := families(t, m)["flask2ban_proxy_overhead_seconds"].GetMetric()[0].GetHistogram().GetSampleSum(); got != 0 {
		t.Errorf("got %v, want 0", got)
	}
}

// All of it at once, for the race detector, and nothing is lost.
func TestConcurrentUse(t *testing.T) {
	m := New("x")
	m.Watch(Gauges{Bans: func() int { return 1 }})
	const goroutines, each = 8, 500
	var done sync.WaitGroup
	for g := range goroutines {
		done.Go(func() {
			for i := range each {
				m.InFlight(1)
				m.Request(fmt.Sprintf("/%d", i%7), "GET", 200+i%5, time.Millisecond, 0)
				m.Evidence(fmt.Sprint("kind", i%3))
				m.Exception(fmt.Sprint("Error", g*each+i))
				m.Queue("low").Enter()
				m.Queue("low").Leave(0)
				m.InFlight(-1)
			}
			families(t, m)
		})
	}
	done.Wait()
	for _, name := range []string{"http_requests_total", "evidence_total", "app_exceptions_total"} {
		if got := total(families(t, m)["flask2ban_"+name]); got != goroutines*each {
			t.Errorf("%s: got %v in all, want %d", name, got, goroutines*each)
		}
	}
}

// total sums a family's counters.
func total(f *dto.MetricFamily) float64 {
	sum := 0.
	for _, m := range f.GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	return sum
}
