package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// receiver is a real webhook: answer decides what the n-th request gets.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	types  []string
	count  atomic.Int32
}

func receive(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rc := &receiver{}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		rc.mu.Lock()
		rc.bodies, rc.types = append(rc.bodies, string(body)), append(rc.types, r.Header.Get("Content-Type"))
		rc.mu.Unlock()
		n := int(rc.count.Add(1))
		if answer != nil {
			answer(n, w, r)
		}
	}))
	t.Cleanup(rc.Close)
	return rc
}

// messages are the bodies so far, as JSON.
func (r *receiver) messages(t *testing.T) []Message {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Message
	for _, b := range r.bodies {
		var m Message
		if err := json.Unmarshal([]byte(b), &m); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		out = append(out, m)
	}
	return out
}

// await polls until ok, for at most half a minute.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// logs is what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve runs a Notifier that is quick to try again, and returns what it logs.
func serve(t *testing.T, c Config) (*Notifier, *logs) {
	t.Helper()
	var l logs
	c.Log = slog.New(slog.NewTextHandler(&l, nil))
	n, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	n.delivery.wait, n.delivery.waitMost, n.delivery.patience = time.Millisecond, 2*time.Millisecond, 10*time.Second
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		n.delivery.client.CloseIdleConnections()
	})
	return n, &l
}

func down(text string) Event { return Event{Kind: AppDown, At: time.Now(), Text: text} }

func TestMessage(t *testing.T) {
	rc := receive(t, nil)
	n, _ := serve(t, Config{URL: rc.URL + "/secret", App: "shop.py"})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	n.Tell(Event{Kind: AppDown, At: at, Text: "it \x1b[2J died"})
	await(t, "the message", func() bool { return rc.count.Load() == 1 })
	got := rc.messages(t)[0]
	if got.Machine == "" {
		t.Error("no machine")
	}
	got.Machine = ""
	if want := (Message{Event: AppDown, At: at, App: "shop.py", Text: `it \x1b[2J died`, Count: 1}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if rc.types[0] != "application/json" {
		t.Errorf("Content-Type %s", rc.types[0])
	}
}

// TestTriedAgain: a receiver that fails for a while, by status and by hanging
// up, gets the message all the same, once.
func TestTriedAgain(t *testing.T) {
	rc := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			w.WriteHeader(http.StatusTooManyRequests)
		case 3:
			panic(http.ErrAbortHandler)
		}
	})
	n, l := serve(t, Config{URL: rc.URL + "/T0P/SECRET?token=hunter2"})
	n.Tell(down("a"))
	await(t, "the fourth attempt", func() bool { return rc.count.Load() == 4 })
	n.Tell(Event{Kind: AppUp, At: time.Now(), Text: "b"})
	await(t, "the next message", func() bool { return rc.count.Load() == 5 })
	if m := rc.messages(t)[4]; m.Event != AppUp || m.Lost != 0 {
		t.Errorf("got %+v", m)
	}
	if text := l.String(); strings.Count(text, "tried again") != 1 || strings.Contains(text, "hunter2") || strings.Contains(text, "T0P") {
		t.Errorf("logged %s", text)
	}
}

// TestGivenUp: what can't succeed is not tried again, and the next message
// tells of it.
func TestGivenUp(t *testing.T) {
	elsewhere := receive(t, nil)
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"refused": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"redirected": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			rc := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
				if n == 1 {
					answer(w, r)
				}
			})
			n, l := serve(t, Config{URL: rc.URL})
			n.Tell(down("a"))
			await(t, "it is given up", func() bool { return strings.Contains(l.String(), "given up") })
			n.Tell(Event{Kind: AppUp, At: time.Now(), Text: "b"})
			await(t, "the next message", func() bool { return rc.count.Load() == 2 })
			if m := rc.messages(t)[1]; m.Lost != 1 {
				t.Errorf("got %+v", m)
			}
		})
	}
	if n := elsewhere.count.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// TestSlowAndHuge: a receiver that doesn't answer costs one attempt's time, one
// that answers without end no memory, and neither costs those who tell.
func TestSlowAndHuge(t *testing.T) {
	release := make(chan struct{})
	var sent atomic.Int64
	rc := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			<-release
		case 2:
			junk := bytes.Repeat([]byte("x"), 1<<16)
			for range 100_000 { // 6.5 GB
				k, err := w.Write(junk)
				sent.Add(int64(k))
				if err != nil {
					return
				}
			}
		}
	})
	var l logs
	n, err := New(Config{URL: rc.URL, Log: slog.New(slog.NewTextHandler(&l, nil))})
	if err != nil {
		t.Fatal(err)
	}
	n.delivery.client.Timeout, n.delivery.wait = 200*time.Millisecond, time.Millisecond
	n.deliver(t.Context(), Message{Event: AppDown})
	close(release)
	if rc.count.Load() != 2 || !strings.Contains(l.String(), "Timeout") {
		t.Errorf("%d attempts, logged %s", rc.count.Load(), &l)
	}
	n.delivery.client.CloseIdleConnections()
	if got := sent.Load(); got > 64<<20 {
		t.Errorf("%d bytes of an answer were taken", got)
	}
}

// TestFlood: ten thousand bans are a few messages, each with its first clients
// and how many there were.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{URL: "http://192.0.2.1/"})
		if err != nil {
			t.Fatal(err)
		}
		const seconds, each = 60, 1000
		for s := range seconds {
			for i := range each {
				p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(s), byte(i >> 8), byte(i)}), 32)
				n.Tell(Event{Kind: Ban, At: time.Now(), Text: "one", Client: &Client{Client: p}})
			}
			time.Sleep(time.Second)
			n.collect(time.Now(), false)
		}
		n.collect(time.Now(), true)
		sum := 0
		got := len(n.queue)
		for range got {
			m := <-n.queue
			sum += m.Count
			if len(m.Clients) > keptEvents || !strings.Contains(m.Text, "clients banned: 10.") || !strings.HasSuffix(m.Text, "more") {
				t.Errorf("got %+v", m)
			}
		}
		if sum != seconds*each || got > burst+seconds/10+2 {
			t.Errorf("%d bans in %d messages", sum, got)
		}
	})
}

// TestDeadReceiver: what nobody takes is bounded, and counted.
func TestDeadReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{URL: "http://192.0.2.1/"})
		if err != nil {
			t.Fatal(err)
		}
		for range 10 * queued {
			n.Tell(down("x"))
			time.Sleep(messageEvery)
			n.collect(time.Now(), false)
		}
		if len(n.queue) != queued || n.lost.Load() != 9*queued {
			t.Errorf("%d wait, %d lost", len(n.queue), n.lost.Load())
		}
	})
}

func TestOnlyWhatIsAskedFor(t *testing.T) {
	n, err := New(Config{URL: "http://192.0.2.1/", Kinds: []string{"crash_loop"}})
	if err != nil {
		t.Fatal(err)
	}
	n.Tell(down("x"))
	n.Tell(Event{Kind: CrashLoop, At: time.Now(), Text: "y"})
	if len(n.piles) != 1 || n.piles[CrashLoop] == nil {
		t.Errorf("got %v", n.piles)
	}
	var none *Notifier
	none.Tell(down("x")) // nothing is configured
}

// TestTemplates: what a client sent can't get out of its place.
func TestTemplates(t *testing.T) {
	hostile := Message{Event: Ban, Text: `1.2.3.4 banned: "<!channel>", {{.}} & \`, Count: 1}
	for name, tt := range map[string]struct{ template, want string }{
		"slack": {`{"text": {{json (slack .Text)}}}`, `{"text": "1.2.3.4 banned: \"&lt;!channel&gt;\", {{.}} &amp; \\"}`},
		"ntfy":  {`{{.Text}}`, hostile.Text},
		"words": {`{{.Event}} {{.Count}}{{range .Clients}} {{.Client}}{{end}}`, `ban 1`},
	} {
		parsed, err := ParseTemplate(tt.template)
		if err != nil {
			t.Fatal(err)
		}
		got, err := render(parsed, hostile)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, tt.want)
		}
		if name == "slack" && !json.Valid(got) {
			t.Errorf("%s is no JSON", got)
		}
	}
	for _, bad := range []string{`{{.Txet}}`, `{{`, `{{json}}`, `{{range $i, $x := .Clients}}{{$x.Nothing}}{{end}}`} {
		if _, err := ParseTemplate(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	huge, err := ParseTemplate(`{{range .Clients}}` + strings.Repeat("x", maxBody/2) + `{{end}}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := render(huge, Message{Clients: make([]Client, 3)}); err == nil {
		t.Error("a body of any length is taken")
	}
}

func TestBadURL(t *testing.T) {
	for _, bad := range []string{"", "hunter2", "http://", "http://a b/hunter2", "://hunter2"} {
		if _, err := New(Config{URL: bad}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

// TestWatchBans: bans are told of as they come and go, those from before not.
func TestWatchBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Config{URL: "http://192.0.2.1/"})
		if err != nil {
			t.Fatal(err)
		}
		client := func(a string, d time.Duration) Client {
			return Client{Client: netip.MustParsePrefix(a), Rule: "unexpected", Reason: "5 paths", Until: time.Now().Add(d)}
		}
		var mu sync.Mutex
		bans := []Client{client("192.0.2.1/32", time.Hour), client("192.0.2.2/32", 90*time.Second)}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- n.WatchBans(ctx, func(now time.Time) []Client {
				mu.Lock()
				defer mu.Unlock()
				var in []Client
				for _, b := range bans {
					if now.Before(b.Until) {
						in = append(in, b)
					}
				}
				return in
			})
		}()
		synctest.Wait()
		mu.Lock()
		bans = append(bans[1:], client("2001:db8::/64", time.Hour))
		mu.Unlock()
		time.Sleep(5 * time.Minute)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		var texts []string
		for _, kind := range []Kind{Ban, Unban} {
			for _, e := range n.piles[kind].first {
				texts = append(texts, e.Text)
			}
		}
		want := []string{
			"2001:db8::/64 banned until 2000-01-01T01:00:00Z by unexpected: 5 paths",
			"192.0.2.1 is no longer banned: its ban was lifted",
			"192.0.2.2 is no longer banned: its ban is over",
		}
		if strings.Join(texts, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s", strings.Join(texts, "\n"))
		}
	})
}

// TestEndDelivers: what waits when the daemon ends is still told, and a dead
// receiver doesn't hold the end up.
func TestEndDelivers(t *testing.T) {
	rc := receive(t, nil)
	n, err := New(Config{URL: rc.URL})
	if err != nil {
		t.Fatal(err)
	}
	n.Tell(down("last words"))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.Serve(ctx); err != nil || rc.count.Load() != 1 {
		t.Errorf("%d delivered, %v", rc.count.Load(), err)
	}
	n.delivery.client.CloseIdleConnections()
	if err := (&refusal{status: 302}); !strings.Contains(err.Error(), "redirects aren't followed") || errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
