package ban

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// play is one engine with one clock, and what a client does told in words.
type play struct {
	*testing.T
	*Engine
	now    time.Time
	client netip.Prefix
	// reached counts the requests that were served.
	reached, refused int
}

func newPlay(t *testing.T, c Config) *play {
	return &play{T: t, Engine: newEngine(t, c), now: start, client: netip.MustParsePrefix("192.0.2.1/32")}
}

// asks is one request with its answer, a tenth of a second after the last one.
func (p *play) asks(known bool, v *Evidence) Outcome {
	p.Helper()
	p.now = p.now.Add(100 * time.Millisecond)
	d := p.Admit(p.now, Request{Client: p.client, Known: known, Method: "GET"})
	switch d.Action {
	case Refuse:
		p.refused++
		return Outcome{}
	case Wait:
		p.now = p.now.Add(d.Wait)
		p.Waited(p.now, d, false)
	}
	p.reached++
	return p.Observe(p.now, Observation{Client: p.client, Known: known, Found: v == nil, Status: 200, Route: "/", Evidence: v})
}

func (p *play) probes(path string) Outcome {
	p.Helper()
	return p.asks(false, &Evidence{Kind: UnexpectedPath, Method: "GET", Path: path, Verdict: "unexpected_path"})
}

// browses uses the app as people do: some pages, seconds apart, in as many
// sessions.
func (p *play) browses(pages, sessions int) {
	p.Helper()
	for i := range pages {
		p.now = p.now.Add(3 * time.Second)
		for _, route := range []string{"/", "/static/<path:filename>"} {
			p.Observe(p.now, Observation{Client: p.client, Known: true, Found: true, Status: 200, Route: route, Session: uint64(i%sessions) + 1})
		}
	}
}

func (p *play) wantState(want string) {
	p.Helper()
	if x := p.Why(p.now, p.client); x.State != want {
		p.Fatalf("state %q (%s), want %q", x.State, x.Summary, want)
	}
}

func TestScannerIsBlockedAtTheFifthPath(t *testing.T) {
	p := newPlay(t, Config{})
	for i := range 100 {
		p.probes(fmt.Sprint("/scan/", i))
	}
	p.wantState("blocked")
	if p.reached != 5 || p.refused != 95 {
		t.Errorf("%d requests reached the app, %d were refused; want 5 and 95", p.reached, p.refused)
	}
}

func TestBrokenBookmarkThirtyTimes(t *testing.T) {
	p := newPlay(t, Config{})
	for range 30 {
		p.probes("/old/page.html")
	}
	p.wantState("normal")
	if p.refused != 0 {
		t.Errorf("%d requests were refused", p.refused)
	}
	if x := p.Why(p.now, p.client); x.Score != 1 {
		t.Errorf("score %v, want 1", x.Score)
	}
}

func TestFortyBrokenImagesOfOwnPage(t *testing.T) {
	p := newPlay(t, Config{})
	for reload := range 10 {
		p.asks(true, nil)
		for i := range 40 {
			p.asks(false, &Evidence{Kind: UnexpectedPath, Soft: true, Path: fmt.Sprintf("/img/%d.png", i)})
		}
		if p.Why(p.now, p.client).Ban != nil {
			t.Fatalf("banned at reload %d", reload)
		}
		p.now = p.now.Add(time.Minute)
	}
	p.wantState("suspect")
}

func TestForgedRefererIsBlockedFromThirtyPathsOn(t *testing.T) {
	p := newPlay(t, Config{})
	for i := range 30 {
		out := p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Soft: true, Path: fmt.Sprint("/scan/", i)}})
		if banned := out.Banned != nil; banned != (i == 29) {
			t.Fatalf("banned %v at path %d", banned, i+1)
		}
	}
}

// TestForgedRefererIsBlockedWhateverTheRecord: who uses the app now and then may
// cause many broken images, but not without end.
func TestForgedRefererIsBlockedWhateverTheRecord(t *testing.T) {
	p := newPlay(t, Config{})
	p.browses(100, 1)
	for i := range 480 { // 30 for each of 1 + 15 seconds
		out := p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Soft: true, Path: fmt.Sprint("/scan/", i)}})
		if banned := out.Banned != nil; banned != (i == 479) {
			t.Fatalf("banned %v at path %d", banned, i+1)
		}
	}
}

// TestLateEvidenceOutlivesTheFirst: a client of whom more is held than is
// remembered whole has, when the first of it has leaked away, the rest.
func TestLateEvidenceOutlivesTheFirst(t *testing.T) {
	p := newPlay(t, Config{})
	begin := p.now
	soft := func(path string) {
		p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Soft: true, Path: path}})
	}
	for i := range remembered {
		soft(fmt.Sprint("/early/", i))
	}
	p.now = begin.Add(9 * time.Minute)
	for i := range 6 {
		soft(fmt.Sprint("/late/", i))
	}
	p.now = begin.Add(DefaultFindTime)
	p.Expire(p.now)
	if x := p.Why(p.now, p.client); x.State != "suspect" || x.Score != 6 {
		t.Errorf("%s with score %v, want a suspect with 6", x.State, x.Score)
	}
}

func TestForeignImageOfHoneypath(t *testing.T) {
	p := newPlay(t, Config{})
	for range 30 {
		p.asks(false, &Evidence{Kind: Honeypath, Soft: true, Path: "/.env"})
	}
	p.wantState("normal")
	if x := p.Why(p.now, p.client); x.Score != 1 || x.Soft != 1 {
		t.Errorf("score %v, soft %v; want 1, 1", x.Score, x.Soft)
	}
}

func TestHoneypathBlocksAtOnce(t *testing.T) {
	p := newPlay(t, Config{})
	out := p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"})
	if out.Banned == nil || out.Banned.Rule != RuleUnexpected || out.Banned.Count != 1 {
		t.Fatalf("got %+v, want a first ban", out)
	}
	if want := "score 5 within 10m0s: 1 honeypath"; out.Banned.Reason != want {
		t.Errorf("reason %q, want %q", out.Banned.Reason, want)
	}
}

func TestKnownGoodClientMistypes(t *testing.T) {
	p := newPlay(t, Config{})
	p.browses(20, 1)
	p.wantState("known_good")
	if d := p.Admit(p.now, Request{Client: p.client, Known: true}); d.Class != High {
		t.Errorf("class %v, want high", d.Class)
	}
	p.asks(false, &Evidence{Kind: Honeypath, Path: "/wp-login.php"})
	p.wantState("known_good")
	if x := p.Why(p.now, p.client); x.Score != 1 || x.Soft != 1 {
		t.Errorf("score %v, soft %v; want 1, 1", x.Score, x.Soft)
	}
}

func TestGoodRecordIsNoImmunity(t *testing.T) {
	p := newPlay(t, Config{})
	p.browses(100, 1)
	banned := 0
	for i := range 40 {
		p.now = p.now.Add(2 * time.Second)
		if p.probes(fmt.Sprint("/scan/", i)).Banned != nil {
			banned = i + 1
			break
		}
	}
	if banned < 6 || banned > 8 {
		t.Errorf("banned at path %d, want a little later than the fifth", banned)
	}
}

func TestGoodRecordIsNotBoughtInAHurry(t *testing.T) {
	p := newPlay(t, Config{})
	for range 10_000 { // within one second, and of one route
		p.Observe(p.now, Observation{Client: p.client, Known: true, Found: true, Route: "/"})
	}
	if out := p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"}); out.Banned == nil {
		t.Error("10,000 requests in one second bought a good record")
	}
}

// TestSharedAddress has many people with sessions behind one address, among
// them one who scans: all are throttled, and blocked only much later.
func TestSharedAddress(t *testing.T) {
	p := newPlay(t, Config{})
	p.browses(500, 8)
	i := 0
	for ; i < 19; i++ {
		p.now = p.now.Add(2 * time.Second)
		if p.probes(fmt.Sprint("/scan/", i)).Banned != nil {
			t.Fatalf("the shared address was blocked at path %d", i+1)
		}
	}
	p.wantState("suspect")
	x := p.Why(p.now, p.client)
	if !x.Shared || !strings.Contains(x.Summary, "many sessions share this address") {
		t.Errorf("not explained as shared: %s", x.Summary)
	}
	if p.probes("/scan/last").Banned == nil {
		t.Error("not blocked at four times maxretry")
	}
}

func TestBansGrowToAWeek(t *testing.T) {
	p := newPlay(t, Config{Rand: func() float64 { return 0.5 }})
	want := 10 * time.Minute
	for n := range 40 { // twenty doublings more would be no int64 of nanoseconds
		out := p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: Honeypath, Path: fmt.Sprint("/", n)}})
		if out.Banned == nil || out.Banned.Count != n+1 {
			t.Fatalf("ban %d: got %+v", n+1, out.Banned)
		}
		if got := out.Banned.Until.Sub(out.Banned.Since); got != want {
			t.Errorf("ban %d lasts %v, want %v", n+1, got, want)
		}
		want = min(2*want, 7*24*time.Hour)
		p.now = out.Banned.Until.Add(time.Second)
	}
}

func TestBanCountIsForgotten(t *testing.T) {
	for _, c := range []struct {
		name     string
		offended time.Duration // after the ban's end; 0: not
		after    time.Duration // the ban's end
		want     int
	}{
		{"at once", 0, 0, 2},
		{"a moment before", 0, 20*time.Minute - time.Second, 2},
		{"after twice the bantime", 0, 20 * time.Minute, 1},
		{"a moment before, with evidence since", 15 * time.Minute, 35*time.Minute - time.Second, 2},
		{"after twice the bantime without evidence", 15 * time.Minute, 35 * time.Minute, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlay(t, Config{BanJitter: -1})
			first := p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"}).Banned
			if c.offended > 0 {
				p.now = first.Until.Add(c.offended)
				p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Path: "/old"}})
			}
			p.now = first.Until.Add(c.after)
			out := p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}})
			if out.Banned == nil || out.Banned.Count != c.want {
				t.Errorf("got %+v, want count %d", out.Banned, c.want)
			}
		})
	}
}

func TestJitterIsTenPercent(t *testing.T) {
	for r, want := range map[float64]time.Duration{0: 9 * time.Minute, 0.5: 10 * time.Minute, 1: 11 * time.Minute} {
		p := newPlay(t, Config{Rand: func() float64 { return r }})
		ban := p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"}).Banned
		if got := ban.Until.Sub(ban.Since); got != want {
			t.Errorf("random %v: %v, want %v", r, got, want)
		}
	}
}

func TestUnbanSetsScoreAndCountToZero(t *testing.T) {
	p := newPlay(t, Config{BanJitter: -1})
	p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"})
	ban, ok := p.Remove(p.now, p.client)
	if !ok || ban.Client != p.client || ban.Count != 1 {
		t.Fatalf("got %+v, %v", ban, ok)
	}
	p.wantState("normal")
	if d := p.Admit(p.now, Request{Client: p.client}); d.Action != Allow {
		t.Errorf("after the unban: %v", d.Action)
	}
	p.now = p.now.Add(DefaultFindTime + time.Second) // the grace is TestGraceAfterUnban's
	for i := range 4 {
		if p.probes(fmt.Sprint("/", i)).Banned != nil {
			t.Fatal("the score was not zero")
		}
	}
	if again := p.probes("/5"); again.Banned == nil || again.Banned.Count != 1 {
		t.Errorf("got %+v, want a first ban", again.Banned)
	}
}

// TestGraceAfterUnban: whoever was unbanned goes on as before, and mustn't be
// banned again in the same minute.
func TestGraceAfterUnban(t *testing.T) {
	p := newPlay(t, Config{BanJitter: -1})
	trap := &Evidence{Kind: Honeypath, Path: "/.env"}
	p.asks(false, trap)
	p.Remove(p.now, p.client)
	grace := p.Grace(p.now, p.client)
	if got := grace.Sub(p.now); got < DefaultFindTime || got > DefaultFindTime+time.Second {
		t.Fatalf("a grace of %v, want %v", got, DefaultFindTime)
	}
	for i := range 8 {
		if out := p.probes(fmt.Sprint("/", i)); out.Banned != nil || out.Spared {
			t.Fatalf("banned again at once: %+v", out)
		}
	}
	x := p.Why(p.now, p.client)
	if x.State != "suspect" || !x.Grace.Equal(grace) || !strings.Contains(x.Summary, "since a person ended its ban") {
		t.Errorf("why says %+v", x)
	}
	p.Expire(p.now)
	if !p.Grace(p.now, p.client).Equal(grace) {
		t.Error("tidying up ended the grace")
	}
	p.now = grace
	if p.asks(false, trap).Banned == nil {
		t.Error("the grace does not end")
	}
}

func TestGraceIsNoneWhereNothingWasHeld(t *testing.T) {
	p := newPlay(t, Config{})
	p.browses(3, 1)
	p.Remove(p.now, p.client)
	if got := p.Grace(p.now, p.client); !got.IsZero() {
		t.Errorf("a grace until %v", got)
	}
	if p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"}).Banned == nil {
		t.Error("a scanner was spared")
	}
}

func TestPersonBansInGrace(t *testing.T) {
	p := newPlay(t, Config{})
	p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"})
	p.Remove(p.now, p.client)
	if err := p.Add(p.now, Ban{Client: p.client}); err != nil {
		t.Fatal(err)
	}
	if d := p.Admit(p.now, Request{Client: p.client}); !d.Refused() {
		t.Error("a person's ban does not hold in the grace")
	}
}

// TestUnbanForgetsRulesCounters: the score is zero, so must the counters be.
func TestUnbanForgetsRulesCounters(t *testing.T) {
	login := Rule{Name: "login", Measure: Block, MaxRetry: 3, Match: Match{Status: []StatusRange{{401, 401}}}}
	p := newPlay(t, Config{Rules: []Rule{login}, BanJitter: -1})
	fails := func() Outcome {
		return p.Observe(p.now, Observation{Client: p.client, Known: true, Found: true, Status: 401, Route: "/login"})
	}
	p.probes("/a")
	fails()
	fails()
	p.Remove(p.now, p.client)
	if out := fails(); out.Banned != nil {
		t.Error("what was counted before the unban led to a ban")
	}
	if got := p.Why(p.now, p.client).Rules; len(got) != 1 || got[0].Matches != 1 {
		t.Errorf("counted: %+v", got)
	}
	for range 4 {
		if out := fails(); out.Banned != nil {
			t.Error("a rule banned in the grace")
		}
	}
}

func TestAnswersOfRequestsUnderWayDontCountTwice(t *testing.T) {
	p := newPlay(t, Config{BanJitter: -1})
	bans := 0
	for i := range 50 { // admitted together, answered after each other
		if p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Path: fmt.Sprint("/", i)}}).Banned != nil {
			bans++
		}
	}
	if x := p.Why(p.now, p.client); bans != 1 || x.Bans != 1 {
		t.Errorf("%d bans, count %d; want 1, 1", bans, x.Bans)
	}
	p.now = p.now.Add(11 * time.Minute)
	p.wantState("normal")
}

func TestStandings(t *testing.T) {
	for standing, want := range map[Standing]struct {
		state  string
		spared bool
	}{
		Bannable: {"blocked", false}, SuspectOnly: {"suspect", true}, Never: {"normal", false},
	} {
		t.Run(standing.String(), func(t *testing.T) {
			p := newPlay(t, Config{Standing: func(netip.Addr) Standing { return standing }})
			var spared bool
			for i := range 20 {
				out := p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Path: fmt.Sprint("/", i)}})
				spared = spared || out.Spared
				if out.Suspect && standing == Never {
					t.Fatal("one that is never throttled became a suspect")
				}
			}
			p.wantState(want.state)
			if spared != want.spared {
				t.Errorf("spared %v, want %v", spared, want.spared)
			}
			for range 60 {
				if d := p.Admit(p.now, Request{Client: p.client}); standing == Never && d.Action != Allow {
					t.Fatalf("one that is never throttled got %v", d.Action)
				}
			}
		})
	}
}

func TestObserveModeRefusesNobody(t *testing.T) {
	p := newPlay(t, Config{Observe: true})
	observed := 0
	for i := range 100 {
		d := p.Admit(p.now, Request{Client: p.client})
		if d.Action != Allow || d.Class != Normal || d.AnswerLocally {
			t.Fatalf("observe mode decided %+v", d)
		}
		if d.Observed {
			observed++
			if d.Rule == "" || d.Reason == "" || d.Penalty == "" {
				t.Fatalf("not said what it would have been: %+v", d)
			}
		}
		p.Observe(p.now, Observation{Client: p.client, Evidence: &Evidence{Kind: UnexpectedPath, Path: fmt.Sprint("/", i)}})
	}
	if observed != 95 {
		t.Errorf("%d of 100 would have been refused, want 95", observed)
	}
	if _, banned := p.Banned(p.now, p.client.Addr()); banned {
		t.Error("observe mode refuses at accept")
	}
	if x := p.Why(p.now, p.client); !strings.HasPrefix(x.Summary, "would be refused (observe mode)") {
		t.Errorf("why: %s", x.Summary)
	}
	if err := p.Configure(Config{}); err != nil {
		t.Fatal(err)
	}
	if d := p.Admit(p.now, Request{Client: p.client}); d.Refused() {
		t.Error("a ban made in observe mode refuses after it ended")
	}
}

func TestConfigureKeepsBansAndScores(t *testing.T) {
	p := newPlay(t, Config{})
	p.probes("/a")
	p.probes("/b")
	other := netip.MustParsePrefix("192.0.2.2/32")
	p.Observe(p.now, Observation{Client: other, Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}})
	if err := p.Configure(Config{MaxRetry: 3}); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Banned(p.now, other.Addr()); !ok {
		t.Error("the ban was lost")
	}
	if p.probes("/c").Banned == nil {
		t.Error("the score was lost, or the new maxretry isn't used")
	}
	if err := p.Configure(Config{MaxRetry: -1}); err == nil || err.Error() != "ban: maxretry -1: must be above 0" {
		t.Errorf("got %v", err)
	}
}

func TestWeights(t *testing.T) {
	p := newPlay(t, Config{Weights: map[Kind]float64{UnexpectedPath: 0, ServerError: 2.5, "spam": 5}})
	if out := p.probes("/a"); out.Counted {
		t.Error("a kind of weight 0 counted")
	}
	if out := p.asks(true, &Evidence{Kind: ServerError, Path: "/user/x"}); !out.Suspect || out.Score != 2.5 {
		t.Errorf("got %+v, want a suspect of 2.5", out)
	}
	p.client = netip.MustParsePrefix("192.0.2.2/32")
	if p.asks(true, &Evidence{Kind: "spam", Path: "/post"}).Banned == nil {
		t.Error("a kind of the app's own with weight 5 did not block")
	}
}

// TestKindsOfTheAppsOwn: what an app reports counts each time, also for one path,
// and with weight 1 unless the configuration has another.
func TestKindsOfTheAppsOwn(t *testing.T) {
	p := newPlay(t, Config{Weights: map[Kind]float64{"rude": .5}})
	for kind, times := range map[Kind]int{"spam": 5, "rude": 10} {
		p.client = netip.PrefixFrom(p.client.Addr().Next(), 32)
		for i := range times {
			out := p.asks(true, &Evidence{Kind: kind, Path: "/post"})
			if banned := out.Banned != nil; banned != (i == times-1) {
				t.Errorf("%s: banned %v at report %d, want at %d", kind, banned, i+1, times)
			}
		}
	}
}

func TestBruteForceReportedByTheApp(t *testing.T) {
	p := newPlay(t, Config{})
	for i := range 5 {
		out := p.asks(true, &Evidence{Kind: LoginFailed, Method: "POST", Path: "/login", Route: "/login"})
		if banned := out.Banned != nil; banned != (i == 4) {
			t.Fatalf("banned %v at attempt %d", banned, i+1)
		}
	}
}

func TestLongTextsAreCutAndStayDistinct(t *testing.T) {
	p := newPlay(t, Config{})
	long := "/" + strings.Repeat("a", 1<<16)
	for i := range 5 {
		if out := p.probes(long + fmt.Sprint(i)); !out.Counted {
			t.Fatalf("path %d was taken for another", i)
		}
	}
	for _, line := range p.Why(p.now, p.client).Evidence {
		if len(line.Path) > maxText {
			t.Errorf("%d bytes of a path were kept", len(line.Path))
		}
	}
}

func TestClockSetBack(t *testing.T) {
	p := newPlay(t, Config{BanJitter: -1})
	p.probes("/a")
	p.now = p.now.Add(-time.Hour)
	if out := p.probes("/b"); !out.Counted || out.Score != 2 {
		t.Errorf("got %+v, want a score of 2", out)
	}
	p.now = p.now.Add(3 * time.Hour)
	if x := p.Why(p.now, p.client); x.Score != 0 {
		t.Errorf("score %v after findtime, want 0", x.Score)
	}
}
