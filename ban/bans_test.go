package ban

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func (p *play) adds(client string, d time.Duration) {
	p.Helper()
	if err := p.Add(p.now, Ban{Client: prefix(client), Until: p.now.Add(d), Reason: "by hand"}); err != nil {
		p.Fatal(err)
	}
}

func (p *play) refuses(client string) bool {
	return p.Admit(p.now, Request{Client: prefix(client), Known: true}).Refused()
}

func TestManualBanOfAnAddress(t *testing.T) {
	p := newPlay(t, Config{})
	p.adds("192.0.2.1/32", time.Hour)
	if !p.refuses("192.0.2.1/32") || p.refuses("192.0.2.2/32") {
		t.Error("not exactly the address is refused")
	}
	bans := p.Bans(p.now)
	want := Ban{Client: prefix("192.0.2.1/32"), Since: start, Until: start.Add(time.Hour), Rule: RuleOperator,
		Reason: "by hand", Penalty: Reject, Count: 1, Manual: true, Refusals: 1}
	if len(bans) != 1 || bans[0] != want {
		t.Errorf("got %+v, want %+v", bans, want)
	}
	p.now = p.now.Add(time.Hour)
	if p.refuses("192.0.2.1/32") || len(p.Bans(p.now)) != 0 {
		t.Error("the ban did not end")
	}
}

func TestManualBanOfNetworks(t *testing.T) {
	p := newPlay(t, Config{})
	p.adds("198.51.100.0/24", time.Hour)
	p.adds("2001:db8::/32", 2*time.Hour)
	p.adds("::/16", time.Hour) // has nothing of IPv4, though IPv4 may be mapped into it
	for client, want := range map[string]bool{
		"198.51.100.0/32": true, "198.51.100.255/32": true, "198.51.101.0/32": false, "10.0.0.1/32": false,
		"2001:db8:7::/64": true, "2001:db9::/64": false, "0:5::/64": true,
	} {
		if got := p.refuses(client); got != want {
			t.Errorf("%s refused: %v, want %v", client, got, want)
		}
	}
	if b, ok := p.Banned(p.now, netip.MustParseAddr("2001:db8:7::9")); !ok || b.Client != prefix("2001:db8::/32") || b.Refusals != 1 {
		t.Errorf("banned: %+v, %v", b, ok)
	}
	x := p.Why(p.now, prefix("198.51.100.7/32"))
	if x.State != "blocked" || x.Undo != "flask2ban bans remove 198.51.100.0/24" {
		t.Errorf("why: %s, undo %q", x.State, x.Undo)
	}
	p.now = p.now.Add(time.Hour)
	p.Expire(p.now)
	if got := len(p.Bans(p.now)); got != 1 || p.refuses("198.51.100.0/32") {
		t.Errorf("%d bans after an hour, want 1", got)
	}
}

func TestWholeInternet(t *testing.T) {
	p := newPlay(t, Config{})
	p.adds("0.0.0.0/0", time.Hour)
	if !p.refuses("203.0.113.1/32") || p.refuses("2001:db8::/64") {
		t.Error("0.0.0.0/0 is not all of IPv4 and nothing else")
	}
}

func TestNarrowBansAreWidenedToTheClient(t *testing.T) {
	p := newPlay(t, Config{})
	p.adds("2001:db8::abcd/128", time.Hour)
	if !p.refuses("2001:db8::/64") {
		t.Error("the address's client is not refused")
	}
	if _, ok := p.Banned(p.now, netip.MustParseAddr("2001:db8::1")); !ok {
		t.Error("its neighbour in the same /64 is not")
	}
	if _, ok := p.Remove(p.now, prefix("2001:db8::abcd/128")); !ok {
		t.Error("remove by the same address: not found")
	}
}

func TestAddRefusesWhatMustNotBeBanned(t *testing.T) {
	standing := func(a netip.Addr) Standing {
		switch {
		case a.IsLoopback():
			return Never
		case a.IsPrivate():
			return SuspectOnly
		default:
			return Bannable
		}
	}
	p := newPlay(t, Config{Standing: standing})
	for client, want := range map[string]string{
		"127.0.0.1/32": "ban of 127.0.0.1: it is this machine, a trusted proxy or on the ignore list, and never banned",
		"10.1.2.3/32":  "ban of 10.1.2.3: a private or CDN address stands for many people; declare it with --trusted-proxy, or give --ban-private where such addresses are people",
	} {
		if err := p.Add(p.now, Ban{Client: prefix(client)}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", client, err, want)
		}
	}
	if err := p.Add(p.now, Ban{}); err == nil {
		t.Error("an empty ban was accepted")
	}
	past := Ban{Client: p.client, Until: p.now.Add(-time.Second)}
	if err := p.Add(p.now, past); err == nil || !strings.Contains(err.Error(), "is not in the future") {
		t.Errorf("a ban that is over: got %v", err)
	}
	p.adds("0.0.0.0/0", time.Hour)
	if p.refuses("127.0.0.1/32") || p.refuses("10.1.2.3/32") || !p.refuses("192.0.2.1/32") {
		t.Error("a network ban ignores who must not be banned")
	}
	if _, ok := p.Banned(p.now, netip.MustParseAddr("127.0.0.1")); ok {
		t.Error("Banned says so of one that must not be")
	}
}

func TestDefaultsOfAdd(t *testing.T) {
	p := newPlay(t, Config{BanTime: time.Minute, Penalty: Tarpit})
	if err := p.Add(p.now, Ban{Client: p.client}); err != nil {
		t.Fatal(err)
	}
	b := p.Bans(p.now)[0]
	if b.Since != start || b.Until != start.Add(time.Minute) || b.Rule != RuleOperator || b.Penalty != Tarpit {
		t.Errorf("got %+v", b)
	}
}

func TestRefusalsAreCountedUntilTold(t *testing.T) {
	p := newPlay(t, Config{})
	p.asks(false, &Evidence{Kind: Honeypath, Path: "/.env"})
	for i := range Explained {
		if b, ok := p.Banned(p.now, p.client.Addr()); !ok || b.Told() {
			t.Fatalf("after %d refusals: banned %v, told %v", i, ok, b.Told())
		}
		if d := p.admit(true); d.Refusals != i+1 || d.RetryAfter <= 0 || d.Until.IsZero() {
			t.Fatalf("refusal %d: %+v", i+1, d)
		}
	}
	if b, _ := p.Banned(p.now, p.client.Addr()); !b.Told() {
		t.Error("after 10 refusals the client counts as not told")
	}
}

func TestRemoveOfWhatIsNot(t *testing.T) {
	p := newPlay(t, Config{})
	for _, client := range []netip.Prefix{{}, p.client, prefix("10.0.0.0/8")} {
		if b, ok := p.Remove(p.now, client); ok {
			t.Errorf("%s: got %+v", client, b)
		}
	}
}

func TestBannedOfOddAddresses(t *testing.T) {
	p := newPlay(t, Config{})
	p.adds("192.0.2.1/32", time.Hour)
	p.adds("fe80::/64", time.Hour)
	for s, want := range map[string]bool{"::ffff:192.0.2.1": true, "fe80::1%eth0": true, "192.0.2.9": false} {
		if _, ok := p.Banned(p.now, netip.MustParseAddr(s)); ok != want {
			t.Errorf("%s: %v, want %v", s, ok, want)
		}
	}
	if _, ok := p.Banned(p.now, netip.Addr{}); ok {
		t.Error("the zero address is banned")
	}
}

func TestBansAreSorted(t *testing.T) {
	p := newPlay(t, Config{})
	for _, s := range []string{"192.0.2.9/32", "10.0.0.0/8", "2001:db8::/64", "10.0.0.1/32", "192.0.2.10/32"} {
		p.adds(s, time.Hour)
	}
	var got []string
	for _, b := range p.Bans(p.now) {
		got = append(got, FormatClient(b.Client))
	}
	want := []string{"10.0.0.0/8", "10.0.0.1", "192.0.2.9", "192.0.2.10", "2001:db8::/64"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBanJSON(t *testing.T) {
	b := Ban{Client: prefix("192.0.2.1/32"), Since: start, Until: start.Add(time.Hour), Rule: "unexpected", Reason: "r", Penalty: Reject, Count: 1}
	data, err := json.Marshal([]Ban{b})
	want := `[{"client":"192.0.2.1","since":"2026-01-02T03:04:05Z","until":"2026-01-02T04:04:05Z","rule":"unexpected","reason":"r","penalty":"reject","count":1}]`
	if err != nil || string(data) != want {
		t.Errorf("got %s, %v\nwant %s", data, err, want)
	}
	var back []Ban
	if err := json.Unmarshal(data, &back); err != nil || back[0] != b {
		t.Errorf("back: %+v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"client":"x"}`), &b); err == nil || !strings.Contains(err.Error(), `"x" is not an IP address`) {
		t.Errorf("bad client: %v", err)
	}
}

func TestWhyHasEveryPiece(t *testing.T) {
	p := newPlay(t, Config{BanJitter: -1})
	p.asks(true, &Evidence{Kind: BadValue, Method: "GET", Path: "/abc", Route: "/<int:year>", Verdict: "bad_value", RequestID: "r1"})
	for _, path := range []string{"/a", "/b", "/c", "/d", "/e"} {
		p.asks(false, &Evidence{Kind: UnexpectedPath, Method: "POST", Path: path, Verdict: "unexpected_path", Local: path > "/c"})
	}
	x := p.Why(p.now, p.client)
	if x.State != "blocked" || len(x.Evidence) != 6 || x.Bans != 1 || x.Ban == nil {
		t.Fatalf("got %+v", x)
	}
	first, last := x.Evidence[0], x.Evidence[5]
	if first.Kind != BadValue || !first.Soft || first.Weight != .5 || first.Route != "/<int:year>" || first.RequestID != "r1" || first.Counts {
		t.Errorf("first piece: %+v", first)
	}
	if last.Path != "/e" || last.Method != "POST" || !last.Local || last.Time.IsZero() || last.Verdict != "unexpected_path" {
		t.Errorf("last piece: %+v", last)
	}
	if want := "refused for 10m0s more, ban 1 by rule unexpected: score 5.5 within 10m0s: 1 bad_value, 5 unexpected_path"; x.Summary != want {
		t.Errorf("summary %q, want %q", x.Summary, want)
	}
	if x.Undo != "flask2ban bans remove 192.0.2.1" || !x.Expires.Equal(x.Ban.Until) {
		t.Errorf("undo %q, expires %s", x.Undo, x.Expires)
	}
	if data, err := json.Marshal(x); err != nil || !strings.Contains(string(data), `"standing":"bannable"`) || !strings.Contains(string(data), `"kind":"bad_value"`) {
		t.Errorf("JSON: %s, %v", data, err)
	}
}

func TestWhyOfOthers(t *testing.T) {
	p := newPlay(t, Config{})
	if x := p.Why(p.now, netip.Prefix{}); x.State != "unknown" {
		t.Errorf("no client: %s", x.State)
	}
	if x := p.Why(p.now, p.client); x.State != "unknown" || x.Summary != "nothing against it: served as everyone" || x.Undo != "" {
		t.Errorf("never seen: %+v", x)
	}
	p.probes("/a")
	if x := p.Why(p.now, p.client); x.Summary != "score 1 of 5: served as everyone" || x.Evidence[0].Until.IsZero() {
		t.Errorf("one piece: %+v", x)
	}
	p.probes("/b")
	p.asks(false, &Evidence{Kind: UnexpectedPath, Soft: true, Path: "/c"})
	want := "throttled on unknown paths to 1 a second, served as everyone elsewhere: score 3 of 5 (1 of it soft: others may have caused it)"
	if x := p.Why(p.now, p.client); x.Summary != want || x.Expires.IsZero() {
		t.Errorf("got %q, want %q", x.Summary, want)
	}
	p.probes("/d")
	want = "throttled to 10 requests a second, 1 on unknown paths: score 4 of 5 (1 of it soft: others may have caused it)"
	if x := p.Why(p.now, p.client); x.Summary != want {
		t.Errorf("got %q, want %q", x.Summary, want)
	}
}
