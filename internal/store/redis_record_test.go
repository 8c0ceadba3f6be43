package store

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/store/redistest"
)

// offline is a store that never connects, for what needs no server.
func offline(tb testing.TB) *shared {
	tb.Helper()
	quiet()
	s, err := newShared("redis://127.0.0.1:1/0")
	if err != nil {
		tb.Fatal(err)
	}
	s.log = slog.New(slog.DiscardHandler)
	tb.Cleanup(func() { s.Close() })
	return s
}

// ears collect what a store tells its follower.
type ears struct {
	news  []ban.News
	again int
}

func (e *ears) Take(_ time.Time, n ban.News) { e.news = append(e.news, n) }

func (e *ears) SaveAgain() { e.again++ }

func listener(tb testing.TB) (*shared, *ears) {
	s, e := offline(tb), &ears{}
	s.follower = e
	return s, e
}

// message is a decision as the saving script publishes it.
func message(seq, gen int, r ban.Record) string {
	data := ""
	if r.Ban != nil {
		data = string(encode(nil, decisionOf(r)))
	}
	return fmt.Sprintf("epoch another %d %d %d %d %s %s", seq, gen, epoch.UnixMicro(), epoch.Add(time.Hour).UnixMilli(), r.Client, data)
}

func TestHeardDecisions(t *testing.T) {
	s, e := listener(t)
	r := banned("192.0.2.1/32")
	lifted := ban.Record{Client: r.Client}
	for _, m := range []string{
		message(1, 1, r),
		message(1, 1, r),      // the same again
		message(3, 2, lifted), // a later one
		message(2, 1, r),      // the earlier one, late
		message(4, 1, r),      // of a generation that is over
	} {
		s.heard(m)
	}
	if len(e.news) != 2 || e.news[0].Ban == nil || e.news[1].Ban != nil {
		t.Fatalf("told %+v, want the ban and its end", e.news)
	}
	if !e.news[0].Decided || !e.news[1].Decided || e.news[0].Client != r.Client {
		t.Errorf("told %+v, want decisions", e.news)
	}
	equal(t, []ban.Record{e.news[0].Record}, []ban.Record{decisionOf(r)})
}

func TestHeardNonsense(t *testing.T) {
	s, e := listener(t)
	s.epoch = "epoch"
	whole := message(1, 1, banned("192.0.2.1/32"))
	own := strings.Replace(whole, "another", s.instance, 1)
	for _, m := range []string{"", "x", "a b c d e f g", own, strings.Replace(whole, "192.0.2.1/32", "192.0.2.1", 1), whole[:len(whole)-9], "x" + whole} {
		s.heard(m)
	}
	if len(e.news) != 0 {
		t.Errorf("told %+v, want nothing", e.news)
	}
}

func FuzzHeard(f *testing.F) {
	f.Add(message(1, 1, banned("192.0.2.1/32")))
	f.Add(message(1, 1, ban.Record{Client: netip.MustParsePrefix("2001:db8::/64")}))
	f.Add("epoch another 1 1 1 1 192.0.2.1/32 \x01")
	s, _ := listener(f)
	f.Fuzz(func(_ *testing.T, m string) { s.heard(m) })
}

func TestReadFields(t *testing.T) {
	own, other := banned("192.0.2.1/32"), banned("192.0.2.1/32")
	own.Evidence[0].Path, other.Evidence[0].Path = "/own", "/other"
	part := func(r ban.Record, till time.Time) string {
		return fmt.Sprintf("%d %s", till.UnixMilli(), encode(nil, evidenceOf(r)))
	}
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	c, err := readFields("192.0.2.1/32", 7, []any{
		"gen", "3", "at", "1795390889858827", "ban", string(encode(nil, decisionOf(own))), "from a later version", "x",
		"i:me", part(own, soon), "i:you", part(other, soon), "i:gone", part(other, past),
	}, texts{})
	if err != nil {
		t.Fatal(err)
	}
	r := c.record("me")
	if c.gen != 3 || c.seq != 7 || c.at != 1795390889858827 || len(c.parts) != 2 {
		t.Errorf("got %+v", c)
	}
	if r.Evidence[0].Path != "/own" || len(r.Others.Evidence) != 1 || r.Others.Evidence[0].Path != "/other" || r.Ban.Count != 2 {
		t.Errorf("record %+v", r)
	}
	if r = c.record("a third"); len(r.Evidence) != 0 || len(r.Others.Evidence) != 2 {
		t.Errorf("seen by a third: %+v", r)
	}
}

func TestReadFieldsDamaged(t *testing.T) {
	blob := string(encode(nil, banned("192.0.2.1/32")))
	for name, test := range map[string]struct {
		client string
		fields []any
	}{
		"no client":           {"somebody", nil},
		"odd":                 {"192.0.2.1/32", []any{"gen"}},
		"ban cut off":         {"192.0.2.1/32", []any{"ban", blob[:20]}},
		"ban without ban":     {"192.0.2.1/32", []any{"ban", string(encode(nil, evidenceOf(banned("192.0.2.1/32"))))}},
		"ban is no text":      {"192.0.2.1/32", []any{"ban", int64(3)}},
		"evidence cut off":    {"192.0.2.1/32", []any{"i:x", "99999999999999 " + blob[:20]}},
		"evidence of version": {"192.0.2.1/32", []any{"i:x", "99999999999999 \x02"}},
	} {
		if c, err := readFields(test.client, 1, test.fields, texts{}); err == nil {
			t.Errorf("%s: no error, got %+v", name, c)
		}
	}
	if _, err := readState([]any{"192.0.2.1/32"}, texts{}); err == nil {
		t.Error("a state without sequence: no error")
	}
}

func TestAnswers(t *testing.T) {
	r, theirs := banned("192.0.2.1/32"), banned("192.0.2.1/32")
	theirs.Ban.Reason = "theirs"
	reply := func(gen, seq, overruled int64, extra ...any) any {
		return append([]any{gen, seq, overruled, "1795390889858827"}, extra...)
	}
	their := string(encode(nil, decisionOf(theirs)))
	for name, test := range map[string]struct {
		reply   any
		decided bool
		others  int
	}{
		"accepted":                {reply(1, 5, 0, ""), false, 0},
		"accepted beside another": {reply(1, 5, 0, "", string(encode(nil, evidenceOf(theirs)))), false, 1},
		"overruled":               {reply(2, 0, 1, their), true, 0},
		"overruled by an unban":   {reply(2, 0, 1, ""), true, 0},
	} {
		s, e := listener(t)
		if err := s.settle([]ban.Record{r}, []any{test.reply}); err != nil {
			t.Fatal(err)
		}
		if len(e.news) != 1 || e.news[0].Decided != test.decided || !e.news[0].Answer || len(e.news[0].Others.Evidence) != test.others {
			t.Errorf("%s: told %+v", name, e.news)
		}
	}
	s, e := listener(t)
	for _, bad := range []any{nil, "x", []any{int64(1)}, reply(1, 1, 1, their[:9]), reply(1, 1, 0, "", "\x07")} {
		if err := s.settle([]ban.Record{r}, []any{bad}); err != nil || len(e.news) != 0 {
			t.Errorf("answer %v: error %v, told %+v; want to leave it alone", bad, err, e.news)
		}
	}
	if err := s.settle([]ban.Record{r}, nil); err == nil {
		t.Error("no answer for a record: no error")
	}
}

func TestRecordsMadeBeforeTheNewsAreOverruled(t *testing.T) {
	now := time.Now()
	r := banned("192.0.2.1/32")
	at, later := r.Ban.Since.UnixMicro(), r.Ban.Since.UnixMicro()+1
	valid := now.Add(time.Hour)
	for name, test := range map[string]struct {
		known mark
		r     ban.Record
		want  bool
	}{
		"nothing known":                   {mark{}, r, false},
		"our ban":                         {mark{gen: 1, at: at, banned: true, expires: valid}, r, false},
		"a later ban of others":           {mark{gen: 2, at: later, banned: true, expires: valid}, r, true},
		"a later unban of others":         {mark{gen: 2, at: later, expires: valid}, r, true},
		"evidence, a ban of others":       {mark{gen: 1, at: at, banned: true, expires: valid}, evidenceOf(r), true},
		"evidence, an unban of others":    {mark{gen: 1, at: at, expires: valid}, evidenceOf(r), false},
		"evidence, a ban that is no more": {mark{gen: 1, at: at, banned: true, expires: now.Add(-1)}, evidenceOf(r), false},
		"an unban":                        {mark{gen: 1, at: at, banned: true, expires: valid}, ban.Record{Client: r.Client}, false},
	} {
		if got := test.known.outdates(now, test.r, at); got != test.want {
			t.Errorf("%s: outdated %v, want %v", name, got, test.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "x": 0, "7": 7, "-1": -1, "1e+06": 1_000_000, "1795390889858827": 1795390889858827} {
		if got := number(text); got != want {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	}
}

func TestPruneForgetsWhatIsOver(t *testing.T) {
	s := offline(t)
	now := time.Now()
	s.known[single("192.0.2.1")], s.known[single("192.0.2.2")] = mark{expires: now.Add(-1)}, mark{expires: now.Add(time.Hour)}
	s.prune(now)
	if len(s.known) != 1 {
		t.Errorf("known: %v, want 192.0.2.2 only", s.known)
	}
}

// TestRedisConverges: whatever three instances decide, in whatever order, with
// the server killed or emptied meanwhile, they agree in the end.
func TestRedisConverges(t *testing.T) {
	server := redistest.Start(t)
	plain := connect(t, server)
	all := three(t, server.URL())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	for step := range 300 {
		m, client := all[dice.IntN(3)], fmt.Sprintf("192.0.2.%d", dice.IntN(8))
		switch dice.IntN(10) {
		case 0, 1:
			m.add(client + "/32")
		case 2:
			m.Remove(time.Now(), single(client))
		case 3:
			m.add("198.51.100.0/24")
		case 4:
			m.Remove(time.Now(), netip.MustParsePrefix("198.51.100.0/24"))
		default:
			m.probe(client, fmt.Sprint("/", dice.IntN(6)))
		}
		switch step {
		case 100:
			server.Kill()
		case 150:
			server.Run()
			until(t, "all are back", everyone(all, func(m *member) bool { return !m.store.isAway() }))
		case 200:
			plain.FlushAll(t.Context())
		}
		time.Sleep(time.Duration(dice.IntN(10)) * time.Millisecond)
	}
	bans := func(m *member) (list []string) {
		for _, b := range m.Bans(time.Now()) {
			list = append(list, fmt.Sprint(b.Client, b.Since.UnixMicro()))
		}
		return list
	}
	t.Cleanup(func() {
		for i, m := range all {
			t.Logf("instance %d: bans %v, %d unsaved", i, bans(m), m.Stats(time.Now()).Unsaved)
		}
	})
	until(t, "all agree", func() bool {
		first := bans(all[0])
		return slices.Equal(first, bans(all[1])) && slices.Equal(first, bans(all[2])) && len(first) > 0 &&
			everyone(all, func(m *member) bool { return m.Stats(time.Now()).Unsaved == 0 })()
	})
	last := join(t, server.URL())
	if !slices.Equal(bans(last), bans(all[0])) {
		t.Errorf("one that joins has the bans %v, the others %v", bans(last), bans(all[0]))
	}
}
