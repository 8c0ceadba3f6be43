package ban

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// TestTableAgainstMap plays random inserts and removes to the table and to a
// map.
func TestTableAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 300).Draw(t, "limit")
		table, model := table{limit: limit, seed: seed{rand.Uint64(), rand.Uint64(), rand.Uint64()}}, map[key]uint16{}
		for range rapid.IntRange(1, 600).Draw(t, "steps") {
			k := keyOf(address(rapid.IntRange(0, 400).Draw(t, "client")))
			hash := table.seed.hash(k)
			_, there := model[k]
			switch {
			case there && rapid.Bool().Draw(t, "remove"):
				table.remove(k, hash)
				delete(model, k)
			case there:
				table.find(k, hash).merit.good++
				model[k]++
			case !table.full():
				table.insert(k, hash)
				model[k] = 0
			}
		}
		got := map[key]uint16{}
		for i := range table.slots {
			if e := &table.slots[i]; e.used() {
				got[e.key()] = e.merit.good
			}
		}
		if !maps.Equal(got, model) || table.count != len(model) {
			t.Fatalf("table has %d (count %d), the map %d", len(got), table.count, len(model))
		}
		for k, good := range model {
			if e := table.find(k, table.seed.hash(k)); e == nil || e.merit.good != good {
				t.Fatalf("find %v: got %+v, want %d", k, e, good)
			}
		}
	})
}

func TestKeysAndPrefixes(t *testing.T) {
	for _, s := range []string{
		"0.0.0.0/0", "10.0.0.0/8", "192.0.2.1/32", "::/0", "2001:db8::/32", "2001:db8::/64", "2001:db8::1/128", "::/96", "ff00::/8",
	} {
		p := netip.MustParsePrefix(s)
		if got := keyOf(p).prefix(); got != p {
			t.Errorf("%s became %s", s, got)
		}
	}
	unmasked := netip.MustParsePrefix("192.0.2.77/24")
	if got := keyOf(unmasked); got != keyOf(unmasked.Masked()) {
		t.Errorf("%s is another client than %s", unmasked, unmasked.Masked())
	}
	mapped := netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)
	if got := keyOf(mapped).prefix(); got != netip.MustParsePrefix("192.0.2.1/32") {
		t.Errorf("a mapped address became %s", got)
	}
}

func TestParseClient(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", " 192.0.2.1\n": "192.0.2.1", "192.0.2.77/24": "192.0.2.0/24",
		"2001:db8::1": "2001:db8::1", "2001:db8::1/64": "2001:db8::/64", "::ffff:192.0.2.1": "192.0.2.1",
		"::ffff:192.0.2.1/128": "192.0.2.1",
	} {
		p, err := ParseClient(in)
		if err != nil || FormatClient(p) != want {
			t.Errorf("%q: got %s, %v; want %s", in, FormatClient(p), err, want)
		}
	}
	for _, in := range []string{"", "example.org", "192.0.2", "192.0.2.1/33", "fe80::1%eth0", "10.0.0.1-10.0.0.9"} {
		if p, err := ParseClient(in); err == nil {
			t.Errorf("%q: got %s, want an error", in, p)
		}
	}
}
