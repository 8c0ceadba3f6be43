package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/store/redistest"
)

// member is one instance of a cluster: an engine with its store.
type member struct {
	*ban.Engine
	t     testing.TB
	store *shared
	log   *lockedLog
	end   func()
}

// lockedLog is what a member has logged.
type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// join starts an instance that uses the server.
func join(t testing.TB, url string) *member {
	t.Helper()
	m := &member{t: t, log: &lockedLog{}}
	st, err := Open(t.Context(), url, "", WithLog(slog.New(slog.NewTextHandler(m.log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	m.store = st.(*shared)
	if m.Engine, err = ban.New(ban.Config{BanJitter: -1}); err != nil {
		t.Fatal(err)
	}
	if err := m.Restore(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, st) }()
	m.end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(m.end)
	return m
}

func three(t testing.TB, url string) [3]*member {
	return [3]*member{join(t, url), join(t, url), join(t, url)}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func single(s string) netip.Prefix { return netip.PrefixFrom(addr(s), addr(s).BitLen()) }

func (m *member) bans(client string) bool {
	_, banned := m.Banned(time.Now(), addr(client))
	return banned
}

func (m *member) probe(client, path string) ban.Outcome {
	return m.Observe(time.Now(), ban.Observation{Client: single(client), Evidence: &ban.Evidence{Kind: ban.UnexpectedPath, Path: path}})
}

func (m *member) score(client string) float64 { return m.Why(time.Now(), single(client)).Score }

func (m *member) add(client string) {
	m.t.Helper()
	if err := m.Add(time.Now(), ban.Ban{Client: netip.MustParsePrefix(client), Reason: "by hand"}); err != nil {
		m.t.Fatal(err)
	}
}

// patience is what anything has, on a machine that others load. How soon it is
// there is for BenchmarkRedisBanKnownToAll.
const patience = 30 * time.Second

// until polls, and fails the test when it takes longer than our patience.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; !ok(); <-tick.C {
		if time.Since(began) > patience {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
	t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
}

func everyone(members [3]*member, ok func(*member) bool) func() bool {
	return func() bool { return ok(members[0]) && ok(members[1]) && ok(members[2]) }
}

// connect is a plain client, to look at the keys.
func connect(t testing.TB, s *redistest.Server) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr()})
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRedisBansAreSeenByAll(t *testing.T) {
	all := three(t, redistest.Start(t).URL())
	all[0].Observe(time.Now(), ban.Observation{Client: single("192.0.2.1"), Evidence: &ban.Evidence{Kind: ban.Honeypath, Path: "/.env"}})
	all[1].add("192.0.2.2/32")
	all[2].add("198.51.100.0/24")
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "198.51.100.9"} {
		until(t, client+" is banned by all", everyone(all, func(m *member) bool { return m.bans(client) }))
	}
	all[2].Remove(time.Now(), single("192.0.2.1"))
	all[0].Remove(time.Now(), single("192.0.2.2"))
	all[1].Remove(time.Now(), netip.MustParsePrefix("198.51.100.0/24"))
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "198.51.100.9"} {
		until(t, client+" is banned by none", everyone(all, func(m *member) bool { return !m.bans(client) }))
	}
}

func TestRedisThresholdHoldsOverAll(t *testing.T) {
	all := three(t, redistest.Start(t).URL())
	for i := range 4 {
		all[i%3].probe("192.0.2.1", fmt.Sprint("/", i))
	}
	until(t, "all know four pieces", everyone(all, func(m *member) bool { return m.score("192.0.2.1") == 4 }))
	if all[0].probe("192.0.2.1", "/1").Counted {
		t.Error("a path that another instance has counted was counted again")
	}
	all[2].probe("192.0.2.1", "/4")
	until(t, "the fifth bans", everyone(all, func(m *member) bool { return m.bans("192.0.2.1") }))
	if x := all[0].Why(time.Now(), single("192.0.2.1")); len(x.Evidence) != 5 || x.Ban.Count != 1 {
		t.Errorf("why: ban %+v for %d pieces, want the first for 5", x.Ban, len(x.Evidence))
	}
}

// TestRedisFastScanner spreads its probes without waiting for anyone.
func TestRedisFastScanner(t *testing.T) {
	all := three(t, redistest.Start(t).URL())
	for i := range 5 {
		all[i%3].probe("192.0.2.1", fmt.Sprint("/", i))
	}
	until(t, "five at once ban", everyone(all, func(m *member) bool { return m.bans("192.0.2.1") }))
	since := func(m *member) time.Time {
		b, _ := m.Banned(time.Now(), addr("192.0.2.1"))
		return b.Since
	}
	until(t, "all have the same ban", func() bool {
		return since(all[0]).Equal(since(all[1])) && since(all[1]).Equal(since(all[2]))
	})
}

func TestRedisOneMorePieceNeverTwice(t *testing.T) {
	all := three(t, redistest.Start(t).URL())
	for range 3 {
		for _, m := range all {
			for i := range 4 {
				m.probe("192.0.2.1", fmt.Sprint("/", i))
			}
		}
	}
	until(t, "all know four pieces", everyone(all, func(m *member) bool { return m.score("192.0.2.1") == 4 }))
	for _, m := range all {
		m.SaveAgain()
	}
	until(t, "saved again", everyone(all, func(m *member) bool { return m.Stats(time.Now()).Unsaved == 0 }))
	if !everyone(all, func(m *member) bool { return m.score("192.0.2.1") == 4 && !m.bans("192.0.2.1") })() {
		t.Error("the same four paths, asked of all and saved again, count more")
	}
}

func TestRedisRestart(t *testing.T) {
	url := redistest.Start(t).URL()
	first := join(t, url)
	first.probe("192.0.2.1", "/a")
	first.probe("192.0.2.1", "/b")
	first.add("192.0.2.2/32")
	first.end()
	second := join(t, url)
	if got := second.score("192.0.2.1"); got != 2 || !second.bans("192.0.2.2") {
		t.Errorf("after a restart: score %v, banned %v; want 2, true", got, second.bans("192.0.2.2"))
	}
	for _, path := range []string{"/a", "/c", "/d", "/e"} {
		second.probe("192.0.2.1", path)
	}
	if !second.bans("192.0.2.1") {
		t.Error("five paths, two of them before the restart: no ban")
	}
}

func TestRedisAwayAndBack(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		t.Run(map[bool]string{false: "empty", true: "not empty"}[keeps], func(t *testing.T) {
			var args []string
			if keeps {
				args = []string{"--appendonly", "yes", "--appendfsync", "always"}
			}
			server := redistest.Start(t, args...)
			all := three(t, server.URL())
			all[0].add("192.0.2.1/32")
			all[0].add("192.0.2.2/32")
			until(t, "banned by all", everyone(all, func(m *member) bool { return m.bans("192.0.2.1") && m.bans("192.0.2.2") }))
			server.Kill()
			until(t, "all notice", everyone(all, func(m *member) bool { return m.store.isAway() }))
			decideAlone(t, all)
			server.Run()
			caughtUp(t, all)
			until(t, "all say that it is back", everyone(all, func(m *member) bool { return m.log.count("redis is back") > 0 }))
			for i, m := range all {
				if lost, back := m.log.count("redis can't be used"), m.log.count("redis is back"); lost != 1 || back != 1 {
					t.Errorf("instance %d logged %d times that it is away, %d times that it is back; want once each", i, lost, back)
				}
			}
		})
	}
}

// decideAlone is what happens while the server is away.
func decideAlone(t *testing.T, all [3]*member) {
	t.Helper()
	all[0].Remove(time.Now(), single("192.0.2.1"))
	all[1].add("192.0.2.3/32")
	for i := range 5 {
		all[2].probe("192.0.2.4", fmt.Sprint("/", i))
	}
	all[0].probe("192.0.2.5", "/a")
	all[1].probe("192.0.2.5", "/b")
	if all[0].bans("192.0.2.1") || !all[1].bans("192.0.2.3") || !all[2].bans("192.0.2.4") {
		t.Error("without the server, an instance doesn't decide for itself")
	}
	began := time.Now()
	if err := all[2].Flush(t.Context()); err == nil || time.Since(began) > patience {
		t.Errorf("flush without the server: %v after %v, want an error soon", err, time.Since(began))
	}
}

// caughtUp is what all must know afterwards.
func caughtUp(t *testing.T, all [3]*member) {
	t.Helper()
	for _, client := range []string{"192.0.2.2", "192.0.2.3", "192.0.2.4"} {
		until(t, client+" is banned by all", everyone(all, func(m *member) bool { return m.bans(client) }))
	}
	until(t, "the unban is known", everyone(all, func(m *member) bool { return !m.bans("192.0.2.1") }))
	until(t, "evidence is shared", everyone(all, func(m *member) bool { return m.score("192.0.2.5") == 2 }))
}

func TestRedisHangs(t *testing.T) {
	server := redistest.Start(t)
	all := three(t, server.URL())
	server.Pause()
	began := time.Now()
	for i := range 5 {
		all[0].probe("192.0.2.1", fmt.Sprint("/", i))
	}
	// Whoever waits for the server waits until that time is up.
	if took := time.Since(began); took > redisTimeout || !all[0].bans("192.0.2.1") {
		t.Errorf("deciding took %v, banned %v", took, all[0].bans("192.0.2.1"))
	}
	until(t, "all notice", everyone(all, func(m *member) bool { return m.store.isAway() }))
	server.Resume()
	until(t, "the ban is known to all", everyone(all, func(m *member) bool { return m.bans("192.0.2.1") }))
}

func TestRedisStartsWithoutServer(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	m := join(t, server.URL())
	if m.log.count("this instance decides alone until it is back") != 1 {
		t.Error("no word that redis is away at the start")
	}
	m.add("192.0.2.1/32")
	server.Run()
	late := join(t, server.URL())
	until(t, "the ban is known to another", func() bool { return late.bans("192.0.2.1") })
}

// TestRedisMissedMessages: reconciling alone is soon enough.
func TestRedisMissedMessages(t *testing.T) {
	server := redistest.Start(t)
	plain := connect(t, server)
	if err := plain.Do(t.Context(), "ACL", "SETUSER", "deaf", "on", ">secret", "allkeys", "resetchannels", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	url := "redis://deaf:secret@" + server.Addr() + "/0"
	writer, reader := join(t, server.URL()), join(t, url)
	writer.add("192.0.2.1/32")
	until(t, "banned without a message", func() bool { return reader.bans("192.0.2.1") })
	writer.Remove(time.Now(), single("192.0.2.1"))
	until(t, "unbanned without a message", func() bool { return !reader.bans("192.0.2.1") })
}

// TestRedisFlushedWhileConnected: an operator who empties the database does
// not unban anyone.
func TestRedisFlushedWhileConnected(t *testing.T) {
	server := redistest.Start(t)
	plain := connect(t, server)
	all := three(t, server.URL())
	all[0].add("192.0.2.1/32")
	all[1].add("198.51.100.0/24")
	until(t, "banned by all", everyone(all, func(m *member) bool { return m.bans("192.0.2.1") && m.bans("198.51.100.1") }))
	until(t, "the epoch is known", everyone(all, func(m *member) bool { m.store.mu.Lock(); defer m.store.mu.Unlock(); return m.store.epoch != "" }))
	if err := plain.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "bans are there again", func() bool {
		return plain.Exists(t.Context(), all[0].store.clientKey(single("192.0.2.1")), all[0].store.clientKey(netip.MustParsePrefix("198.51.100.0/24"))).Val() == 2
	})
	all[2].Remove(time.Now(), single("192.0.2.1"))
	until(t, "unbanned by all", everyone(all, func(m *member) bool { return !m.bans("192.0.2.1") }))
}

func TestRedisForgettingUnbansNobody(t *testing.T) {
	server := redistest.Start(t)
	all := three(t, server.URL())
	all[0].add("192.0.2.1/32")
	until(t, "banned by all", everyone(all, func(m *member) bool { return m.bans("192.0.2.1") }))
	save(t, all[2].store, ban.Record{Client: single("192.0.2.1"), Forgotten: true})
	last := join(t, server.URL())
	if !last.bans("192.0.2.1") || !all[0].bans("192.0.2.1") {
		t.Error("an instance that had no room for a ban ended it for all")
	}
}

func TestRedisEveryKeyEnds(t *testing.T) {
	server := redistest.Start(t)
	plain := connect(t, server)
	all := three(t, server.URL())
	all[0].add("192.0.2.1/32")
	all[0].add("192.0.2.2/32")
	all[1].probe("192.0.2.3", "/a")
	until(t, "banned by all", everyone(all, func(m *member) bool { return m.bans("192.0.2.1") && m.bans("192.0.2.2") }))
	all[2].Remove(time.Now(), single("192.0.2.2"))
	until(t, "saved", func() bool { return plain.DBSize(t.Context()).Val() == 7 && !all[0].bans("192.0.2.2") })
	for _, key := range plain.Keys(t.Context(), "*").Val() {
		if ttl := plain.PTTL(t.Context(), key).Val(); ttl <= 0 || ttl > 3*24*time.Hour {
			t.Errorf("%s lives %v more", key, ttl)
		}
		if !strings.HasPrefix(key, "{flask2ban:1}:") {
			t.Errorf("key %s lacks the prefix", key)
		}
	}
}

func TestRedisIndexShrinks(t *testing.T) {
	server := redistest.Start(t)
	plain := connect(t, server)
	st := open(t, server.URL(), "")
	defer closeStore(t, st)
	brief := banned("192.0.2.1/32")
	brief.Ban.Until, brief.Expires = time.Now().Add(50*time.Millisecond), time.Now().Add(50*time.Millisecond)
	save(t, st, brief)
	until(t, "the client's key is gone", func() bool { return plain.Exists(t.Context(), "{flask2ban:1}:client:192.0.2.1/32").Val() == 0 })
	save(t, st, banned("192.0.2.2/32"))
	for _, name := range []string{"changes", "expiry"} {
		if got := plain.ZRange(t.Context(), "{flask2ban:1}:"+name, 0, -1).Val(); len(got) != 1 || got[0] != "192.0.2.2/32" {
			t.Errorf("%s has %v, want 192.0.2.2/32", name, got)
		}
	}
	equal(t, load(t, st), []ban.Record{banned("192.0.2.2/32")})
}

func TestRedisPrefixesAreApart(t *testing.T) {
	server := redistest.Start(t)
	shop, blog := open(t, server.URL()+"?prefix=shop", ""), open(t, server.URL()+"?prefix=blog", "")
	defer closeStore(t, shop)
	defer closeStore(t, blog)
	save(t, shop, banned("192.0.2.1/32"))
	equal(t, load(t, blog), nil)
	equal(t, load(t, shop), []ban.Record{banned("192.0.2.1/32")})
}

func TestRedisForeignDataIsLeftAlone(t *testing.T) {
	server := redistest.Start(t)
	plain := connect(t, server)
	log := &lockedLog{}
	st, err := Open(t.Context(), server.URL(), "", WithLog(slog.New(slog.NewTextHandler(log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, st)
	save(t, st, banned("192.0.2.1/32"), banned("192.0.2.2/32"), banned("192.0.2.3/32"))
	for key, value := range map[string]string{"192.0.2.1/32": "\x09later", "192.0.2.3/32": ""} {
		if err := plain.HSet(t.Context(), "{flask2ban:1}:client:"+key, "ban", value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, load(t, st), []ban.Record{banned("192.0.2.2/32")})
	if got := log.count("can't read"); got != 1 {
		t.Errorf("told %d times, want once", got)
	}
}

func TestRedisErrors(t *testing.T) {
	locked := redistest.Start(t, "--requirepass", "geheim")
	for name, test := range map[string]struct{ url, want string }{
		"no password":    {"redis://" + locked.Addr(), "store redis://" + locked.Addr() + ": NOAUTH"},
		"wrong password": {"redis://:falsch@" + locked.Addr() + "/0", "store redis://:xxxxx@" + locked.Addr() + "/0: WRONGPASS"},
		"no such db":     {"redis://:geheim@" + locked.Addr() + "/999", "store redis://:xxxxx@" + locked.Addr() + "/999: ERR DB index is out of range"},
		"db no number":   {"redis://:geheim@h/x", `store redis://:xxxxx@h/x: redis: invalid database number: "x"`},
		"no port":        {"redis://:geheim@h:pqr/0", "store redis://xxxxx@h:pqr/0: not a URL such as redis://:password@127.0.0.1:6379/0"},
		"odd option":     {"redis://:geheim@h/0?colour=red", "store redis://:xxxxx@h/0?colour=red: redis: unexpected option: colour"},
		"other scheme":   {"mysql://u:geheim@h/d", `store "mysql://u:xxxxx@h/d": unknown; use one of bolt, memory, redis://, rediss://, unix://`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), test.url, "")
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			for _, secret := range []string{"geheim", "falsch"} {
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Errorf("the password is in the error: %v", err)
				}
			}
		})
	}
}

// TestRedisPasswordIsNeverLogged: neither when it is lost nor when it is back.
func TestRedisPasswordIsNeverLogged(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "geheim")
	m := join(t, "redis://:geheim@"+server.Addr()+"/0")
	m.add("192.0.2.1/32")
	server.Kill()
	until(t, "noticed", m.store.isAway)
	if err := m.store.Save(t.Context(), nil); err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("save: %v", err)
	}
	server.Run()
	until(t, "back", func() bool { return !m.store.isAway() })
	if m.log.count("geheim") != 0 || m.log.count(":xxxxx@") == 0 {
		t.Errorf("logged: %s", m.log.b.String())
	}
}

func TestRedisHidesASecretThatTheServerRepeats(t *testing.T) {
	s, err := newShared("redis://:geheim@127.0.0.1:1/0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.hide(fmt.Errorf("no user with geheim")).Error(); got != "no user with xxxxx" {
		t.Errorf("got %q", got)
	}
}

// TestRedisNoRequestWaits: the engine's calls are memory only, whatever the
// server does.
func TestRedisNoRequestWaits(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	m := join(t, "redis://"+l.Addr().String())
	began := time.Now()
	for i := range 1000 {
		client := fmt.Sprintf("10.0.%d.%d", i/256, i%256)
		m.Admit(time.Now(), ban.Request{Client: single(client)})
		m.probe(client, "/a")
	}
	if took := time.Since(began); took > redisTimeout {
		t.Errorf("1000 requests took %v", took)
	}
}
