package ban

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// told collects what Config.SharedBan hears.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (h *told) hear(b Ban, here bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf("%s %v", FormatClient(b.Client), here))
}

// probes are pieces of evidence of other engines for distinct paths.
func probes(paths ...string) Share {
	var s Share
	for i, path := range paths {
		s.Evidence = append(s.Evidence, Piece{Time: start.Add(time.Duration(-i) * time.Second), Kind: UnexpectedPath, Path: path, Weight: 1})
	}
	return s
}

func others(client string, s Share) News {
	return News{Record: Record{Client: prefix(client), Others: s}}
}

// foreign is a decision of another engine.
func foreign(client string, change func(*Ban)) News {
	b := Ban{Client: prefix(client), Since: start.Add(-time.Second), Until: start.Add(time.Hour), Rule: RuleUnexpected, Reason: "elsewhere", Penalty: Reject, Count: 2, Refusals: 9}
	if change != nil {
		change(&b)
	}
	return News{Record: Record{Client: b.Client, Ban: &b, Last: start, Spent: probes("/old").Evidence}, Decided: true}
}

func (e *Engine) probe(client string, paths ...string) (out Outcome) {
	for _, path := range paths {
		out = e.offend(client, Evidence{Kind: UnexpectedPath, Path: path})
	}
	return out
}

func (e *Engine) refuses(client string) bool {
	return e.Admit(start, Request{Client: prefix(client)}).Refused()
}

func TestOthersEvidenceCountsWithOurs(t *testing.T) {
	h := &told{}
	e := newEngine(t, Config{SharedBan: h.hear})
	e.probe("192.0.2.1/32", "/a", "/b")
	e.Take(start, others("192.0.2.1/32", probes("/c", "/d")))
	if x := e.Why(start, prefix("192.0.2.1/32")); x.Score != 4 || len(x.Evidence) != 4 || x.State != "suspect" {
		t.Errorf("score %v, state %s, %d pieces; want 4, suspect, 4", x.Score, x.State, len(x.Evidence))
	}
	if out := e.probe("192.0.2.1/32", "/c"); out.Counted || out.Banned != nil {
		t.Errorf("a path that another engine has counted: %+v", out)
	}
	out := e.probe("192.0.2.1/32", "/e")
	if out.Banned == nil || out.Banned.Reason != "score 5 within 10m0s: 5 unexpected_path" {
		t.Fatalf("the fifth path in all: got %+v, want a ban for five", out.Banned)
	}
	if x := e.Why(start, prefix("192.0.2.1/32")); len(x.Evidence) != 5 {
		t.Errorf("%d pieces led to the ban, want 5: %+v", len(x.Evidence), x.Evidence)
	}
	if len(h.lines) != 0 {
		t.Errorf("told of a ban that an outcome has: %v", h.lines)
	}
}

func TestOthersEvidenceCrossesTheThreshold(t *testing.T) {
	h := &told{}
	e := newEngine(t, Config{SharedBan: h.hear})
	e.probe("192.0.2.1/32", "/a", "/b")
	e.Take(start, others("192.0.2.1/32", probes("/c", "/d", "/e")))
	if !e.refuses("192.0.2.1/32") {
		t.Error("five paths over two engines: not refused")
	}
	if diff := cmp.Diff([]string{"192.0.2.1 true"}, h.lines); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	_, records := e.collect()
	if len(records) != 1 || records[0].Ban == nil {
		t.Errorf("to be saved: %+v, want the ban", records)
	}
}

func TestSameEvidenceTwiceCountsOnce(t *testing.T) {
	e := newEngine(t, Config{})
	e.probe("192.0.2.1/32", "/a", "/b")
	for range 10 { // reconciling tells the same again and again
		e.Take(start, others("192.0.2.1/32", probes("/b", "/a", "/c", "/c")))
	}
	if x := e.Why(start, prefix("192.0.2.1/32")); x.Score != 3 {
		t.Errorf("score %v, want 3", x.Score)
	}
	e.Take(start, others("192.0.2.1/32", Share{}))
	if x := e.Why(start, prefix("192.0.2.1/32")); x.Score != 2 {
		t.Errorf("score %v after the others forgot, want 2", x.Score)
	}
}

func TestEachOccurrenceCountsWhereverItWas(t *testing.T) {
	e := newEngine(t, Config{})
	e.offend("192.0.2.1/32", Evidence{Kind: LoginFailed, Path: "/login"})
	s := Share{Evidence: []Piece{{Time: start, Kind: LoginFailed, Path: "/login", Weight: 1}, {Time: start, Kind: LoginFailed, Path: "/login", Weight: 1}}}
	e.Take(start, others("192.0.2.1/32", s))
	if x := e.Why(start, prefix("192.0.2.1/32")); x.Score != 3 {
		t.Errorf("score of three failed logins: %v", x.Score)
	}
}

func TestOthersOverflowAndSoftPaths(t *testing.T) {
	e := newEngine(t, Config{MaxRetry: 1000})
	e.offend("192.0.2.1/32", Evidence{Kind: BadValue, Path: "/s"})
	s := Share{
		Evidence: []Piece{{Time: start, Kind: UnexpectedMethod, Path: "/s", Weight: .5, Soft: true}},
		More:     []Overflow{{Start: start, Hard: 3, Soft: 1, SoftPaths: 2}},
	}
	for i := range mostOthers + 5 {
		s.Evidence = append(s.Evidence, Piece{Time: start, Kind: UnexpectedPath, Path: fmt.Sprint("/", i), Weight: 1})
	}
	e.Take(start, others("192.0.2.1/32", s))
	x := e.Why(start, prefix("192.0.2.1/32"))
	if want := float64(mostOthers+5) + 3 + 1 + 1; x.Score != want || x.SoftPaths != 3 {
		t.Errorf("score %v, %d soft paths; want %v, 3", x.Score, x.SoftPaths, want)
	}
	if n := len(x.Evidence); n != mostOthers+1 {
		t.Errorf("%d pieces remembered whole, want %d", n, mostOthers+1)
	}
}

func TestOthersEvidenceLeaksAway(t *testing.T) {
	e := newEngine(t, Config{})
	e.Take(start, others("192.0.2.1/32", probes("/a", "/b")))
	e.Expire(start.Add(time.Minute))
	if got := e.Stats(start).Dossiers; got != 1 {
		t.Fatalf("%d dossiers while the evidence counts, want 1", got)
	}
	e.Expire(start.Add(DefaultFindTime))
	if got := e.Stats(start).Dossiers; got != 0 {
		t.Errorf("%d dossiers after findtime, want 0", got)
	}
	if _, records := e.collect(); len(records) != 1 || !records[0].Forgotten {
		t.Errorf("records %+v, want one that was only forgotten", records)
	}
}

func TestForeignBanIsOurs(t *testing.T) {
	h := &told{}
	e := newEngine(t, Config{SharedBan: h.hear})
	e.probe("192.0.2.1/32", "/a", "/b", "/c", "/d")
	e.Take(start, foreign("192.0.2.1/32", nil))
	e.Take(start, foreign("192.0.2.1/32", nil))
	d := e.Admit(start, Request{Client: prefix("192.0.2.1/32")})
	if !d.Refused() || d.Refusals != 1 || d.Reason != "elsewhere" {
		t.Errorf("got %+v, want the first refusal of the other's ban", d)
	}
	if diff := cmp.Diff([]string{"192.0.2.1 false"}, h.lines); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if _, records := e.collect(); len(records) != 0 {
		t.Errorf("what others decided waits to be saved: %+v", records)
	}
	after := start.Add(2 * time.Hour)
	if out := e.Observe(after, Observation{Client: prefix("192.0.2.1/32"), Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}}); out.Banned == nil || out.Banned.Count != 3 {
		t.Errorf("the next ban: %+v, want count 3", out.Banned)
	}
}

func TestForeignBanOfThoseWhoAreNeverBanned(t *testing.T) {
	e := newEngine(t, Config{Standing: func(netip.Addr) Standing { return Never }})
	e.Take(start, foreign("192.0.2.1/32", nil))
	e.Take(start, others("192.0.2.2/32", probes("/a", "/b", "/c", "/d", "/e")))
	for _, client := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
		if e.refuses(client) {
			t.Errorf("%s is refused, though never to be banned here", client)
		}
	}
}

func TestObservedBansStayWhereTheyWereMade(t *testing.T) {
	e := newEngine(t, Config{})
	e.probe("192.0.2.1/32", "/a")
	e.Take(start, foreign("192.0.2.1/32", func(b *Ban) { b.Observed = true }))
	if e.refuses("192.0.2.1/32") || e.Why(start, prefix("192.0.2.1/32")).Score != 1 {
		t.Errorf("a ban of observe mode did something: %+v", e.Why(start, prefix("192.0.2.1/32")))
	}
}

func TestForeignUnbanEndsBanAndScore(t *testing.T) {
	e := newEngine(t, Config{})
	e.Take(start, foreign("192.0.2.1/32", nil))
	e.probe("192.0.2.2/32", "/a", "/b")
	for _, client := range []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"} {
		e.Take(start, News{Record: Record{Client: prefix(client)}, Decided: true})
	}
	if e.refuses("192.0.2.1/32") || e.Why(start, prefix("192.0.2.2/32")).Score != 0 {
		t.Error("the ban or the score is left")
	}
	for _, client := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
		if e.Grace(start, prefix(client)).IsZero() {
			t.Errorf("%s has no grace here", client)
		}
	}
	e.Expire(start.Add(DefaultFindTime))
	if got := e.Stats(start).Dossiers; got != 0 {
		t.Errorf("%d dossiers are left", got)
	}
}

func TestAPersonsWordIsNotOverruledBeforeItIsSaved(t *testing.T) {
	e := newEngine(t, Config{})
	if err := e.Add(start, Ban{Client: prefix("192.0.2.1/32"), Reason: "ours"}); err != nil {
		t.Fatal(err)
	}
	e.Take(start, News{Record: Record{Client: prefix("192.0.2.1/32")}, Decided: true})
	e.Take(start, foreign("192.0.2.2/32", nil))
	e.Remove(start, prefix("192.0.2.2/32"))
	e.Take(start, foreign("192.0.2.2/32", nil))
	if !e.refuses("192.0.2.1/32") || e.refuses("192.0.2.2/32") {
		t.Errorf("bans %+v; want only the one of 192.0.2.1", e.Bans(start))
	}
	_, records := e.collect()
	for _, r := range records {
		if r.Forgotten {
			t.Errorf("%s: what a person ended is no mere forgetting", r.Client)
		}
	}
}

func TestOurOwnPendingBanGivesWayToAnothers(t *testing.T) {
	e := newEngine(t, Config{})
	e.probe("192.0.2.1/32", "/a", "/b", "/c", "/d", "/e")
	e.Take(start, foreign("192.0.2.1/32", nil))
	if bans := e.Bans(start); len(bans) != 1 || bans[0].Reason != "elsewhere" {
		t.Errorf("got %+v, want the ban that came first", bans)
	}
	if _, records := e.collect(); len(records) != 0 {
		t.Errorf("ours waits to be saved: %+v", records)
	}
}

func TestForeignNetworks(t *testing.T) {
	h := &told{}
	e := newEngine(t, Config{SharedBan: h.hear})
	ban := foreign("198.51.100.0/24", func(b *Ban) { b.Manual = true })
	e.Take(start, ban)
	e.Take(start, ban)
	e.Take(start, others("198.51.100.0/24", probes("/a")))
	if !e.refuses("198.51.100.7/32") || len(h.lines) != 1 {
		t.Errorf("a network's ban: refuses %v, told %v", e.refuses("198.51.100.7/32"), h.lines)
	}
	lifted := News{Record: Record{Client: prefix("198.51.100.0/24")}, Decided: true}
	e.Take(start, lifted)
	if e.refuses("198.51.100.7/32") {
		t.Error("a network's ban that was lifted refuses")
	}
	if err := e.Add(start, Ban{Client: prefix("198.51.100.0/24")}); err != nil {
		t.Fatal(err)
	}
	e.Take(start, lifted)
	if !e.refuses("198.51.100.7/32") {
		t.Error("a person's ban was overruled before it was saved")
	}
}

func TestTakeNothing(t *testing.T) {
	e := newEngine(t, Config{})
	e.Take(start, News{})
	e.Take(start, others("192.0.2.1/32", Share{}))
	e.Take(start, News{Record: Record{Client: prefix("192.0.2.0/24")}, Decided: true})
	if got := e.Stats(start); got.Clients != 0 || got.Banned != 0 {
		t.Errorf("got %+v, want nothing", got)
	}
}

func TestForeignBansAreBoundedToo(t *testing.T) {
	e := newEngine(t, Config{MaxClients: 100})
	for i := range 1000 {
		client := fmt.Sprintf("10.0.%d.%d/32", i/256, i%256)
		e.Take(start, foreign(client, nil))
		e.Take(start, others(fmt.Sprintf("10.1.%d.%d/32", i/256, i%256), probes("/a")))
	}
	if got := e.Stats(start).Clients; got > 100 {
		t.Errorf("%d clients tracked, want 100 at most", got)
	}
}

func TestRestoreWithOthersEvidence(t *testing.T) {
	st := mapStore{}
	r := Record{Client: prefix("192.0.2.1/32"), Others: probes("/a", "/b"), Last: start, Expires: start.Add(time.Hour)}
	st[r.Client] = r
	e := newEngine(t, Config{})
	if err := e.Restore(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if x := e.Why(start, prefix("192.0.2.1/32")); x.Score != 2 {
		t.Errorf("score %v, want 2", x.Score)
	}
	if out := e.probe("192.0.2.1/32", "/c", "/d", "/e"); out.Banned == nil {
		t.Error("no ban at the fifth path")
	}
}

// cluster is a shared store that hands its follower to the test.
type cluster struct {
	flaky
	followers chan Follower
}

func (c *cluster) Follow(ctx context.Context, f Follower) error {
	c.followers <- f
	<-ctx.Done()
	return nil
}

func TestServeFollowsASharedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, st := newEngine(t, Config{}), &cluster{flaky: flaky{records: mapStore{}}, followers: make(chan Follower, 1)}
		stop := serve(t, e, st)
		f := <-st.followers
		e.probe("192.0.2.1/32", "/a")
		time.Sleep(sharedEvery + time.Millisecond)
		synctest.Wait()
		if !st.has("192.0.2.1/32") {
			t.Error("evidence was not shared in time")
		}
		st.mu.Lock()
		st.records = mapStore{}
		st.mu.Unlock()
		f.SaveAgain()
		synctest.Wait()
		if !st.has("192.0.2.1/32") {
			t.Error("SaveAgain did not save at once")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestAwayStoreIsTriedAsSoonAsItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := 0
		e := newEngine(t, Config{StoreError: func(error) { heard++ }})
		st := &cluster{flaky: flaky{records: mapStore{}}, followers: make(chan Follower, 1)}
		stop := serve(t, e, st)
		st.fail(fmt.Errorf("test: %w", ErrAway))
		e.offend("192.0.2.1/32", Evidence{Kind: Honeypath, Path: "/.env"})
		if err := e.Add(start, Ban{Client: prefix("198.51.100.0/24")}); err != nil {
			t.Fatal(err)
		}
		if err := e.Flush(t.Context()); !errors.Is(err, ErrAway) {
			t.Errorf("flush: %v, want that the store is away", err)
		}
		time.Sleep(time.Minute)
		st.fail(nil)
		(<-st.followers).SaveAgain()
		synctest.Wait()
		if !st.has("192.0.2.1/32") || !st.has("198.51.100.0/24") {
			t.Error("bans were not saved when the store came back")
		}
		if heard != 0 {
			t.Errorf("told %d times of a store that tells itself", heard)
		}
		st.fail(fmt.Errorf("test: %w", ErrAway))
		e.probe("192.0.2.2/32", "/a")
		if err := stop(); err != nil {
			t.Errorf("ended with %v, want nil: the others have what was shared", err)
		}
	})
}

func TestLiftedIsTriedAgain(t *testing.T) {
	e := newEngine(t, Config{})
	e.offend("192.0.2.1/32", Evidence{Kind: Honeypath, Path: "/.env"})
	e.Remove(start, prefix("192.0.2.1/32"))
	for range 3 {
		waiting, records := e.collect()
		if len(records) != 1 || records[0].Forgotten || !records[0].Empty() {
			t.Fatalf("got %+v, want that the ban was ended", records)
		}
		e.remark(waiting)
	}
}

// TestTakeWhileServing is for the race detector.
func TestTakeWhileServing(t *testing.T) {
	e := newEngine(t, Config{MaxClients: 64})
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := range 500 {
				client := fmt.Sprintf("10.0.0.%d/32", i%50)
				switch n {
				case 0:
					e.Take(start, foreign(client, nil))
				case 1:
					e.Take(start, others(client, probes("/a", "/b", "/c")))
				case 2:
					e.probe(client, fmt.Sprint("/", i))
					e.refuses(client)
				default:
					e.SaveAgain()
					e.Remove(start, prefix(client))
					e.collect()
				}
			}
		})
	}
	all.Wait()
}

// TestAPersonsWordOnItsWayToTheStore: news that were read before it arrived
// there don't undo it, the store's own answer does.
func TestAPersonsWordOnItsWayToTheStore(t *testing.T) {
	for _, client := range []string{"192.0.2.1/32", "198.51.100.0/24"} {
		e := newEngine(t, Config{})
		e.Take(start, foreign(client, nil))
		e.Remove(start, prefix(client))
		waiting, _ := e.collect()
		e.Take(start, foreign(client, nil))
		if len(e.Bans(start)) != 0 {
			t.Errorf("%s: older news undid an unban on its way", client)
		}
		answer := foreign(client, nil)
		answer.Answer = true
		e.Take(start, answer)
		if len(e.Bans(start)) != 1 {
			t.Errorf("%s: the store's answer was not taken over", client)
		}
		e.Remove(start, prefix(client))
		e.Take(start, answer)
		if len(e.Bans(start)) != 0 {
			t.Errorf("%s: the answer to an earlier save undid a later unban", client)
		}
		e.settled(waiting) // of the earlier word: the later one still waits
		e.Take(start, foreign(client, nil))
		if len(e.Bans(start)) != 0 {
			t.Errorf("%s: a word was forgotten before it was saved", client)
		}
		waiting, _ = e.collect()
		e.settled(waiting)
		e.Take(start, foreign(client, nil))
		if len(e.Bans(start)) != 1 {
			t.Errorf("%s: a word that is saved still holds against news", client)
		}
	}
}

// countsLogins is a rule that counts.
func countsLogins(measure Measure) Rule {
	r := Rule{Name: "login", Measure: measure, MaxRetry: 4, Match: Match{Status: []StatusRange{{401, 401}}}}
	if measure == Throttle {
		r.Limits.Rate = 1
	}
	return r
}

func (e *Engine) failLogin(client string) Outcome {
	return e.Observe(start, Observation{Client: prefix(client), Known: true, Found: true, Status: 401, Route: "/login"})
}

// tells gives others what an engine would save of all its clients.
func (e *Engine) tells(other *Engine) {
	_, records := e.collect()
	for _, r := range records {
		other.Take(start, News{Record: Record{Client: r.Client, Others: Share{Evidence: r.Evidence, More: r.More, Counts: r.Counts}}})
	}
}

// TestRuleCountsOverEngines: three failures here and one elsewhere are four, as
// they would be with one engine.
func TestRuleCountsOverEngines(t *testing.T) {
	var told []Ban
	one := newEngine(t, Config{Rules: []Rule{countsLogins(Block)}})
	two := newEngine(t, Config{Rules: []Rule{countsLogins(Block)}, SharedBan: func(b Ban, here bool) { told = append(told, b) }})
	two.failLogin("192.0.2.1/32")
	one.failLogin("192.0.2.1/32")
	one.failLogin("192.0.2.1/32")
	one.tells(two)
	one.failLogin("192.0.2.2/32")
	one.tells(two) // what was told twice counts once
	if lines := two.Why(start, prefix("192.0.2.1/32")).Rules; len(lines) != 1 || lines[0].Matches != 3 || two.refuses("192.0.2.1/32") {
		t.Fatalf("after three: %+v", lines)
	}
	one.failLogin("192.0.2.1/32")
	one.tells(two)
	if !two.refuses("192.0.2.1/32") || two.refuses("192.0.2.2/32") {
		t.Error("the fourth failure did not ban, or somebody else")
	}
	if len(told) != 1 || told[0].Rule != "login" {
		t.Errorf("told of %v", told)
	}
	if got := two.report("login"); got.Bans != 1 || got.Hits != 2 { // the ban, and the request that it refused
		t.Errorf("the report says %+v", got)
	}
}

func (e *Engine) report(name string) RuleReport {
	for _, r := range e.Rules() {
		if r.Name == name {
			return r
		}
	}
	return RuleReport{}
}

func TestForeignCountsThrottle(t *testing.T) {
	one, two := newEngine(t, Config{Rules: []Rule{countsLogins(Throttle)}}), newEngine(t, Config{Rules: []Rule{countsLogins(Throttle)}})
	for range 4 {
		one.failLogin("192.0.2.1/32")
	}
	one.tells(two)
	for range 2 {
		two.Done(two.Admit(start, Request{Client: prefix("192.0.2.1/32"), Known: true, Route: "/", Method: "GET"}))
	}
	d := two.Admit(start, Request{Client: prefix("192.0.2.1/32"), Known: true, Route: "/", Method: "GET"})
	if d.Action == Allow {
		t.Error("a client over the threshold elsewhere is not throttled here")
	}
}

// TestForeignCountsSpareWhomNothingBans: an ignored client, one in its grace.
func TestForeignCountsSpareWhomNothingBans(t *testing.T) {
	one := newEngine(t, Config{Rules: []Rule{countsLogins(Block)}})
	never := newEngine(t, Config{Rules: []Rule{countsLogins(Block)}, Standing: func(netip.Addr) Standing { return Never }})
	graced := newEngine(t, Config{Rules: []Rule{countsLogins(Block)}})
	graced.probe("192.0.2.1/32", "/a", "/b", "/c", "/d", "/e")
	graced.Remove(start, prefix("192.0.2.1/32"))
	graced.settle()
	for range 3 {
		one.failLogin("192.0.2.1/32")
	}
	for _, e := range []*Engine{never, graced} {
		e.failLogin("192.0.2.1/32")
		one.failLogin("192.0.2.3/32")
		one.SaveAgain()
		_, records := one.collect()
		for _, r := range records {
			e.Take(start, News{Record: Record{Client: r.Client, Others: Share{Counts: r.Counts}}})
		}
		one.shareCount(keyOf(prefix("192.0.2.1/32")))
		if e.refuses("192.0.2.1/32") {
			t.Error("banned by what was counted elsewhere")
		}
	}
}

// settle has all that waits saved somewhere.
func (e *Engine) settle() {
	waiting, _ := e.collect()
	e.settled(waiting)
}

// TestForeignDecisionsEndCounts: what led to a ban elsewhere, or was forgiven,
// doesn't count here.
func TestForeignDecisionsEndCounts(t *testing.T) {
	for name, news := range map[string]News{
		"ban":   foreign("192.0.2.1/32", func(b *Ban) { b.Rule, b.Until = "login", start.Add(time.Second) }),
		"unban": {Record: Record{Client: prefix("192.0.2.1/32")}, Decided: true},
	} {
		e := newEngine(t, Config{Rules: []Rule{countsLogins(Block)}})
		for range 3 {
			e.failLogin("192.0.2.1/32")
		}
		e.Take(start, news)
		if lines := e.Why(start, prefix("192.0.2.1/32")).Rules; len(lines) != 0 {
			t.Errorf("%s: still counted: %+v", name, lines)
		}
	}
}

// TestRuleCountsOutliveRestart: a brute force that waits for our next start
// does not begin anew.
func TestRuleCountsOutliveRestart(t *testing.T) {
	c := Config{Rules: []Rule{countsLogins(Block)}}
	e, st := newEngine(t, c), mapStore{}
	for range 3 {
		e.failLogin("192.0.2.1/32")
	}
	_, records := e.collect()
	if err := st.Save(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	if r := st[prefix("192.0.2.1/32")]; !r.Expires.Equal(start.Add(DefaultFindTime)) {
		t.Errorf("the record expires %v", r.Expires)
	}
	e = newEngine(t, c)
	if err := e.Restore(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if e.failLogin("192.0.2.1/32").Banned == nil {
		t.Error("the count was lost")
	}
	_, records = e.collect()
	if len(records) != 1 || len(records[0].Counts) != 0 {
		t.Errorf("what was spent on a ban is saved: %+v", records)
	}
}
