package metrics

import (
	"math"
	"testing"
	"time"
)

func TestTotals(t *testing.T) {
	m := New("x")
	if got := m.Totals(); got.Refused != 0 || len(got.Routes) != 0 {
		t.Errorf("before anything: %+v", got)
	}
	for range 3 {
		m.Request("/", "GET", 200, 3*time.Millisecond, 0)
	}
	m.Request("/", "POST", 405, time.Millisecond, 0)
	m.Request("/", "GET", 500, time.Second, 0)
	m.Request(NoRoute, "GET", 404, time.Millisecond, 0)
	m.Refused("reject", "unexpected")
	m.Refused("accept", "unexpected")
	m.Evidence("honeypath")
	m.Banned("unexpected")
	m.InFlight(2)
	m.Queue("normal").Enter()

	got := m.Totals()
	if got.Refused != 2 || got.Evidence != 1 || got.Bans != 1 || got.InFlight != 2 || got.Queued != 1 {
		t.Errorf("got %+v", got)
	}
	root := got.Routes["/"]
	if root.Requests != 5 || root.ClientErrors != 1 || root.ServerErrors != 1 || root.Latency.Count() != 5 {
		t.Errorf("route /: %+v", root)
	}
	if none := got.Routes[NoRoute]; none.Requests != 1 || none.ClientErrors != 1 {
		t.Errorf("no route: %+v", none)
	}
}

func TestQuantile(t *testing.T) {
	m := New("x")
	for range 90 {
		m.Request("/", "GET", 200, 2*time.Millisecond, 0)
	}
	before := m.Totals().Routes["/"].Latency
	for range 10 {
		m.Request("/", "GET", 200, 80*time.Millisecond, 0)
	}
	m.Request("/slow", "GET", 200, time.Hour, 0)
	all := m.Totals().Routes["/"].Latency
	for _, tt := range []struct {
		name      string
		h         Histogram
		q         float64
		low, high float64 // bounds of the bucket
	}{
		{"median", all, 0.5, .001, .0025},
		{"95th", all, 0.95, .05, .1},
		{"of the later ten", all.Since(before), 0.5, .05, .1},
		{"of the earlier", before, 0.99, .001, .0025},
		{"beyond all buckets", m.Totals().Routes["/slow"].Latency, 0.5, 30, 30},
		{"of both routes", all.Plus(m.Totals().Routes["/slow"].Latency), 1, 30, 30},
		{"nothing", Histogram{}, 0.5, 0, 0},
		{"nothing new", all.Since(all), 0.5, 0, 0},
	} {
		if got := tt.h.Quantile(tt.q); got < tt.low || got > tt.high {
			t.Errorf("%s: got %v, want %v to %v", tt.name, got, tt.low, tt.high)
		}
	}
	if got, want := all.Mean(), (90*.002+10*.08)/100; math.Abs(got-want) > 1e-9 {
		t.Errorf("mean: got %v, want %v", got, want)
	}
	if got := (Histogram{}).Mean(); got != 0 {
		t.Errorf("mean of nothing: %v", got)
	}
}

func BenchmarkTotals(b *testing.B) {
	m := New("x")
	for range 1000 {
		for _, route := range []string{"/", "/user/<username>", "/login", NoRoute} {
			m.Request(route, "GET", 200, 3*time.Millisecond, 0)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Totals()
	}
}
