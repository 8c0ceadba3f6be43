package store

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/store/redistest"
)

// trips counts a client's round trips: one for each command or pipeline.
type trips struct{ n atomic.Int64 }

func (c *trips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (c *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmd)
	}
}

func (c *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		c.n.Add(1)
		return next(ctx, cmds)
	}
}

// counted opens a store whose round trips are counted, with its script loaded.
func counted(tb testing.TB, url string) (ban.Store, *trips) {
	st, c := open(tb, url, ""), &trips{}
	save(tb, st, banned("192.0.2.1/32"))
	st.(*shared).client.AddHook(c)
	return st, c
}

// TestRedisOneRoundTripPerBatch: however many records there are.
func TestRedisOneRoundTripPerBatch(t *testing.T) {
	st, c := counted(t, redistest.Start(t).URL())
	defer closeStore(t, st)
	for _, n := range []int{1, redisChunk, redisChunk + 1, 4096} {
		before := c.n.Load()
		save(t, st, manyBans(n)...)
		if got := c.n.Load() - before; got != 1 {
			t.Errorf("%d records took %d round trips, want 1", n, got)
		}
	}
	before := c.n.Load()
	if got := len(load(t, st)); got != 4097 || c.n.Load()-before != 4097/redisPage+3 {
		t.Errorf("loading 4097 records (got %d) took %d round trips, want %d", got, c.n.Load()-before, 4097/redisPage+3)
	}
	for range 2 { // the first loads the script
		st.(*shared).last = 0
		before = c.n.Load()
		if err := st.(*shared).catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pages := c.n.Load() - before
	before = c.n.Load()
	if err := st.(*shared).catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.n.Load() - before; got != 1 || pages != 4097/redisPage+1 {
		t.Errorf("reading 4097 changes took %d round trips, none %d; want %d and 1", pages, got, 4097/redisPage+1)
	}
}

// TestRedisScriptIsLoadedAgain: a server that was restarted has forgotten it.
func TestRedisScriptIsLoadedAgain(t *testing.T) {
	server := redistest.Start(t)
	st, c := counted(t, server.URL())
	defer closeStore(t, st)
	if err := connect(t, server).ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	save(t, st, banned("192.0.2.2/32"))
	if got := c.n.Load(); got != 3 {
		t.Errorf("%d round trips, want 3: tried, loaded, saved", got)
	}
	equal(t, load(t, st), []ban.Record{banned("192.0.2.1/32"), banned("192.0.2.2/32")})
}

func BenchmarkRedisLoad100k(b *testing.B) {
	url := redistest.Start(b).URL()
	st := open(b, url, "")
	records := manyBans(100_000)
	began := time.Now()
	for part := records; len(part) > 0; part = part[min(len(part), 4096):] {
		save(b, st, part[:min(len(part), 4096)]...)
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms-to-save")
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	records = nil
	runtime.GC()
	var cpu time.Duration
	for b.Loop() {
		before := cpuTime(b)
		restored(b, url, "")
		cpu += cpuTime(b) - before
	}
	b.ReportMetric(float64(cpu.Milliseconds())/float64(b.N), "cpu-ms/op")
}

// BenchmarkRedisBanKnownToAll is how long a ban of one instance takes until two
// others enforce it: they must within a second.
func BenchmarkRedisBanKnownToAll(b *testing.B) {
	all := three(b, redistest.Start(b).URL())
	for n := 0; b.Loop(); n++ {
		client := fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255)
		all[n%3].add(client + "/32")
		until(b, "banned by all", everyone(all, func(m *member) bool { return m.bans(client) }))
	}
}

func BenchmarkRedisSave(b *testing.B) {
	for _, n := range []int{1, 100, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			st, c := counted(b, redistest.Start(b).URL())
			records := manyBans(n)
			before := c.n.Load()
			for b.Loop() {
				save(b, st, records...)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/record")
			b.ReportMetric(float64(c.n.Load()-before)/float64(b.N), "trips/op")
			if err := st.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
