package app

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flask2ban/flask2ban/routes"
)

func TestBackoff(t *testing.T) {
	middle := func() float64 { return 0.5 } // no jitter
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	type step struct {
		after, healthy time.Duration
		wait           time.Duration
		loop           bool
	}
	cases := map[string][]step{
		"at once, then slower": {
			{0, 0, 0, false}, {20 * time.Second, 0, 500 * time.Millisecond, false}, {20 * time.Second, 0, time.Second, false},
			{20 * time.Second, 0, 2 * time.Second, false}, {20 * time.Second, 0, 4 * time.Second, false},
			{20 * time.Second, 0, 8 * time.Second, false}, {20 * time.Second, 0, 16 * time.Second, false},
			{20 * time.Second, 0, 30 * time.Second, false}, {20 * time.Second, 0, 30 * time.Second, false},
		},
		"five in a minute are a loop, until healthy": {
			{0, 0, 0, false}, {time.Second, 0, 500 * time.Millisecond, false}, {time.Second, 0, time.Second, false},
			{time.Second, 0, 2 * time.Second, false}, {time.Second, 0, 30 * time.Second, true},
			{30 * time.Second, 0, 30 * time.Second, true}, {10 * time.Minute, 0, 30 * time.Second, true},
			{time.Hour, 59 * time.Second, 30 * time.Second, true}, {time.Hour, time.Minute, 0, false},
		},
		"health forgets": {
			{0, 0, 0, false}, {time.Second, 0, 500 * time.Millisecond, false},
			{2 * time.Minute, 90 * time.Second, 0, false}, {time.Second, 0, 500 * time.Millisecond, false},
		},
	}
	for name, steps := range cases {
		b, at := &backoff{random: middle}, now
		for n, s := range steps {
			at = at.Add(s.after)
			if wait, loop := b.failed(at, s.healthy, false); wait != s.wait || loop != s.loop {
				t.Errorf("%s, step %d: got %s %t, want %s %t", name, n, wait, loop, s.wait, s.loop)
			}
		}
	}
}

func TestBackoffJitter(t *testing.T) {
	for _, c := range []struct {
		random float64
		want   time.Duration
	}{{0, 24 * time.Second}, {0.5, 30 * time.Second}, {1, 36 * time.Second}} {
		b := &backoff{random: func() float64 { return c.random }}
		if got := b.jitter(maxDelay).Round(time.Millisecond); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestParseStat(t *testing.T) {
	cases := []struct {
		stat string
		want process
		ok   bool
	}{
		{"7 (python3) S 1 7 6 0 -1", process{pid: 7, parent: 1, group: 7, state: 'S'}, true},
		{"7 (a ) Z 9 (b) R 3 2 5 0", process{pid: 7, parent: 3, group: 2, state: 'R'}, true},
		{"7 python3 S 1", process{}, false},
		{"7 (x) S", process{}, false},
		{"7 (x) S a b c", process{}, false},
		{"", process{}, false},
	}
	for _, c := range cases {
		if got, ok := parseStat(7, []byte(c.stat)); got != c.want || ok != c.ok {
			t.Errorf("%q: got %+v %t", c.stat, got, ok)
		}
	}
}

func TestDescendants(t *testing.T) {
	list := []process{{pid: 5, parent: 4}, {pid: 4, parent: 3}, {pid: 3, parent: 1}, {pid: 6, parent: 3, state: 'Z'}, {pid: 7, parent: 6}, {pid: 8, parent: 2}, {pid: 1, parent: 1}}
	got := descendants(list, 3)
	slices.Sort(got)
	if want := []int{4, 5, 7}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEscapeControls(t *testing.T) {
	for in, want := range map[string]string{
		"plain \t text ü ":  "plain \t text ü ",
		"a\x1b[2Jb\rc\x00":  `a\x1b[2Jb\x0dc\x00`,
		"bad \xff utf8":     `bad \xff utf8`,
		"bidi \u202e x":     `bidi \u202e x`,
		"sep \u2028 \u0085": `sep \u2028 \x85`,
		"real \ufffd":       "real \ufffd",
	} {
		if got := escapeControls(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestOutputIsMarkedAndBounded(t *testing.T) {
	var out bytes.Buffer
	var lines []string
	o := &output{to: &lineWriter{w: &out}, mark: "app[7] | ", each: func(l string) { lines = append(lines, l) }, hide: isRequestLine}
	o.read(strings.NewReader("one\r\n\x1b[31m\x1b[1mtwo\x1b[0m\n" +
		"127.0.0.1 - - [22/Nov/2026 22:22:24] \"GET / HTTP/1.1\" 200 -\n" +
		strings.Repeat("x", 3*maxLine) + "\nlast"))
	want := "app[7] | one\napp[7] | two\napp[7] | " + strings.Repeat("x", maxLine) + " [... cut]\napp[7] | last\n"
	if got := out.String(); got != want {
		t.Errorf("got %.200q", got)
	}
	if len(lines) != 5 {
		t.Errorf("got %d lines", len(lines))
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	var tail tail
	for i := range 50 {
		tail.add(fmt.Sprint(i, strings.Repeat("y", 2*tailLine)))
	}
	got := tail.last()
	if len(got) != tailLines || !strings.HasPrefix(got[0], "30") || len(got[0]) != tailLine+3 {
		t.Errorf("got %d lines, first %.20s", len(got), got[0])
	}
}

func TestParseLog(t *testing.T) {
	cases := []struct {
		line string
		kind logLine
		want string
	}{
		{`127.0.0.1 - - [22/Nov/2026 22:22:24] "GET /user/x HTTP/1.1" 500 -`, requestLine, "GET /user/x 500"},
		{`2001:db8::1 - bob [22/Nov/2026:22:22:24 +0000] "POST /a?b=c HTTP/1.0" 404 232 "-" "curl"`, requestLine, "POST /a?b=c 404"},
		{`INFO:werkzeug:127.0.0.1 - - [22/Nov/2026 22:22:24] "GET / HTTP/1.1" 200 -`, requestLine, "GET / 200"},
		{`::1 - - [2026-11-22 22:22:24] "GET / HTTP/1.1" 200 123 0.000123`, requestLine, "GET / 200"},
		{`[2026-11-22 22:22:24,123] ERROR in app: Exception on /user/x [GET]`, errorLine, "GET /user/x "},
		{`ERROR:app:Exception on /a b [POST]`, errorLine, "POST /a b "},
		{`[2026-11-22 22:22:24 +0000] [7] [ERROR] Error handling request /x?y=1`, errorLine, " /x?y=1 "},
		{`[2026-11-22 22:22:24 +0000] [7] [ERROR] Exception in worker process`, errorLine, "  "},
		{`ERROR:waitress:Exception while serving /x`, errorLine, " /x "},
		{`Error on request:`, errorLine, "  "},
		{`a view prints "GET / HTTP/1.1" itself`, otherLine, "  "},
		{`Exception on the way`, otherLine, "  "},
	}
	for _, c := range cases {
		kind, parts := parseLog(c.line)
		if got := strings.Join([]string{parts["method"], parts["path"], parts["status"]}, " "); kind != c.kind || got != c.want {
			t.Errorf("%s: got %d %q, want %d %q", c.line, kind, got, c.kind, c.want)
		}
	}
}

// tracebackCases are logs and the exceptions in them, as "type|message|method path".
var tracebackCases = []struct{ name, log, want string }{
	{"flask", `[2026-11-22 22:22:24,123] ERROR in app: Exception on /user/x [GET]
Traceback (most recent call last):
  File "app.py", line 3, in f
    g()
    ^^^
LookupError: no such user: x
127.0.0.1 - - [22/Nov/2026 22:22:24] "GET /user/x HTTP/1.1" 500 -`, "LookupError|no such user: x|GET /user/x"},
	{"chain", `Traceback (most recent call last):
  File "a.py", line 1, in f
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in f
sqlalchemy.exc.OperationalError: (x) y
next`, "sqlalchemy.exc.OperationalError|(x) y| "},
	{"no message, end of stream", "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nKeyboardInterrupt", "KeyboardInterrupt|| "},
	{"two in a row", "Traceback (most recent call last):\n  File \"a\"\nA: 1\nTraceback (most recent call last):\n  File \"a\"\nB: 2\n", "A|1| ;B|2| "},
	{"a logger's prefix", "Exception in thread Thread-1 (f):\nTraceback (most recent call last):\n  File \"a\"\n__main__.Odd: x\n", "Odd|x| "},
	{"gunicorn", "[2026-11-22 22:22:24 +0000] [7] [ERROR] Error handling request /x\nTraceback (most recent call last):\n  File \"a\"\nValueError\nafter", "ValueError|| /x"},
	{"not a traceback", "Traceback (most recent call last):\n  File \"a\"\nwhat is this?\n", ""},
	{"the header is not kept for another", "x: Exception on /a [GET]\nsome text\nTraceback (most recent call last):\n  File \"a\"\nA: 1\n\n127.0.0.1 - - [22/Nov/2026 22:22:24] \"GET /a HTTP/1.1\" 500 -\nTraceback (most recent call last):\n  File \"a\"\nB: 2\n", "A|1|GET /a;B|2| "},
}

func TestTracebacks(t *testing.T) {
	for _, c := range tracebackCases {
		var got []string
		reader := &tracebackReader{now: time.Now, report: func(e Exception) {
			got = append(got, e.Type+"|"+e.Message+"|"+e.Method+" "+e.Path)
			if !strings.HasPrefix(e.Traceback, "Traceback (most recent call last):\n") {
				t.Errorf("%s: traceback %q", c.name, e.Traceback)
			}
		}}
		for line := range strings.SplitSeq(c.log, "\n") {
			reader.line(line)
		}
		reader.close()
		if strings.Join(got, ";") != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestTracebackIsBounded(t *testing.T) {
	var got Exception
	reader := &tracebackReader{now: time.Now, report: func(e Exception) { got = e }}
	reader.line(tracebackStart)
	for range 100000 {
		reader.line("  File \"recursion.py\", line 1, in f")
	}
	reader.line("RecursionError: " + strings.Repeat("deep ", 1000))
	reader.close()
	if got.Type != "RecursionError" || len(got.Traceback) > maxTraceback || len(got.Message) > maxMessageText+3 {
		t.Errorf("got %s, %d, %d bytes", got.Type, len(got.Traceback), len(got.Message))
	}
}

func TestExceptionsAreToldOnce(t *testing.T) {
	now := time.Now()
	var got []string
	x := &exceptions{deliver: func(e Exception) { got = append(got, e.Type+e.RequestID) }}
	x.fromHook(Exception{Type: "A", Message: "m\nmore", RequestID: "1", At: now})
	x.fromLog(Exception{Type: "A", Message: "m", At: now.Add(time.Second)})
	x.fromLog(Exception{Type: "A", Message: "m", At: now.Add(time.Second)}) // a second one
	x.fromLog(Exception{Type: "B", At: now})
	x.fromHook(Exception{Type: "C", At: now})
	x.fromLog(Exception{Type: "C", At: now.Add(time.Minute)})
	if want := "A1 A B C C"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for range 1000 {
		x.fromHook(Exception{Type: "D", At: now})
	}
	if len(x.told) > toldKept {
		t.Errorf("remembers %d", len(x.told))
	}
}

// heard records what the hook says.
type heard struct{ lines []string }

func (h *heard) hooked(pid int, board bool) {
	h.lines = append(h.lines, fmt.Sprint("hooked ", pid, board))
}
func (h *heard) bound(b binding)            { h.lines = append(h.lines, fmt.Sprint("bound ", b)) }
func (h *heard) other(port int)             { h.lines = append(h.lines, fmt.Sprint("other ", port)) }
func (h *heard) counted(n int)              { h.lines = append(h.lines, fmt.Sprint("counted ", n)) }
func (h *heard) begun(pid int, id string)   { h.lines = append(h.lines, fmt.Sprint("begun ", id, pid)) }
func (h *heard) raised(e Exception)         { h.lines = append(h.lines, "raised "+e.Type+" "+e.RequestID) }
func (h *heard) problem(where, text string) { h.lines = append(h.lines, "problem "+where+" "+text) }
func (h *heard) serving(u routes.URLMap, pid int, direct bool) {
	h.lines = append(h.lines, fmt.Sprint("serving ", len(u.Routes), u.Complete, u.Mounts, u.Options.ServerName, pid, direct))
}

func TestReadPipe(t *testing.T) {
	in := strings.Join([]string{
		`{"t":"hook","pid":1,"python":"3.11.2","board":true}`,
		`{"t":"app","pid":1,"direct":true,"options":{"server_name":"a"}}`,
		`{"t":"app","pid":2,"options":{"server_name":null}}`,
		`{"t":"rule","pid":1,"rule":"/"}`, `{"t":"rule","pid":2,"rule":"/2","host":null,"methods":null}`,
		`{"t":"req","pid":1,"id":"r1"}`,
		`{"t":"other","pid":1,"port":8001}`, `{"t":"count","pid":1,"count":20}`, `no json`, `{"t":"unknown"}`, `{"t":"rule","pid":77,"rule":"/nobody"}`, `{"t":"serving","pid":77}`,
		`{"t":"exc","pid":1,"id":"` + strings.Repeat("x", 2*maxMessage) + `"}`, strings.Repeat("y", 200000),
		`{"t":"serving","pid":1,"rules":1,"mounts":["/m"]}`, `{"t":"serving","pid":2,"rules":2,"mounts":[]}`,
		`{"t":"bound","server":"gunicorn","tls":true,"processes":2,"threads":4}`, `{"t":"problem","where":"w","error":"e"}`,
		`{"t":"exc","pid":1,"id":"r1","type":"E","message":"m","traceback":"t"}`, `{"t":"req","pid":1,"id":"cut`,
	}, "\n")
	var got heard
	readPipe(strings.NewReader(in), &got)
	want := []string{"hooked 1 true", "begun r11", "other 8001", "counted 20", "serving 1 true [/m]a1 true", "serving 1 false []2 false", "bound {gunicorn true 2 4}", "problem w e", "raised E r1"}
	if diff := cmp.Diff(want, got.lines); diff != "" {
		t.Error(diff)
	}
}

func TestParseWitness(t *testing.T) {
	for value, want := range map[string]Witness{
		"F /user/<username> getuser":             {Present: true, Routing: Found, Rule: "/user/<username>", Endpoint: "getuser"},
		"F /a%20b/<n> bp.x werkzeug.exc%2FError": {Present: true, Routing: Found, Rule: "/a b/<n>", Endpoint: "bp.x", Exception: "werkzeug.exc/Error"},
		"N":                                      {Present: true, Routing: NotFound},
		"N   KeyError":                           {Present: true, Routing: NotFound, Exception: "KeyError"},
		"M":                                      {Present: true, Routing: MethodNotAllowed},
		"R":                                      {Present: true, Routing: Redirect},
		"U":                                      {Present: true},
		"F /%zz x":                               {Present: true, Routing: Found, Rule: "/%zz", Endpoint: "x"},
		"X":                                      {}, "": {}, "found": {},
	} {
		if got := parseWitness(value); got != want {
			t.Errorf("%q: got %+v, want %+v", value, got, want)
		}
	}
}

func forwardedValue(f Forwarded) string { return string(f.AppendTo(nil)) }

func TestForwardedValue(t *testing.T) {
	cases := []struct {
		f    Forwarded
		want string
	}{
		{Forwarded{"a1", netip.MustParseAddr("::ffff:192.0.2.1"), "https", "x.example:81"}, "a1 192.0.2.1 https x.example:81"},
		{Forwarded{"a1", netip.MustParseAddr("fe80::1%eth0"), "http", "[::1]"}, "a1 fe80::1 http [::1]"},
		{Forwarded{"a\"1", netip.Addr{}, "http", "x y"}, "  http "},
		{Forwarded{"a", netip.Addr{}, "http", "x\r\nEvil: 1"}, "a  http "},
	}
	for _, c := range cases {
		if got := forwardedValue(c.f); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.f, got, c.want)
		}
	}
}

func TestWitnessIsTakenOff(t *testing.T) {
	a := &App{secrets: newSecrets()}
	h := http.Header{a.secrets.response: {"N", "F / i"}, "X": {"y"}}
	if got := a.Witness(h); got.Rule != "/" || len(h) != 1 {
		t.Errorf("got %+v, left %v", got, h)
	}
	if got := a.Witness(h); got.Present {
		t.Errorf("got %+v from %v", got, h)
	}
	if other := newSecrets(); other.request == a.secrets.request || other.request == other.response {
		t.Errorf("names repeat: %+v", other)
	}
}

func TestHistory(t *testing.T) {
	h, p := newHistory(), &place{}
	h.accept(p)
	for i := range 3 * maxEvents {
		h.note(Event{Seen: fmt.Sprint(i)})
	}
	if len(h.events) != maxEvents || h.events[0].Seen != "200" {
		t.Errorf("got %d events from %s", len(h.events), h.events[0].Seen)
	}
	since := h.set(p, func(s *State) { s.PID = 1 }).Since
	if got := h.set(p, func(s *State) { s.PID = 2 }); !got.Since.Equal(since) {
		t.Error("since moved without a new name")
	}
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, p := newHistory(), &place{}
		h.accept(p)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.wait(ctx); err != context.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
		go func() {
			time.Sleep(time.Hour)
			h.set(p, func(s *State) { s.Name = Ready })
		}()
		if err := h.wait(t.Context()); err != nil {
			t.Errorf("got %v", err)
		}
		h.set(p, func(s *State) { s.Name, s.Reason, s.Output = CrashLoop, "it ended", []string{"a", "b"} })
		if err := h.wait(t.Context()); fmt.Sprint(err) != "the app keeps failing: it ended\n  a\n  b" {
			t.Errorf("got %v", err)
		}
	})
}

func TestSocketKeepsItsQueue(t *testing.T) {
	s, err := socketFor(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if n, err := s.queued(); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	i := &instance{place: &place{socket: s}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := i.awaitAccept(ctx); err != context.DeadlineExceeded {
		t.Errorf("nobody accepts: got %v", err)
	}
	if n, err := s.queued(); n != 1 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if err := s.repair(); err != nil {
		t.Error(err)
	}
}

func TestParseProcAddr(t *testing.T) {
	for in, want := range map[string]string{
		"0100007F:1F90": "127.0.0.1:8080", "00000000:0050": "0.0.0.0:80",
		"B80D0120000000000000000001000000:0050": "[2001:db8::1]:80",
	} {
		if got, ok := parseProcAddr(in); !ok || got.String() != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
	if _, ok := parseProcAddr("xyz:1"); ok {
		t.Error("xyz is an address")
	}
}

func TestGuardRefusesNonsense(t *testing.T) {
	// The guard removes nothing but what flask2ban has made.
	dir := t.TempDir()
	g := &guard{order: guardOrder{Cleanup: dir}}
	g.cleanUp()
	if !exists(dir) {
		t.Error("removed a directory that is no hook's")
	}
	g.order.Cleanup, _ = writeHook(identity{})
	g.cleanUp()
	if g.order.Cleanup == "" || exists(g.order.Cleanup) {
		t.Errorf("left %q", g.order.Cleanup)
	}
}

func FuzzParseLog(f *testing.F) {
	for _, c := range tracebackCases {
		f.Add(c.log)
	}
	f.Fuzz(func(t *testing.T, log string) {
		o := &output{to: &lineWriter{w: &bytes.Buffer{}}}
		reader := &tracebackReader{now: time.Now, report: func(e Exception) {
			if e.Type == "" || len(e.Traceback) > maxTraceback {
				t.Errorf("got %+v", e)
			}
		}}
		o.each = func(line string) {
			if strings.ContainsAny(line, "\n\r\x1b\x00") {
				t.Errorf("unsafe line %q", line)
			}
			reader.line(line)
		}
		o.read(strings.NewReader(log))
		reader.close()
	})
}

func FuzzReadPipe(f *testing.F) {
	f.Add([]byte(`{"t":"app","pid":1}` + "\n" + `{"t":"rule","pid":1,"rule":"/","converters":{"a":{}}}` + "\n" + `{"t":"serving","pid":1,"rules":1}` + "\n"))
	f.Fuzz(func(_ *testing.T, data []byte) { readPipe(bytes.NewReader(data), &heard{}) })
}

func BenchmarkPrepareAndWitness(b *testing.B) {
	a := &App{secrets: newSecrets()}
	req := &http.Request{Header: http.Header{}}
	h := http.Header{}
	answer := []string{"F /user/<username> getuser"}
	f := Forwarded{ID: "0123456789abcdef", Client: client, Scheme: "https", Host: "shop.example"}
	for b.Loop() {
		a.Prepare(req, []string{forwardedValue(f)})
		h[a.secrets.response] = answer
		a.Witness(h)
	}
}

func TestTracebackEndsWithAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 9)
		reader := &tracebackReader{now: time.Now, report: func(e Exception) { got <- e.Type }}
		for _, line := range []string{tracebackStart, "  File \"a\"", "KeyError: 1"} {
			reader.line(line)
		}
		if len(got) != 0 {
			t.Error("a chain may follow")
		}
		if kind := <-got; kind != "KeyError" {
			t.Errorf("got %s", kind)
		}
		reader.close()
		if len(got) != 0 {
			t.Error("told twice")
		}
	})
}

func TestBannerIsHidden(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		" * Running on all addresses (0.0.0.0)":                true,
		" * Running on http://127.0.0.1:37543":                 true,
		"Press CTRL+C to quit":                                 true,
		"Running on fumes":                                     false,
		"WARNING: This is a development server. Do not use it": false,
		" * Debug mode: off":                                   false,
		"I said: Press CTRL+C to quit":                         false,
	} {
		if got := isBanner(line); got != want {
			t.Errorf("isBanner(%q) = %v, want %v", line, got, want)
		}
	}
}
