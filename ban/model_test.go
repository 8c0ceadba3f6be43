package ban

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is what the engine should do, written as plainly as can be: it keeps
// everything for ever, sums it up anew for each question and bounds nothing.
type model struct {
	maxRetry          float64
	findTime, banTime time.Duration
	clients           map[netip.Prefix]*modelClient
}

type modelClient struct {
	offences []modelOffence
	bans     []modelBan
	// goodSeconds are those with a found route, routes the routes; seen is the
	// last second that was good or had an offence: it counts once.
	goodSeconds []int64
	seen        int64
	routes      map[string]bool
	bad         int
	// grace is until when it isn't banned, since a person ended its ban.
	grace time.Time
}

type modelOffence struct {
	at     time.Time
	kind   Kind
	path   string
	weight float64
	soft   bool
	// full says that 20 were remembered before it: its time is rounded down,
	// and it makes nothing else a repetition.
	full bool
}

type modelBan struct {
	since, until, lastEvidence time.Time
	count                      int
}

func (m *model) client(p netip.Prefix) *modelClient {
	if m.clients[p] == nil {
		m.clients[p] = &modelClient{routes: map[string]bool{}}
	}
	return m.clients[p]
}

func (m *model) counting(c *modelClient, now time.Time) []modelOffence {
	var counting []modelOffence
	for _, o := range c.offences {
		at := o.at
		if o.full {
			at = at.Truncate(m.findTime / 32)
		}
		if now.Sub(at) < m.findTime {
			counting = append(counting, o)
		}
	}
	return counting
}

func (m *model) known(c *modelClient) bool {
	return len(c.goodSeconds) >= 10 && len(c.routes) >= 2 && len(c.goodSeconds) >= 10*c.bad
}

func (m *model) ban(c *modelClient, now time.Time) *modelBan {
	if n := len(c.bans); n > 0 && now.Before(c.bans[n-1].until) {
		return &c.bans[n-1]
	}
	return nil
}

func (m *model) count(c *modelClient, now time.Time) int {
	n := len(c.bans)
	if n == 0 {
		return 0
	}
	last := c.bans[n-1]
	from := last.until
	if last.lastEvidence.After(from) {
		from = last.lastEvidence
	}
	if now.Before(from.Add(2 * last.until.Sub(last.since))) {
		return last.count
	}
	return 0
}

// weigh is the verdict table of the design for one piece.
func (m *model) weigh(c *modelClient, v Evidence) (weight float64, soft bool) {
	switch v.Kind {
	case Honeypath:
		if !v.Soft && !m.known(c) {
			return m.maxRetry, false
		}
		return 1, true
	case UnexpectedMethod, BadValue:
		return 0.5, true
	default:
		return 1, v.Soft
	}
}

// accuse returns whether the evidence counted and whether it led to a ban.
func (m *model) accuse(p netip.Prefix, now time.Time, v Evidence) (counted, banned bool) {
	c := m.client(p)
	if m.ban(c, now) != nil {
		return false, false
	}
	count := m.count(c, now)
	if count == 0 {
		c.bans = nil
	}
	whole := 0
	for _, o := range m.counting(c, now) {
		if !o.full {
			whole++
		}
		if o.kind == v.Kind && o.path == v.Path && v.Kind != LoginFailed && !o.full {
			return false, false
		}
	}
	weight, soft := m.weigh(c, v)
	c.offences = append(c.offences, modelOffence{now, v.Kind, v.Path, weight, soft, whole >= 20})
	if !v.Soft && v.Kind != UnexpectedMethod && v.Kind != BadValue {
		c.bad++
		c.seen = now.Unix()
	}
	if n := len(c.bans); n > 0 {
		c.bans[n-1].lastEvidence = now
	}
	if !m.blocks(c, now) || now.Before(c.grace) {
		return true, false
	}
	duration := time.Duration(float64(m.banTime) * math.Pow(2, float64(count)))
	c.bans = append(c.bans, modelBan{since: now, until: now.Add(min(duration, DefaultBanTimeMax)), count: count + 1})
	c.offences = nil
	return true, true
}

func (m *model) blocks(c *modelClient, now time.Time) bool {
	limit := m.maxRetry
	if m.known(c) {
		limit *= 1.5
	}
	hard, soft, paths := m.sums(c, now)
	return hard >= limit || paths >= 30*(1+len(c.goodSeconds)) && hard+soft >= limit
}

func (m *model) sums(c *modelClient, now time.Time) (hard, soft float64, softPaths int) {
	paths := map[string]bool{}
	for _, o := range m.counting(c, now) {
		switch {
		case !o.soft:
			hard += o.weight
		case o.full:
			soft += o.weight
			softPaths++
		default:
			soft += o.weight
			paths[o.path] = true
		}
	}
	return hard, soft, softPaths + len(paths)
}

func (m *model) praise(p netip.Prefix, now time.Time, route string) {
	c := m.client(p)
	c.routes[route] = true
	if len(c.goodSeconds) == 0 || c.seen != now.Unix() {
		c.goodSeconds = append(c.goodSeconds, now.Unix())
		c.seen = now.Unix()
	}
}

// mapStore is a store as naive as the model.
type mapStore map[netip.Prefix]Record

func (s mapStore) Load(_ context.Context, each func(Record) error) error {
	for _, r := range s {
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

func (s mapStore) Save(_ context.Context, records []Record) error {
	for _, r := range records {
		if s[r.Client] = r; r.Empty() {
			delete(s, r.Client)
		}
	}
	return nil
}

func (s mapStore) Close() error { return nil }

// machine is engine and model side by side.
type machine struct {
	config Config
	engine *Engine
	model  *model
	store  mapStore
	now    time.Time
}

func newMachine(t *rapid.T) *machine {
	c := Config{
		MaxRetry:  rapid.SampledFrom([]float64{1, 2.5, 5, 12, 40}).Draw(t, "maxretry"),
		FindTime:  rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute}).Draw(t, "findtime"),
		BanTime:   rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute}).Draw(t, "bantime"),
		BanJitter: -1,
	}
	m := &machine{
		config: c, store: mapStore{}, now: start,
		model: &model{c.MaxRetry, c.FindTime, c.BanTime, map[netip.Prefix]*modelClient{}},
	}
	m.start(t)
	return m
}

func (m *machine) start(t *rapid.T) {
	e, err := New(m.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Restore(context.Background(), m.store); err != nil {
		t.Fatal(err)
	}
	m.engine = e
}

func drawClient(t *rapid.T) netip.Prefix {
	return netip.MustParsePrefix(rapid.SampledFrom([]string{"192.0.2.1/32", "192.0.2.2/32", "2001:db8::/64"}).Draw(t, "client"))
}

// Probe has a client offend a few times.
func (m *machine) Probe(t *rapid.T) {
	client := drawClient(t)
	kind := rapid.SampledFrom([]Kind{UnexpectedPath, UnexpectedPath, UnexpectedMethod, BadValue, Honeypath, LoginFailed}).Draw(t, "kind")
	soft := rapid.Bool().Draw(t, "soft")
	first := rapid.IntRange(0, 60).Draw(t, "first")
	for i := range rapid.IntRange(1, 35).Draw(t, "times") {
		v := Evidence{Kind: kind, Soft: soft, Path: fmt.Sprint("/", first+i), Method: "GET"}
		counted, banned := m.model.accuse(client, m.now, v)
		got := m.engine.Observe(m.now, Observation{Client: client, Evidence: &v})
		if got.Counted != counted || (got.Banned != nil) != banned {
			t.Fatalf("%s by %s at %s: got counted %v, banned %v; want %v, %v", v.Path, client, m.now, got.Counted, got.Banned != nil, counted, banned)
		}
	}
}

// Use has a client ask the app's own routes.
func (m *machine) Use(t *rapid.T) {
	client := drawClient(t)
	for i := range rapid.IntRange(1, 15).Draw(t, "times") {
		route := []string{"/", "/user/<name>", "/<int:year>"}[i%3]
		m.model.praise(client, m.now, route)
		m.engine.Observe(m.now, Observation{Client: client, Known: true, Found: true, Status: 200, Route: route})
		m.now = m.now.Add(time.Second)
	}
}

// Wait lets time pass: moments, as long as findtime, or weeks.
func (m *machine) Wait(t *rapid.T) {
	m.now = m.now.Add(rapid.SampledFrom([]time.Duration{
		time.Millisecond, time.Second, m.config.FindTime / 3, m.config.FindTime, m.config.BanTime,
		4 * m.config.BanTime, time.Hour,
	}).Draw(t, "duration"))
}

// Unban has a person lift a ban.
func (m *machine) Unban(t *rapid.T) {
	client := drawClient(t)
	c := m.model.client(client)
	_, got := m.engine.Remove(m.now, client)
	if want := m.model.ban(c, m.now) != nil; got != want {
		t.Fatalf("remove %s: got %v, want %v", client, got, want)
	}
	if m.model.count(c, m.now) > 0 || len(m.model.counting(c, m.now)) > 0 {
		c.grace = m.now.Add(m.model.findTime + time.Second - 1).Truncate(time.Second)
	}
	c.offences, c.bans, c.bad = nil, nil, 0
}

// Expire has the engine tidy up, which must change nothing.
func (m *machine) Expire(*rapid.T) { m.engine.Expire(m.now) }

// Restart has the engine saved and another one made from the store. What is
// known only of clients in good standing is lost by that, as it may be.
func (m *machine) Restart(t *rapid.T) {
	waiting, records := m.engine.collect()
	if err := m.store.Save(context.Background(), records); err != nil {
		t.Fatal(err)
	}
	if len(waiting) != len(records) {
		t.Fatalf("%d clients to save, %d records", len(waiting), len(records))
	}
	m.start(t)
	for client, c := range m.model.clients {
		r, kept := m.store[client]
		c.grace = time.Time{}
		if !kept {
			c.goodSeconds, c.bad, c.seen = nil, 0, 0
		} else {
			c.goodSeconds, c.seen = c.goodSeconds[:r.Good], r.Last.Unix() // credited since the last save
		}
		m.syncRoutes(c, r)
	}
}

// syncRoutes takes over which routes the saved record has, or that there are
// several.
func (m *machine) syncRoutes(c *modelClient, r Record) {
	c.routes = map[string]bool{}
	for _, route := range []string{"/", "/user/<name>", "/<int:year>"} {
		if r.Routes&severalRoutes != 0 || r.Routes == fingerprint(route) {
			c.routes[route] = true
		}
	}
}

// Check compares all that can be asked.
func (m *machine) Check(t *rapid.T) {
	for client, c := range m.model.clients {
		ban := m.model.ban(c, m.now)
		d := m.engine.Admit(m.now, Request{Client: client, Known: true})
		m.engine.Waited(m.now, d, true)
		refused := d.Refused() && !d.Until.IsZero()
		if refused != (ban != nil) {
			t.Fatalf("%s at %s: refused %v, model's ban %+v", client, m.now, refused, ban)
		}
		if ban != nil && (!d.Until.Equal(ban.until) || d.Rule != RuleUnexpected) {
			t.Fatalf("%s: refused by %s until %s, want %s", client, d.Rule, d.Until, ban.until)
		}
		m.checkWhy(t, client, c)
	}
	m.checkBans(t)
	m.engine.audit(t)
}

func (m *machine) checkWhy(t *rapid.T, client netip.Prefix, c *modelClient) {
	x := m.engine.Why(m.now, client)
	hard, soft, paths := m.model.sums(c, m.now)
	if math.Abs(x.Score-hard-soft) > 1e-6 || math.Abs(x.Soft-soft) > 1e-6 || x.SoftPaths != paths {
		t.Fatalf("why %s: score %v, soft %v on %d paths; want %v, %v on %d", client, x.Score, x.Soft, x.SoftPaths, hard+soft, soft, paths)
	}
	if count := m.model.count(c, m.now); x.Bans != count {
		t.Fatalf("why %s: %d bans, want %d", client, x.Bans, count)
	}
	want := "normal"
	switch {
	case m.model.ban(c, m.now) != nil:
		want = "blocked"
	case hard+soft >= m.config.MaxRetry/2:
		want = "suspect"
	case m.model.known(c):
		want = "known_good"
	}
	if x.State != want && !(x.State == "unknown" && want == "normal") {
		t.Fatalf("why %s: state %s, want %s", client, x.State, want)
	}
}

func (m *machine) checkBans(t *rapid.T) {
	var want []netip.Prefix
	for client, c := range m.model.clients {
		if m.model.ban(c, m.now) != nil {
			want = append(want, client)
		}
	}
	slices.SortFunc(want, netip.Prefix.Compare)
	var got []netip.Prefix
	for _, b := range m.engine.Bans(m.now) {
		got = append(got, b.Client)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("bans: got %v, want %v", got, want)
	}
}

// TestEngineAgainstModel plays random histories to the engine and to the
// model, and asks both the same questions after each step.
func TestEngineAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"probe": m.Probe, "use": m.Use, "wait": m.Wait, "unban": m.Unban,
			"expire": m.Expire, "restart": m.Restart, "": m.Check,
		})
	})
}
