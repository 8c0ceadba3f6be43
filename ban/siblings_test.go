package ban

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// host is the /64 with that number in the n-th /56 of 2001:db8:1::/48.
func host(n, number int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:%x%02x::/64", n, number))
}

// scans has a client ask for a trap, and says whether it was banned for it.
func (p *play) scans(client netip.Prefix) bool {
	p.Helper()
	p.now = p.now.Add(2 * searchEvery)
	return p.Observe(p.now, Observation{Client: client, Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}}).Banned != nil
}

// family has that many clients of a /56 banned.
func (p *play) family(n, many int) {
	p.Helper()
	for i := range many {
		if !p.scans(host(n, i)) {
			p.Fatalf("%s was not banned", host(n, i))
		}
	}
}

func (p *play) uses(client netip.Prefix) {
	p.Observe(p.now, Observation{Client: client, Known: true, Found: true, Status: 200, Route: "/"})
}

func (p *play) refused64(client netip.Prefix) bool {
	return p.Admit(p.now, Request{Client: client, Known: true, Route: "/"}).Refused()
}

// TestWideningTo56: an attacker who changes from /64 to /64 loses the /56; the
// next one is not concerned.
func TestWideningTo56(t *testing.T) {
	var told []Ban
	p := newPlay(t, Config{SharedBan: func(b Ban, here bool) { told = append(told, b) }})
	p.family(1, 7)
	if p.refused64(host(1, 100)) {
		t.Fatal("seven banned clients of 256 were enough")
	}
	p.scans(host(1, 7))
	if !p.refused64(host(1, 100)) || p.refused64(host(2, 100)) {
		t.Errorf("refused in the /56: %v, beside it: %v; want true, false", p.refused64(host(1, 100)), p.refused64(host(2, 100)))
	}
	if b, ok := p.Banned(p.now, host(1, 100).Addr()); !ok || b.Rule != RuleSiblings {
		t.Errorf("at accept: %+v", b)
	}
	if len(told) != 1 || told[0].Client.String() != "2001:db8:1:100::/56" {
		t.Errorf("told of %v", told)
	}
	x := p.Why(p.now, host(1, 100))
	if x.State != "blocked" || x.Undo != "flask2ban bans remove 2001:db8:1:100::/56" ||
		!strings.Contains(x.Summary, "by rule siblings: 8 clients of this network are banned, and nobody else in it uses the app") {
		t.Errorf("why says %q, undo %q", x.Summary, x.Undo)
	}
	if x := p.Why(p.now, told[0].Client); x.InsideCount != 8 || len(x.Inside) != 8 {
		t.Errorf("%d bans inside, want 8", x.InsideCount)
	}
	last := p.Why(p.now, host(1, 7)).Bans
	p.now = told[0].Until
	if p.refused64(host(1, 100)) || last != 1 {
		t.Error("the range is refused longer than the clients for which it is")
	}
}

// TestWideningTo48: four lost /56 are a lost /48, and not one more.
func TestWideningTo48(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour})
	for n := range 4 {
		if p.refused64(host(0x80, 1)) {
			t.Fatalf("the /48 is refused after %d /56", n)
		}
		p.family(n, 8)
	}
	if !p.refused64(host(0x80, 1)) || p.refused64(netip.MustParsePrefix("2001:db8:2::/64")) {
		t.Error("want the /48 refused and its neighbour served")
	}
	if got := len(p.Inside(p.now, netip.MustParsePrefix("2001:db8:1::/48"))); got != 32+3 {
		t.Errorf("%d bans inside, want 32 clients and 3 ranges", got)
	}
}

// TestScatteredSiblings: one client of each /56 is banned; the /48 goes with the
// 32nd.
func TestScatteredSiblings(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour})
	for n := range 31 {
		p.scans(host(n, 0))
	}
	if p.refused64(host(0x80, 1)) {
		t.Fatal("31 were enough")
	}
	if p.scans(host(31, 0)); !p.refused64(host(0x80, 1)) {
		t.Error("32 banned clients of a /48 are not enough")
	}
}

// TestNoWideningOverWhoBehaves: a phone has neighbours that it doesn't know.
func TestNoWideningOverWhoBehaves(t *testing.T) {
	honest := host(1, 200)
	for name, make := range map[string]func(*play){
		"asked for a page": func(p *play) { p.uses(honest) },
		"a regular with a broken bookmark": func(p *play) {
			p.client = honest
			p.browses(20, 1)
			p.probes("/gone")
		},
		"was unbanned": func(p *play) {
			p.scans(honest)
			p.Remove(p.now, honest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t, Config{BanTime: time.Hour})
			make(p)
			p.family(1, 40)
			if p.refused64(honest) || p.refused64(host(1, 201)) {
				t.Error("refused for what its neighbours did")
			}
		})
	}
}

// TestWideningLeavesOtherRange: who behaves in one /56 saves the /48, but not
// another /56.
func TestWideningLeavesOtherRange(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour})
	p.uses(host(0x80, 1))
	for n := range 5 {
		p.family(n, 8)
	}
	if p.refused64(host(0x80, 1)) || !p.refused64(host(4, 100)) {
		t.Error("want the /48 served and the /56 refused")
	}
}

func TestWideningIsUndoneByUnban(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour})
	p.family(1, 8)
	wide := netip.MustParsePrefix("2001:db8:1:100::/56")
	if _, ok := p.Remove(p.now, wide); !ok {
		t.Fatal("there was no ban")
	}
	if p.refused64(host(1, 100)) || !p.refused64(host(1, 1)) {
		t.Error("want the range served, and those who earned their ban refused")
	}
	p.scans(host(1, 9))
	if p.refused64(host(1, 100)) || p.Grace(p.now, wide).IsZero() {
		t.Error("the range was banned again at once")
	}
	p.now = p.now.Add(DefaultFindTime)
	for i := range 7 { // with the one above as many as make a range
		p.scans(host(1, 10+i))
	}
	if !p.refused64(host(1, 100)) {
		t.Error("the grace of the range does not end")
	}
}

func TestWideningSparesWhomNothingMayBan(t *testing.T) {
	office := host(1, 200)
	p := newPlay(t, Config{Standing: func(a netip.Addr) Standing {
		if office.Contains(a) {
			return Never
		}
		return Bannable
	}})
	p.family(1, 8)
	if p.refused64(office) || !p.refused64(host(1, 100)) {
		t.Error("want the ignored client served in a banned range")
	}
	if _, ok := p.Banned(p.now, office.Addr()); ok {
		t.Error("the ignored client is refused at accept")
	}
}

func TestWideningWithinBounds(t *testing.T) {
	for _, c := range []struct {
		bits, widest int
		family       bool
	}{{64, 48, true}, {64, 56, true}, {64, 64, false}, {56, 48, false}, {48, 48, false}, {128, 48, true}} {
		p := newPlay(t, Config{IPv6Bits: c.bits, IPv6Widest: c.widest, BanTime: time.Hour})
		for i := range 8 {
			p.scans(netip.PrefixFrom(host(1, i).Addr(), c.bits).Masked())
		}
		_, got := p.Banned(p.now, host(1, 100).Addr())
		if want := c.family || c.bits < 64; got != want {
			t.Errorf("clients of /%d, at most /%d: refused %v, want %v", c.bits, c.widest, got, want)
		}
	}
	p := newPlay(t, Config{IPv6Bits: 128})
	for i := range 100 { // one /64, however many of its addresses
		p.scans(netip.MustParsePrefix(fmt.Sprintf("2001:db8:1:100::%x/128", i)))
	}
	if p.refused64(netip.MustParsePrefix("2001:db8:1:100::ffff/128")) {
		t.Error("addresses of one /64 counted as siblings")
	}
	p = newPlay(t, Config{})
	for i := range 100 {
		p.scans(netip.MustParsePrefix(fmt.Sprintf("192.0.2.%d/32", i)))
	}
	if p.refused64(netip.MustParsePrefix("192.0.2.200/32")) {
		t.Error("an IPv4 ban grew")
	}
}

// TestWideningAfterRestart: the siblings that the store had count, and a range's
// ban is loaded.
func TestWideningAfterRestart(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour})
	p.family(1, 8)
	p.family(2, 7)
	st := mapStore{}
	_, records := p.collect()
	if err := st.Save(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	p.Engine = newEngine(t, Config{BanTime: time.Hour})
	if err := p.Restore(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if !p.refused64(host(1, 100)) || p.refused64(host(2, 100)) {
		t.Error("the range's ban was lost, or another made")
	}
	if p.scans(host(2, 7)); !p.refused64(host(2, 100)) {
		t.Error("the siblings were forgotten")
	}
}

// TestForeignWidening: another instance bans a range in which this one knows
// somebody who behaves. Its ban ends for both.
func TestForeignWidening(t *testing.T) {
	wide := netip.MustParsePrefix("2001:db8:1:100::/56")
	news := News{Record: Record{Client: wide, Ban: &Ban{Client: wide, Since: start, Until: start.Add(time.Hour), Rule: RuleSiblings, Count: 1}}, Decided: true}
	p := newPlay(t, Config{})
	p.Take(p.now, news)
	if !p.refused64(host(1, 1)) {
		t.Fatal("another's ban of a range does not hold")
	}
	p = newPlay(t, Config{})
	p.uses(host(1, 1))
	p.Take(p.now, news)
	_, records := p.collect()
	if p.refused64(host(1, 1)) || len(records) != 1 || !records[0].Empty() || records[0].Forgotten {
		t.Errorf("refused, or not ended for the others: %+v", records)
	}
}

// TestFamiliesAreBounded: an attacker with a /32 has 65,536 families.
func TestFamiliesAreBounded(t *testing.T) {
	p := newPlay(t, Config{MaxClients: 20_000})
	for i := range 3 * maxFamilies {
		client := netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/64", i))
		p.Observe(p.now, Observation{Client: client, Evidence: &Evidence{Kind: Honeypath, Path: "/.env"}})
	}
	for i := range 3 * maxSiblings {
		p.scans(host(i/200, i%200))
	}
	if got := len(p.families.of); got > maxFamilies {
		t.Errorf("%d families", got)
	}
	for _, fam := range p.families.of {
		if len(fam.banned) > maxSiblings {
			t.Errorf("%d siblings", len(fam.banned))
		}
	}
	p.Expire(p.now.Add(2 * DefaultBanTimeMax))
	if got := len(p.families.of); got != 0 {
		t.Errorf("%d families are left", got)
	}
}

// TestObservedBansAreNoSiblings: what was banned while nobody was to be refused
// doesn't add up to a range that is.
func TestObservedBansAreNoSiblings(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour, Observe: true})
	p.family(1, 7)
	if err := p.Configure(Config{BanTime: time.Hour}); err != nil {
		t.Fatal(err)
	}
	p.scans(host(1, 7))
	if p.refused64(host(1, 100)) {
		t.Fatal("the range is refused for seven clients that are not")
	}
	for i := range 7 {
		p.scans(host(1, 10+i))
	}
	if !p.refused64(host(1, 100)) {
		t.Error("eight clients that are refused make no range")
	}
}

// TestEndedRangeBeginsAnew: who was the reason for a range's ban is not one for
// the next: a person has ended it.
func TestEndedRangeBeginsAnew(t *testing.T) {
	p := newPlay(t, Config{BanTime: 24 * time.Hour, FindTime: time.Hour})
	p.family(1, 8)
	if _, ok := p.Remove(p.now, netip.MustParsePrefix("2001:db8:1:100::/56")); !ok {
		t.Fatal("there was no ban of the range")
	}
	p.now = p.now.Add(2 * time.Hour)
	p.scans(host(1, 9))
	if p.refused64(host(1, 100)) {
		t.Error("one more banned client bans the range again")
	}
}

// TestSparedFamiliesAreBounded, even where a person has spared as many as there can be:
// these are kept.
func TestSparedFamiliesAreBounded(t *testing.T) {
	f := families{of: map[key]*family{}}
	now := time.Now()
	range48 := func(n int) key {
		return keyOf(netip.MustParsePrefix(fmt.Sprintf("2001:%x:%x::/48", n>>16, n&0xffff)))
	}
	for n := range maxFamilies {
		f.spare(now, range48(n), now.Add(time.Hour))
	}
	for n := range 100 {
		f.note(now, range48(maxFamilies+n), &Ban{Until: now.Add(time.Hour)})
	}
	if got := len(f.of); got != maxFamilies {
		t.Errorf("%d families, want %d", got, maxFamilies)
	}
	if until := f.spared(range48(0)); !now.Before(until) {
		t.Error("what a person spared made room for a ban")
	}
	f.spare(now, range48(2*maxFamilies), now.Add(2*time.Hour))
	if got := len(f.of); got != maxFamilies || f.spared(range48(2*maxFamilies)).IsZero() {
		t.Errorf("%d families; the last that was spared is until %v", got, f.spared(range48(2*maxFamilies)))
	}
}

// TestObservedRangeShieldsNobody: a range banned while nobody was to be refused
// doesn't stand before the bans of clients in it.
func TestObservedRangeShieldsNobody(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour, Observe: true})
	p.family(1, 8)
	if b, ok := p.inForce(p.now, p.policy.Load(), keyOf(host(1, 100))); !ok || !b.Observed {
		t.Fatalf("no observed ban of the range: %+v", b)
	}
	if err := p.Configure(Config{BanTime: time.Hour}); err != nil {
		t.Fatal(err)
	}
	p.scans(host(1, 20))
	if !p.refused64(host(1, 20)) || p.refused64(host(1, 100)) {
		t.Errorf("the offender refused: %v, its neighbour: %v; want true, false", p.refused64(host(1, 20)), p.refused64(host(1, 100)))
	}
}

// TestObservedBanShieldsNobody: who was banned while nobody was to be refused is
// banned for what it does from then on.
func TestObservedBanShieldsNobody(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Hour, Observe: true})
	p.scans(host(1, 1))
	if err := p.Configure(Config{BanTime: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if p.refused64(host(1, 1)) {
		t.Error("refused for what was only observed")
	}
	if !p.scans(host(1, 1)) || !p.refused64(host(1, 1)) {
		t.Error("served whatever it does")
	}
}
