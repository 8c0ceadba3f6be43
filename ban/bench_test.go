package ban

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// start is the time at which tests begin.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// address returns the n-th of 2^32 different clients, spread over the space.
func address(n int) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n)*2654435761)
	return netip.PrefixFrom(netip.AddrFrom4(b), 32)
}

const million = 1_000_000

func newEngine(tb testing.TB, c Config) *Engine {
	tb.Helper()
	e, err := New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// populate has n clients use the app.
func populate(e *Engine, n int) {
	for i := range n {
		e.Observe(start, Observation{Client: address(i), Known: true, Found: true, Status: 200, Route: "/"})
	}
}

// liveBytes is what the heap holds after a collection.
func liveBytes() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func BenchmarkAdmitUnsuspicious1M(b *testing.B) {
	e := newEngine(b, Config{})
	populate(e, million)
	benchParallel(b, func(i int) {
		e.Admit(start, Request{Client: address(i % million), Known: true, Route: "/", Method: "GET"})
	})
}

func BenchmarkAdmitUnknownClient1M(b *testing.B) {
	e := newEngine(b, Config{})
	populate(e, million)
	benchParallel(b, func(i int) { e.Admit(start, Request{Client: address(million + i)}) })
}

func BenchmarkAdmitBanned(b *testing.B) {
	e := newEngine(b, Config{})
	for i := range 100_000 {
		e.Observe(start, Observation{Client: address(i), Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}})
	}
	benchParallel(b, func(i int) {
		if !e.Admit(start, Request{Client: address(i % 100_000)}).Refused() {
			b.Fail()
		}
	})
}

func BenchmarkAdmitUnderNetworkBans(b *testing.B) {
	e := newEngine(b, Config{})
	populate(e, million)
	for i := range 1000 {
		ban := Ban{Client: netip.PrefixFrom(address(i).Addr(), 24)}
		if err := e.Add(start, ban); err != nil {
			b.Fatal(err)
		}
	}
	benchParallel(b, func(i int) { e.Admit(start, Request{Client: address(i % million), Known: true}) })
}

func BenchmarkAdmitSuspect(b *testing.B) {
	e := newEngine(b, Config{})
	for i := range 10_000 {
		for _, path := range []string{"/a", "/b", "/c"} {
			e.Observe(start, Observation{Client: address(i), Evidence: &Evidence{Kind: UnexpectedPath, Path: path}})
		}
	}
	benchParallel(b, func(i int) {
		now := start.Add(time.Duration(i) * time.Microsecond)
		e.Waited(now, e.Admit(now, Request{Client: address(i % 10_000), Known: true}), false)
	})
}

func BenchmarkObserveFound1M(b *testing.B) {
	e := newEngine(b, Config{})
	populate(e, million)
	benchParallel(b, func(i int) {
		e.Observe(start, Observation{Client: address(i % million), Known: true, Found: true, Status: 200, Route: "/"})
	})
}

func BenchmarkObserveEvidence(b *testing.B) {
	e := newEngine(b, Config{MaxRetry: 1e9})
	populate(e, million)
	var paths [64]string
	for i := range paths {
		paths[i] = "/probe/" + strconv.Itoa(i)
	}
	benchParallel(b, func(i int) {
		now := start.Add(time.Duration(i) * time.Microsecond)
		e.Observe(now, Observation{Client: address(i % 10_000), Evidence: &Evidence{Kind: UnexpectedPath, Path: paths[i/10_000%64]}})
	})
}

// BenchmarkObserveFlood is a flood of addresses never seen before into a full
// engine: each has to evict another.
func BenchmarkObserveFlood(b *testing.B) {
	e := newEngine(b, Config{MaxClients: 100_000})
	populate(e, 100_000)
	benchParallel(b, func(i int) {
		e.Observe(start, Observation{Client: address(million + i), Known: true, Found: true, Route: "/"})
	})
}

// benchParallel runs f on all cores, with a number that grows.
func benchParallel(b *testing.B, f func(i int)) {
	b.Helper()
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	defer func() { b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(pb *testing.PB) {
		for i := int(next.Add(1)) * 7919; pb.Next(); i += 104729 {
			f(i)
		}
	})
}

// BenchmarkFlood10M has 10 million addresses never seen before probe and use an
// engine of the default size that is full and has 1000 bans.
func BenchmarkFlood10M(b *testing.B) {
	base := liveBytes()
	e := newEngine(b, Config{})
	for i := range 1000 {
		e.Observe(start, Observation{Client: address(i), Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}})
	}
	populate(e, million)
	full := liveBytes() - base
	quiet := admitTime(b, e)
	for b.Loop() {
		for i := range 10 * million {
			o := Observation{Client: address(million + i), Found: true, Route: "/"}
			if i%2 == 0 {
				o.Found, o.Evidence = false, &Evidence{Kind: UnexpectedPath, Method: "GET", Path: "/wp-login.php"}
			}
			e.Observe(start, o)
		}
	}
	b.ReportMetric(float64(full)/1e6, "MB-full")
	b.ReportMetric(float64(liveBytes()-base)/1e6, "MB-after")
	b.ReportMetric(float64(len(e.Bans(start))), "bans-of-1000")
	b.ReportMetric(quiet, "admit-ns-before")
	b.ReportMetric(admitTime(b, e), "admit-ns-after")
}

// admitTime is the CPU time of one Admit, in nanoseconds.
func admitTime(tb testing.TB, e *Engine) float64 {
	tb.Helper()
	before := cpuTime(tb)
	for i := range million {
		e.Admit(start, Request{Client: address(i), Known: true, Route: "/", Method: "GET"})
	}
	return float64(cpuTime(tb)-before) / million
}

// cpuTime is what the process has used so far: on a machine with other work it
// says more than the clock does.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMemory1M reports what a client takes: well-behaved ones, and a
// million that all probe.
func BenchmarkMemory1M(b *testing.B) {
	for name, fill := range map[string]func(*Engine){
		"good": func(e *Engine) { populate(e, million) },
		"probing": func(e *Engine) {
			for i := range million {
				e.Observe(start, Observation{Client: address(i), Evidence: &Evidence{
					Kind: UnexpectedPath, Method: "GET", Path: "/wp-content/plugins/" + strconv.Itoa(i), RequestID: strconv.Itoa(i),
				}})
			}
		},
		"banned": func(e *Engine) {
			for i := range million {
				e.Observe(start, Observation{Client: address(i), Evidence: &Evidence{Kind: Honeypath, Method: "GET", Path: "/.env"}})
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			var e *Engine
			before := liveBytes()
			for b.Loop() {
				e = newEngine(b, Config{})
				fill(e)
			}
			taken := liveBytes() - before
			stats := e.Stats(start)
			b.ReportMetric(float64(taken)/1e6, "MB")
			b.ReportMetric(float64(taken)/float64(stats.Clients), "B/client")
			b.ReportMetric(float64(stats.Bytes)/1e6, "MB-estimated")
			b.ReportMetric(float64(stats.Banned), "banned")
			b.ReportMetric(float64(stats.Dossiers), "dossiers")
		})
	}
}
