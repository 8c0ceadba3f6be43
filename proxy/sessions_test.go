package proxy

import (
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

var (
	office   = netip.MustParsePrefix("192.0.2.1/32")
	stranger = netip.MustParsePrefix("192.0.2.2/32")
	noon     = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

// token is a cookie as an app issues it.
func token(n int) string { return fmt.Sprintf("session=eyJ1c2VyIjo%08dfQ.signature", n) }

func with(cookies ...string) http.Header { return http.Header{"Cookie": cookies} }

// seasoned issues a cookie and uses it until it counts.
func seasoned(s *sessions, client netip.Prefix, cookie string) uint64 {
	s.observe(noon, client, nil, []string{cookie + "; HttpOnly; Path=/"}, true)
	s.observe(noon, client, with(cookie), nil, true)
	return s.observe(noon.Add(sessionAge), client, with(cookie), nil, true)
}

func TestSessionCounts(t *testing.T) {
	t.Parallel()
	s := newSessions()
	later := noon.Add(sessionAge)
	s.observe(noon, office, nil, []string{token(1) + "; HttpOnly; Path=/"}, true)
	if got := s.observe(later, office, with(token(1)), nil, true); got != 0 {
		t.Error("counts with the first request")
	}
	if got := s.observe(later, office, with(token(1)), nil, false); got != 0 {
		t.Error("a request that was not found made it count")
	}
	if got := s.observe(later.Add(-time.Second), office, with(token(1)), nil, true); got != 0 {
		t.Error("counts right after it was issued")
	}
	first := s.observe(later, office, with("theme=dark; "+token(1)+";x=y"), nil, true)
	if first == 0 {
		t.Error("does not count at last")
	}
	if got := s.observe(later, office, with("other="+token(7), token(1)), nil, true); got != first {
		t.Error("the same cookie in another line is another session")
	}
	for name, h := range map[string]http.Header{
		"forged": with(token(2)), "altered": with(token(1) + "x"), "renamed": with("s" + token(1)), "none": {},
	} {
		if got := s.observe(later, office, h, nil, true); got != 0 {
			t.Errorf("%s cookie counts", name)
		}
	}
	if got := s.observe(later, stranger, with(token(1)), nil, true); got != 0 {
		t.Error("counts at another address than it was issued to")
	}
	if second := seasoned(s, office, token(3)); second == 0 || second == first {
		t.Errorf("a second person: %d, the first %d", second, first)
	}
}

// TestSessionOutlivesItsCookie: one visitor whose app renews the cookie with
// each answer, and sets others beside it, is one session.
func TestSessionOutlivesItsCookie(t *testing.T) {
	t.Parallel()
	s := newSessions()
	ids := map[uint64]bool{}
	s.observe(noon, office, nil, []string{token(0), "csrf=" + strings.Repeat("0", 40)}, true)
	for n := range 100 {
		ids[s.observe(noon.Add(sessionAge+time.Duration(n)*time.Second), office, with(token(n)),
			[]string{token(n + 1), fmt.Sprintf("csrf=%040d", n+1)}, true)] = true
	}
	ids[s.observe(noon.Add(time.Hour), office, with(fmt.Sprintf("csrf=%040d", 50)), nil, true)] = true
	delete(ids, 0)
	if len(ids) != 1 {
		t.Errorf("one visitor is %d sessions", len(ids))
	}
}

// TestSessionsOfChoices: short values, the same for many, identify nobody.
func TestSessionsOfChoices(t *testing.T) {
	t.Parallel()
	s := newSessions()
	for _, c := range []string{"theme=dark", "lang=en", "novalue", "=", strings.Repeat("x", 100)} {
		if got := seasoned(s, office, c); got != 0 {
			t.Errorf("%s counts", c)
		}
	}
}

// TestSessionsAreBounded: a flood of fresh cookies takes no more memory than
// two generations, and those in use stay.
func TestSessionsAreBounded(t *testing.T) {
	s := newSessions()
	id := seasoned(s, office, token(0))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for n := range 5 * maxSessions {
		s.observe(noon, office, nil, []string{token(n + 1)}, true)
		if n%(maxSessions/2) == 0 && s.observe(noon.Add(time.Hour), office, with(token(0)), nil, true) != id {
			t.Fatalf("a session in use is forgotten after %d others", n)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := 0
	for i := range s.shards {
		held += len(s.shards[i].young) + len(s.shards[i].old)
	}
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d cookies held of %d, %d KiB", held, 5*maxSessions, grown>>10)
	if held > 2*maxSessions || grown > 40<<20 {
		t.Errorf("%d cookies in %d KiB, want at most %d in 40 MiB", held, grown>>10, 2*maxSessions)
	}
}

func TestManyCookiesInOneRequest(t *testing.T) {
	t.Parallel()
	s := newSessions()
	seasoned(s, office, token(1))
	line := strings.Repeat("a=b;", maxCookies) + token(1)
	if got := s.observe(noon.Add(time.Hour), office, with(line), nil, true); got != 0 {
		t.Error("more cookies than the bound were looked at")
	}
}

func TestSessionsInParallel(t *testing.T) {
	t.Parallel()
	s := newSessions()
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for n := range 500 {
				seasoned(s, office, token(w%2*1000+n))
			}
		})
	}
	group.Wait()
}

// TestNoCookieNoCost: requests and answers without cookies allocate nothing.
func TestNoCookieNoCost(t *testing.T) {
	s, h := newSessions(), http.Header{"Accept": {"*/*"}}
	if n := testing.AllocsPerRun(100, func() { s.observe(noon, office, h, nil, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// withLogin is an app that gives each visitor without a session one.
func withLogin() http.HandlerFunc {
	var mu sync.Mutex
	issued := 0
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") == "" {
			mu.Lock()
			issued++
			w.Header().Add("Set-Cookie", token(issued)+"; HttpOnly")
			mu.Unlock()
		}
		flask(w, r)
	}
}

// TestField08SharedAddress: one bad user behind an address that many people with
// sessions use is throttled, where the same from an address with one session
// is blocked (NethServer/dev#7259).
func TestField08SharedAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		people int
		banned int
	}{{1, 1}, {30, 0}} {
		g := newRig(t, withLogin(), func(_ *Config, b *ban.Config) { b.BanJitter = -1 })
		cookies := make([]string, tt.people)
		for n := range cookies {
			w := g.do("192.0.2.1", "GET", "/")
			cookies[n], _, _ = strings.Cut(w.Header().Get("Set-Cookie"), ";")
		}
		for n := range 150 {
			g.now.Add(int64(time.Second))
			if w := g.do("192.0.2.1", "GET", []string{"/", "/user/x", "/2020"}[n/30%3], "Cookie", cookies[n%tt.people]); w.Code != 200 {
				t.Fatalf("%d people: %d", tt.people, w.Code)
			}
		}
		for n := range 12 {
			g.now.Add(int64(3 * time.Second))
			g.do("192.0.2.1", "GET", fmt.Sprintf("/probe/%d", n))
		}
		if got := len(g.engine.Bans(g.handler.Now())); got != tt.banned {
			t.Errorf("%d people: %d bans, want %d; %+v", tt.people, got, tt.banned, g.engine.Why(g.handler.Now(), office))
		}
		if why := g.engine.Why(g.handler.Now(), office); why.Shared != (tt.people > 1) {
			t.Errorf("%d people: shared is %t", tt.people, why.Shared)
		}
	}
}

func BenchmarkSession(b *testing.B) {
	s := newSessions()
	seasoned(s, office, token(1))
	h := with("theme=dark; " + token(1))
	b.ReportAllocs()
	for b.Loop() {
		s.observe(noon, office, h, nil, true)
	}
}
