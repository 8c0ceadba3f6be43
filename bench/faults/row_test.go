package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

func TestPosted(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	if err := os.WriteFile(ran, []byte("p0\np5\np5\np10\np20\np99\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := newResult()
	r.posts = map[string]int{
		"p0":  200, // as it ought to be
		"p5":  200, // ran twice, whatever it was answered
		"p10": 502, // begun, then lost
		"p15": 503, // never begun
		"p20": 0,   // begun, and no answer
		"p25": 0,   // nothing at all
		"p30": 200, // an answer, but the view has not run
	}
	if got, want := r.posted(ran), (posted{sent: 7, unreadLost: 3, readLost: 2, twice: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := r.posted(filepath.Join(t.TempDir(), "none")), (posted{sent: 7, unreadLost: 7}); got != want {
		t.Errorf("where none ran: got %+v, want %+v", got, want)
	}
}

func TestLearn(t *testing.T) {
	at := time.Now()
	event := func(after time.Duration, kind app.EventKind, seen string) app.Event {
		return app.Event{At: at.Add(after), Kind: kind, Seen: seen, Done: "done for " + seen}
	}
	var r row
	r.learn([]app.Event{ // the latest first
		event(9*time.Second, app.Killed, "the second"), event(3*time.Second, app.Served, "ready"), event(2500*time.Millisecond, app.Scaled, "one more"),
		event(2*time.Second, app.Hung, "the first"), event(time.Second, app.Noted, "a note"), event(-time.Second, app.Crashed, "before"),
	}, at)
	if r.events != 2 || r.seen != 2*time.Second || r.saw != "the first" || r.action != "done for the first" {
		t.Errorf("%+v", r)
	}
	r = row{}
	if r.learn(nil, at); r.events != 0 || r.seen != 0 {
		t.Errorf("of nothing: %+v", r)
	}
}

func TestVerdict(t *testing.T) {
	whole := func(change func(*row)) row {
		r := row{result: newResult(), posts: posted{sent: 10}}
		r.result.gets = 50
		change(&r)
		return r
	}
	for name, tt := range map[string]struct {
		row  row
		want string
	}{
		"nothing wrong":         {whole(func(*row) {}), "ok"},
		"begun POSTs are lost":  {whole(func(r *row) { r.posts.readLost = 2 }), "ok"},
		"GETs lost":             {whole(func(r *row) { r.result.getsLost = 3 }), "**3 GETs lost**"},
		"several":               {whole(func(r *row) { r.result.getsLost, r.posts.unreadLost, r.posts.twice = 1, 2, 3 }), "**1 GETs lost, 2 unread POSTs lost, 3 POSTs ran twice**"},
		"busy":                  {whole(func(r *row) { r.test.busy, r.result.getsLost, r.posts.unreadLost = true, 40, 8 }), "ok"},
		"busy, but run twice":   {whole(func(r *row) { r.test.busy, r.posts.twice = true, 1 }), "**1 POSTs ran twice**"},
		"seen in time":          {whole(func(r *row) { r.test.within, r.seen, r.events = time.Second, time.Second, 1 }), "ok"},
		"seen late":             {whole(func(r *row) { r.test.within, r.seen, r.events = time.Second, 1100*time.Millisecond, 1 }), "**not seen within 1s**"},
		"never seen":            {whole(func(r *row) { r.test.within = time.Second }), "**not seen**"},
		"no demand":             {whole(func(r *row) { r.seen, r.events = time.Minute, 1 }), "ok"},
		"calm":                  {whole(func(r *row) { r.test.calm = true }), "ok"},
		"calm, but acted on":    {whole(func(r *row) { r.test.calm, r.events = true, 1 }), "**it was acted on though nothing was wrong**"},
		"the fault went wrong":  {whole(func(r *row) { r.failed = errors.New("no such process") }), "**no such process**"},
		"processes left":        {whole(func(r *row) { r.left = errors.New("processes left: [7 8]") }), "**processes left: [7 8]**"},
		"not to be had":         {whole(func(r *row) { r.failed = fmt.Errorf("x is %w", errUnavailable) }), "not run"},
		"it could not be begun": {row{err: errors.New("port taken\nat last")}, "**port taken at last**"},
	} {
		if got := tt.row.verdict(); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
		if n, want := strings.Count(tt.row.String(), "|"), strings.Count(header, "|")/2; n != want {
			t.Errorf("%s: %d bars, want %d: %s", name, n, want, tt.row)
		}
	}
}

func TestShort(t *testing.T) {
	bad := row{err: errors.New("bad")}
	ok := row{result: newResult()}
	missing := row{failed: errUnavailable, result: newResult()}
	if got := short([]row{bad, ok, missing, bad}); got != 2 {
		t.Errorf("%d fall short, want 2", got)
	}
}

func TestRow(t *testing.T) {
	r := row{
		test: test{name: "kill"}, result: newResult(), posts: posted{sent: 20, readLost: 1}, events: 1, seen: 1234 * time.Millisecond,
		saw: "it ended\n(a|b)", action: "start it again", note: "10 kills",
	}
	r.result.gets, r.result.slowest = 100, 2500*time.Millisecond
	if got, want := r.String(), `| kill | 100 | 0 | 20 | 0 | 1 | 0 | 2.5 s | 1.2 s | it ended (a\|b) | start it again; 10 kills | ok |`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r.test.busy, r.result.getsLost, r.events, r.action, r.saw = true, 7, 0, "", ""
	if got, want := r.String(), `| kill | 100 | (7) | 20 | (0) | 1 | 0 | 2.5 s | - |  | 10 kills | ok |`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := oneLine(strings.Repeat("é", 300)); got != strings.Repeat("é", 200)+"..." {
		t.Errorf("a long text became %q", got)
	}
}

// TestDocument: what it says of the run is what the flags said.
func TestDocument(t *testing.T) {
	survive := row{test: test{name: "a fault"}, result: newResult()}
	calm := row{test: test{name: "no fault", calm: true}, result: newResult()}
	o := options{warm: 4 * time.Second, after: 11 * time.Second, calm: 7 * time.Minute, gets: 50, calmGets: 20, only: regexp.MustCompile("")}
	page := document(t.Context(), []row{survive, calm}, o, 90*time.Second)
	for _, want := range []string{
		"in 1m30s", "within\n1m30s", "under 50 GETs and 10 POSTs a second from 40 addresses: for 4s before the fault, and 11s after",
		"each under 20 GETs and 4 POSTs a second, for 7m0s", "\n| a fault | ", "\n| no fault | ", "Linux ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Index(page, "| a fault |") > strings.Index(page, "## Must not be restarted") {
		t.Errorf("the rows are under the wrong heads:\n%s", page)
	}
	if page := document(t.Context(), []row{survive}, o, 0); strings.Contains(page, "Must not be restarted") {
		t.Errorf("a run without calm cases tells of them:\n%s", page)
	}
}

func TestReason(t *testing.T) {
	for _, tt := range []struct {
		status int
		err    error
		want   string
	}{
		{503, nil, "GET: status 503"},
		{0, errors.New(`Get "http://127.0.0.1:1/": read tcp 127.77.0.1:3->127.0.0.1:1: connection reset by peer`), "GET: connection reset by peer"},
		{0, errors.New(`Get "http://127.0.0.1:1/": EOF`), `GET: Get "http://127.0.0.1:1/": EOF`},
	} {
		if got := reason("GET", tt.status, tt.err); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
