package metrics

import (
	"testing"
	"time"
)

// BenchmarkRequest is what metrics cost one request, all in all.
func BenchmarkRequest(b *testing.B) {
	m := New("x")
	b.ReportAllocs()
	for b.Loop() {
		m.InFlight(1)
		m.Request("/user/<username>", "GET", 200, 3*time.Millisecond, 80*time.Microsecond)
		m.InFlight(-1)
	}
}

// BenchmarkRoute is the same where the route's collectors are kept beside it.
func BenchmarkRoute(b *testing.B) {
	m := New("x")
	r := m.Route("/user/<username>")
	b.ReportAllocs()
	for b.Loop() {
		m.InFlight(1)
		r.Done("GET", 200, 3*time.Millisecond, 80*time.Microsecond)
		m.InFlight(-1)
	}
}

func BenchmarkRequestParallel(b *testing.B) {
	m := New("x")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Request("/user/<username>", "GET", 200, 3*time.Millisecond, 80*time.Microsecond)
		}
	})
}

func BenchmarkRefused(b *testing.B) {
	m := New("x")
	b.ReportAllocs()
	for b.Loop() {
		m.Refused("reject", "unexpected")
	}
}

// The hot path allocates nothing.
func TestNoAllocation(t *testing.T) {
	m := New("x")
	q := m.Queue("normal")
	for name, call := range map[string]func(){
		"request":  func() { m.Request("/user/<username>", "GET", 200, time.Millisecond, 0) },
		"flight":   func() { m.InFlight(1) },
		"evidence": func() { m.Evidence("unexpected_path") },
		"refused":  func() { m.Refused("reject", "unexpected") },
		"queue":    func() { q.Enter(); q.Leave(time.Millisecond) },
	} {
		call()
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}
