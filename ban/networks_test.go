package ban

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawNetwork draws few enough networks that they overlap.
func drawNetwork(t *rapid.T) netip.Prefix {
	if rapid.Bool().Draw(t, "v4") {
		b := [4]byte{10, byte(rapid.IntRange(0, 2).Draw(t, "b")), byte(rapid.IntRange(0, 2).Draw(t, "c")), 0}
		return netip.PrefixFrom(netip.AddrFrom4(b), rapid.SampledFrom([]int{0, 8, 16, 22, 24, 31}).Draw(t, "bits")).Masked()
	}
	b := [16]byte{0x20, 1, 0xd, 0xb8, 0, byte(rapid.IntRange(0, 2).Draw(t, "b"))}
	return netip.PrefixFrom(netip.AddrFrom16(b), rapid.SampledFrom([]int{0, 16, 32, 47, 48, 63}).Draw(t, "bits")).Masked()
}

// TestNetworksAgainstList plays adds, removes and time to the engine and to a
// plain list of prefixes, and asks which ban is the narrowest around a client.
func TestNetworksAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		now, list := start, map[netip.Prefix]time.Time{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			network := drawNetwork(t)
			switch rapid.SampledFrom([]string{"add", "add", "remove", "wait", "expire"}).Draw(t, "step") {
			case "add":
				list[network] = now.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "hours")) * time.Hour)
				if err := e.Add(now, Ban{Client: network, Until: list[network]}); err != nil {
					t.Fatal(err)
				}
			case "remove":
				_, got := e.Remove(now, network)
				if want := now.Before(list[network]); got != want {
					t.Fatalf("remove %s: %v, want %v", network, got, want)
				}
				delete(list, network)
			case "wait":
				now = now.Add(time.Hour)
			case "expire":
				e.Expire(now)
			}
			checkNarrowest(t, e, now, list)
		}
	})
}

func checkNarrowest(t *rapid.T, e *Engine, now time.Time, list map[netip.Prefix]time.Time) {
	for _, s := range []string{"10.0.0.1", "10.1.2.3", "10.2.0.77", "192.0.2.1", "2001:db8::1", "2001:db8:1::1", "2001:db9::1", "::1"} {
		a := netip.MustParseAddr(s)
		var want netip.Prefix
		for network, until := range list {
			if network.Contains(a) && now.Before(until) && (!want.IsValid() || network.Bits() > want.Bits()) {
				want = network
			}
		}
		b, ok := e.Banned(now, a)
		if ok != want.IsValid() || b.Client != want {
			t.Fatalf("%s: got %s, %v; want %s", a, b.Client, ok, want)
		}
	}
}

func TestOneHundredThousandNetworks(t *testing.T) {
	e := newEngine(t, Config{})
	for i := range 100_000 {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(11 + i>>16), byte(i >> 8), byte(i), 0}), 24)
		if err := e.Add(start, Ban{Client: network}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(e.Bans(start)); got != 100_000 {
		t.Errorf("%d bans, want 100000", got)
	}
	if b, ok := e.Banned(start, netip.MustParseAddr("11.200.7.9")); !ok || b.Client != prefix("11.200.7.0/24") {
		t.Errorf("got %+v, %v", b, ok)
	}
}

func TestNetworksSurviveARestart(t *testing.T) {
	st := mapStore{}
	e := newEngine(t, Config{})
	for _, s := range []string{"10.0.0.0/8", "2001:db8::/32", "192.0.2.0/31"} {
		if err := e.Add(start, Ban{Client: prefix(s), Until: start.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	e.Remove(start, prefix("10.0.0.0/8"))
	_, records := e.collect()
	if err := st.Save(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	again := newEngine(t, Config{})
	if err := again.Restore(t.Context(), st); err != nil {
		t.Fatal(err)
	}
	if got := len(again.Bans(start)); got != 2 {
		t.Errorf("%d bans, want 2: %+v", got, again.Bans(start))
	}
	again.Expire(start.Add(time.Hour))
	if _, records = again.collect(); len(records) != 2 || !records[0].Empty() || !records[1].Empty() {
		t.Errorf("ended bans are not deleted from the store: %+v", records)
	}
}
