package ban

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// flaky is a store that fails when told to, and remembers when it was used.
type flaky struct {
	mu      sync.Mutex
	records mapStore
	err     error
	saves   []int
	attempt int
	block   chan struct{} // when not nil, saves wait for it
}

func newFlaky() *flaky { return &flaky{records: mapStore{}} }

func (f *flaky) Load(ctx context.Context, each func(Record) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	return f.records.Load(ctx, each)
}

func (f *flaky) Save(ctx context.Context, records []Record) error {
	if f.block != nil {
		<-f.block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempt++
	if f.err != nil {
		return f.err
	}
	f.saves = append(f.saves, len(records))
	return f.records.Save(ctx, records)
}

func (f *flaky) Close() error { return nil }

func (f *flaky) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *flaky) has(client string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.records[prefix(client)]
	return ok
}

func (f *flaky) attempts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.attempt
}

// serve runs Serve in the bubble and returns how to end it.
func serve(t *testing.T, e *Engine, st Store) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(ctx, st) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ended
	}
}

func (e *Engine) offend(client string, v Evidence) Outcome {
	return e.Observe(start, Observation{Client: prefix(client), Evidence: &v})
}

func TestBansAreSavedAtOnceAndScoresWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, st := newEngine(t, Config{}), newFlaky()
		stop := serve(t, e, st)
		e.offend("192.0.2.1/32", Evidence{Kind: UnexpectedPath, Path: "/a"})
		synctest.Wait()
		if st.has("192.0.2.1/32") {
			t.Error("a score was saved at once")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !st.has("192.0.2.1/32") {
			t.Error("a score was not saved within a second")
		}
		e.offend("192.0.2.2/32", Evidence{Kind: Honeypath, Path: "/.env"})
		synctest.Wait()
		if !st.has("192.0.2.2/32") {
			t.Error("a ban was not saved at once")
		}
		e.Remove(start, prefix("192.0.2.2/32"))
		synctest.Wait()
		if st.has("192.0.2.2/32") {
			t.Error("an unban was not saved at once")
		}
		if err := e.Add(start, Ban{Client: prefix("198.51.100.0/24")}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !st.has("198.51.100.0/24") {
			t.Error("a network's ban was not saved at once")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRestartKeepsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, st := newEngine(t, Config{BanJitter: -1}), newFlaky()
		stop := serve(t, e, st)
		e.offend("192.0.2.1/32", Evidence{Kind: Honeypath, Path: "/.env"})
		e.offend("192.0.2.2/32", Evidence{Kind: UnexpectedPath, Path: "/a"})
		if err := e.Add(start, Ban{Client: prefix("2001:db8::/32"), Until: start.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		for i := range 25 {
			e.offend("192.0.2.3/32", Evidence{Kind: UnexpectedPath, Soft: true, Path: fmt.Sprint("/", i)})
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		again := newEngine(t, Config{BanJitter: -1})
		if err := again.Restore(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		if got, want := again.Bans(start), e.Bans(start); !slices.Equal(got, want) || len(want) != 2 {
			t.Errorf("bans: got %+v, want %+v", got, want)
		}
		for client, score := range map[string]float64{"192.0.2.2/32": 1, "192.0.2.3/32": 25} {
			if x := again.Why(start, prefix(client)); x.Score != score {
				t.Errorf("%s: score %v, want %v", client, x.Score, score)
			}
		}
		if x := again.Why(start, prefix("192.0.2.1/32")); len(x.Evidence) != 1 || x.Bans != 1 {
			t.Errorf("the evidence behind the ban: %+v", x)
		}
	})
}

func TestObservedBansEndWithObserveMode(t *testing.T) {
	st := newFlaky()
	e := newEngine(t, Config{Observe: true})
	e.offend("192.0.2.1/32", Evidence{Kind: Honeypath, Path: "/.env"})
	_, records := e.collect()
	if err := st.Save(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	for observe, want := range map[bool]int{true: 1, false: 0} {
		again := newEngine(t, Config{Observe: observe})
		if err := again.Restore(t.Context(), st); err != nil {
			t.Fatal(err)
		}
		if got := len(again.Bans(start)); got != want {
			t.Errorf("observe %v: %d bans, want %d", observe, got, want)
		}
	}
}

func TestFlushWaitsForTheSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, st := newEngine(t, Config{}), newFlaky()
		st.block = make(chan struct{})
		stop := serve(t, e, st)
		e.offend("192.0.2.1/32", Evidence{Kind: Honeypath, Path: "/.env"})
		flushed := make(chan error, 50)
		for range 50 {
			go func() { flushed <- e.Flush(t.Context()) }()
		}
		synctest.Wait()
		if len(flushed) != 0 {
			t.Fatal("Flush returned before the store had saved")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a deadline: %v", err)
		}
		close(st.block)
		for range 50 {
			if err := <-flushed; err != nil {
				t.Error(err)
			}
		}
		if !st.has("192.0.2.1/32") || st.attempts() > 2 {
			t.Errorf("saved %v, in %d batches", st.has("192.0.2.1/32"), st.attempts())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestStoreThatFailsIsRetriedAndNothingLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []error
		e, st := newEngine(t, Config{StoreError: func(err error) { reports = append(reports, err) }}), newFlaky()
		stop := serve(t, e, st)
		full := errors.New("no space left on device")
		st.fail(full)
		for i := range 5000 {
			client := address(i)
			e.Observe(start, Observation{Client: client, Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}})
		}
		if err := e.Flush(t.Context()); !errors.Is(err, full) {
			t.Errorf("flush: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := st.attempts(); n < 5 || n > 20 {
			t.Errorf("%d attempts in a minute, want a few", n)
		}
		if len(e.Bans(start)) != 5000 || len(reports) == 0 || reports[len(reports)-1] == nil {
			t.Errorf("%d bans in force, reports %v", len(e.Bans(start)), reports)
		}
		st.fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(st.records); n != 5000 {
			t.Errorf("%d bans were saved in the end, want 5000", n)
		}
		if reports[len(reports)-1] != nil {
			t.Error("that it works again was not reported")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestServeReportsTheLastSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, st := newEngine(t, Config{}), newFlaky()
		stop := serve(t, e, st)
		st.fail(errors.New("gone"))
		e.offend("192.0.2.1/32", Evidence{Kind: UnexpectedPath, Path: "/a"})
		if err := stop(); err == nil || err.Error() != "ban: save: gone" {
			t.Errorf("got %v", err)
		}
	})
}

func TestFlushWithoutServe(t *testing.T) {
	e := newEngine(t, Config{})
	if err := e.Flush(t.Context()); err != nil {
		t.Errorf("nothing to save: %v", err)
	}
	e.offend("192.0.2.1/32", Evidence{Kind: Honeypath, Path: "/.env"})
	for range 2 {
		if err := e.Flush(t.Context()); !errors.Is(err, ErrNotServing) {
			t.Errorf("a ban to save: %v", err)
		}
	}
}

func TestServeTwiceAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, st := newEngine(t, Config{}), newFlaky()
		stop := serve(t, e, st)
		if err := e.Serve(t.Context(), st); err == nil || err.Error() != "ban: the engine is served already" {
			t.Errorf("second Serve: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := serve(t, e, st)(); err != nil {
			t.Errorf("after the first ended: %v", err)
		}
	})
}

func TestLoadErrors(t *testing.T) {
	e, st := newEngine(t, Config{}), newFlaky()
	st.fail(errors.New("unreadable"))
	if err := e.Serve(t.Context(), st); err == nil || err.Error() != "ban: load from store: unreadable" {
		t.Errorf("got %v", err)
	}
	if err := e.Restore(t.Context(), mapStore{prefix("192.0.2.1/32"): {}}); err == nil {
		t.Error("a record without a client was accepted")
	}
}

// TestSlowStoreBoundsTheQueue: what waits to be saved never grows beyond a
// bound, whoever floods.
func TestSlowStoreBoundsTheQueue(t *testing.T) {
	e := newEngine(t, Config{MaxClients: 2000})
	for i := range 200_000 {
		kind := UnexpectedPath
		if i%2 == 0 {
			kind = Honeypath
		}
		e.Observe(start, Observation{Client: address(i), Evidence: &Evidence{Kind: kind, Path: "/.env"}})
	}
	if s := e.Stats(start); s.Unsaved > s.Dossiers {
		t.Errorf("%d records wait to be saved of %d clients with any", s.Unsaved, s.Dossiers)
	}
}
