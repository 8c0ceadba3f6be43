package overview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/metrics"
	"github.com/flask2ban/flask2ban/routes"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func engine(t *testing.T) *ban.Engine {
	t.Helper()
	e, err := ban.New(ban.Config{BanJitter: -1})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func collector(t *testing.T, c Config) *Collector {
	t.Helper()
	if c.Engine == nil {
		c.Engine = engine(t)
	}
	got, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestNewNeedsAnEngine(t *testing.T) {
	if _, err := New(Config{}); err == nil || err.Error() != "overview without a ban engine" {
		t.Errorf("got %v", err)
	}
}

// TestSampling runs the sampler over 70 minutes of a clock that costs nothing.
func TestSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("x")
		c := collector(t, Config{Metrics: m})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Serve(ctx) }()
		synctest.Wait()
		for range 10 {
			m.Request("/", "GET", 200, 3*time.Millisecond, 0)
		}
		m.Request("/", "GET", 500, 3*time.Millisecond, 0)
		m.Request(metrics.NoRoute, "GET", 404, time.Hour, 0) // not the app's
		m.Refused("reject", "unexpected")
		m.InFlight(2)
		time.Sleep(SampleEvery)
		synctest.Wait()
		got := c.Latest()
		if got.Requests != 12/5. || got.Refused != 1/5. || got.Errors != 1/5. || got.InFlight != 2 {
			t.Errorf("got %+v", got)
		}
		if got.P50 < .0025 || got.P95 > .005 {
			t.Errorf("latency of requests that took 3 ms: %v, %v", got.P50, got.P95)
		}
		time.Sleep(70 * time.Minute)
		synctest.Wait()
		all := c.History(time.Time{})
		if len(all) != maxSamples || time.Until(all[0].At) > -59*time.Minute {
			t.Errorf("%d samples from %v on", len(all), all[0].At)
		}
		for i := range all[1:] {
			if d := all[i+1].At.Sub(all[i].At); d != SampleEvery {
				t.Fatalf("sample %d comes %v after the one before", i+1, d)
			}
		}
		if last := c.Latest(); last.Requests != 0 || last.P95 != 0 || last != all[len(all)-1] {
			t.Errorf("a quiet time: %+v", last)
		}
		if later := c.History(all[len(all)-3].At); len(later) != 2 {
			t.Errorf("got %d samples after the last but two", len(later))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNothingKnown(t *testing.T) {
	c := collector(t, Config{Now: func() time.Time { return start }})
	c.sample()
	c.sample()
	o := c.Overview(10)
	if !o.Status.Ready || o.Now != (Sample{}) || len(c.History(time.Time{})) != 0 {
		t.Errorf("got %+v", o)
	}
	if o.Clients == nil || o.Bans == nil || o.Routes == nil || o.Exceptions == nil || o.AppEvents == nil || o.Events == nil || o.Unresolved == nil {
		t.Errorf("a list is null: %+v", o)
	}
}

func project() *routes.Project {
	return &routes.Project{
		App: "app.py",
		Routes: []routes.Route{
			{Rule: "/", Methods: []string{"GET"}, Source: routes.Static, File: "app.py", Line: 3},
			{Rule: "/login", Methods: []string{"GET"}, Source: routes.Static},
			{Rule: "/login", Methods: []string{"POST"}, Source: routes.Static},
			{Rule: "/any", Methods: []string{"GET"}, Source: routes.Static},
			{Rule: "/any", Source: routes.Runtime},
		},
		Unresolved: []routes.Unresolved{{File: "x.py", Line: 3, Reason: "computed at run time", Prefix: "/admin"}},
	}
}

func TestOverview(t *testing.T) {
	m, p := metrics.New("x"), project()
	x, events := &Exceptions{}, &Events{}
	c := collector(t, Config{
		Metrics: m, Exceptions: x, Events: events, Now: func() time.Time { return start },
		Project:   func() *routes.Project { return p },
		AppState:  func() app.State { return app.State{Name: app.Restarting} },
		AppEvents: func() []app.Event { return []app.Event{{Seen: "first"}, {Seen: "second"}} },
		Ready:     func() error { return errors.New("the app is restarting") },
		Mode:      func() string { return "observe" },
		Info:      Info{App: "app.py", Mode: "enforce", Started: start.Add(-time.Minute)},
	})
	m.Request("/login", "POST", 200, 3*time.Millisecond, 0)
	m.Request("/login", "POST", 401, 3*time.Millisecond, 0)
	m.Request("/", "GET", 500, 3*time.Millisecond, 0)
	x.Add(app.Exception{Type: "ValueError", At: start})
	slog.New(events.Tee(slog.DiscardHandler)).Info("hello")
	for i := range 3 {
		client := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
		if err := c.config.Engine.Add(start, ban.Ban{Client: client, Until: start.Add(time.Duration(9-i) * time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	o := c.Overview(2)
	if o.Status.Ready || o.Status.NotReady != "the app is restarting" || o.Status.Mode != "observe" || o.Status.Instance.Name != app.Restarting || o.Status.UptimeSeconds != 60 {
		t.Errorf("status: %+v", o.Status)
	}
	if len(o.Bans) != 2 || o.BansTotal != 3 || o.Bans[0].Client.Addr() != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("bans, the first to end at the top: %d, %+v", o.BansTotal, o.Bans)
	}
	if o.ClientsTotal != 3 || len(o.Clients) != 2 || o.AppEvents[0].Seen != "second" || o.Exceptions[0].Type != "ValueError" || o.Events[0].Text != "hello" {
		t.Errorf("got %+v", o)
	}
	if o.Sums.Requests != 3 || o.Sums.Errors != 1 {
		t.Errorf("sums: %+v", o.Sums)
	}
	all := c.Routes()
	if o.RoutesTotal != 3 || len(all) != 3 || all[0].Rule != "/login" || all[0].Hits != 2 || all[0].ClientErrors != 1 || fmt.Sprint(all[0].Methods) != "[GET POST]" {
		t.Errorf("routes: %+v", all)
	}
	if all[1].ServerErrors != 1 || all[2].Methods != nil {
		t.Errorf("routes: %+v", all)
	}
}

// TestStatusSumsUpTheTable by where routes came from, and names the rule that makes
// every path valid.
func TestStatusSumsUpTheTable(t *testing.T) {
	p := project()
	p.Routes = append(p.Routes,
		routes.Route{Rule: "/metrics", Methods: []string{"GET"}, Source: routes.Runtime},
		routes.Route{Rule: "/seen", Methods: []string{"GET"}, Source: routes.Learned})
	for _, tt := range []struct {
		name       string
		rule       string // one more
		unresolved []routes.Unresolved
		want       RouteCounts
	}{
		{"complete", "/last", nil, RouteCounts{Static: 5, Runtime: 2, Learned: 1, Complete: true}},
		{"catch-all", "/<path:page>", nil, RouteCounts{Static: 5, Runtime: 2, Learned: 1, Complete: true, CatchAll: "/<path:page>"}},
		{"unresolved", "/last", []routes.Unresolved{{File: "app.py", Line: 3, Reason: "?", Prefix: "/admin"}},
			RouteCounts{Static: 5, Runtime: 2, Learned: 1, Unresolved: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			with := *p
			with.Routes = append(slices.Clone(p.Routes), routes.Route{Rule: tt.rule, Methods: []string{"GET"}, Source: routes.Static})
			with.Unresolved, with.Complete = tt.unresolved, len(tt.unresolved) == 0
			table, err := routes.NewTable(routes.TableConfig{Project: &with})
			if err != nil {
				t.Fatal(err)
			}
			c := collector(t, Config{Table: func() *routes.Table { return table }, Queue: func() Queue { return Queue{Limit: 4, InFlight: 3} }})
			st := c.Status()
			if diff := cmp.Diff(tt.want, st.Routes); diff != "" {
				t.Error(diff)
			}
			if !st.Ready || st.Instance != nil || st.Events != nil || st.Queue == nil || st.Queue.InFlight != 3 {
				t.Errorf("of a sidecar: %+v", st)
			}
		})
	}
}

// TestStatusHasTheLastEvents, the latest first, and no more than fit a screen.
func TestStatusHasTheLastEvents(t *testing.T) {
	var events []app.Event
	for n := range 2 * statusEvents {
		events = append(events, app.Event{Seen: fmt.Sprint(n)})
	}
	c := collector(t, Config{AppState: func() app.State { return app.State{Name: app.Ready} }, AppEvents: func() []app.Event { return events }})
	got := c.Status().Events
	if len(got) != statusEvents || got[0].Seen != "19" || got[statusEvents-1].Seen != "10" || events[0].Seen != "0" {
		t.Errorf("got %+v of %+v", got, events)
	}
}

func TestEventsAreTheLogsLines(t *testing.T) {
	var printed strings.Builder
	events := &Events{}
	log := slog.New(events.Tee(slog.NewTextHandler(&printed, &slog.HandlerOptions{Level: slog.LevelWarn})))
	log.Debug("not for people")
	log.Info("reload", "error", error(nil), "n", 3, "empty", "")
	log.With("client", "192.0.2.1").WithGroup("g").With("a", 1).Warn("banned", "path", "/\x1b[31m", "b", 2)
	log.Error(strings.Repeat("é", maxText))
	got := events.Recent(10)
	if len(got) != 3 || got[2].Text != "reload" || got[1].Text != "banned" || got[0].ID != 3 || got[0].Level != "error" {
		t.Fatalf("got %+v", got)
	}
	if diff := cmp.Diff([]Field{{"n", "3"}}, got[2].Fields); diff != "" {
		t.Error(diff)
	}
	want := []Field{{"client", "192.0.2.1"}, {"g.a", "1"}, {"g.path", "/\x1b[31m"}, {"g.b", "2"}}
	if diff := cmp.Diff(want, got[1].Fields); diff != "" {
		t.Error(diff)
	}
	if got[1].Get("client") != "192.0.2.1" || got[1].Get("none") != "" || got[1].Level != "warn" {
		t.Errorf("got %+v", got[1])
	}
	if n := len(got[0].Text); n > maxText+3 {
		t.Errorf("a text of %d bytes is kept", n)
	}
	if lines := strings.Count(printed.String(), "\n"); lines != 2 || strings.Contains(printed.String(), "reload") {
		t.Errorf("the log's own level was not kept: %s", printed.String())
	}
}

func TestEventsAreBounded(t *testing.T) {
	events := &Events{}
	log := slog.New(events.Tee(slog.NewTextHandler(io.Discard, nil)))
	var args []any
	for i := range 100 {
		args = append(args, fmt.Sprint("k", i), i)
	}
	for i := range 2 * maxEvents {
		log.Info(fmt.Sprint(i), args...)
	}
	got := events.Recent(10 * maxEvents)
	if len(got) != maxEvents || got[0].Text != fmt.Sprint(2*maxEvents-1) || len(got[0].Fields) != maxFields {
		t.Errorf("%d events, the last %+v", len(got), got[0])
	}
	if len(events.Recent(7)) != 7 {
		t.Error("not as many as asked for")
	}
}

func TestExceptionsByType(t *testing.T) {
	x := &Exceptions{}
	if got := x.List(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	for i := range maxTypes + 10 {
		x.Add(app.Exception{Type: fmt.Sprint("E", i), At: start.Add(time.Duration(i) * time.Second)})
	}
	x.Add(app.Exception{Type: "E7", At: start.Add(time.Hour), Message: "again", Path: strings.Repeat("x", 9999), Traceback: "T"})
	got := x.List()
	if len(got) != maxTypes+1 || got[0].Type != "E7" || got[0].Count != 2 || got[0].Last.Message != "again" || got[0].Last.Traceback != "T" {
		t.Errorf("%d types, first %+v", len(got), got[0])
	}
	if got[1].Type != OtherType || got[1].Count != 10 {
		t.Errorf("those beyond the bound: %+v", got[1])
	}
	if !got[0].First.Equal(start.Add(7*time.Second)) || len(got[0].Last.Path) > maxText+3 {
		t.Errorf("got %+v", got[0])
	}
}
