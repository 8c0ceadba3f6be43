package overview

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// TestManyAreLookedAtOnceASecond, whoever looks; few are each time.
func TestManyAreLookedAtOnceASecond(t *testing.T) {
	now := start
	e := engine(t)
	c := collector(t, Config{Engine: e, Now: func() time.Time { return now }})
	next := uint32(0x0b000000)
	add := func(n int) {
		t.Helper()
		for range n {
			next++
			var a [4]byte
			binary.BigEndian.PutUint32(a[:], next)
			if err := e.Add(now, ban.Ban{Client: netip.PrefixFrom(netip.AddrFrom4(a), 32), Until: start.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sees := func(what string, want int) {
		t.Helper()
		_, clients := c.Clients(8)
		if bans, st := len(c.Bans()), c.Status().Judging; bans != want || clients != want || st.Banned != want {
			t.Errorf("%s: %d bans, %d clients, %d counted; want %d of each", what, bans, clients, st.Banned, want)
		}
	}
	add(1)
	sees("few", 1)
	add(1)
	sees("few, at once", 2)
	add(many)
	sees("many", many+2)
	add(1)
	sees("within a second", many+2)
	now = now.Add(sharedFor)
	sees("after it", many+3)
	add(1)
	c.Forget()
	sees("after an action", many+4)
	if list, total := c.Clients(mostShared + 1); len(list) != mostShared+1 || total != many+4 {
		t.Errorf("%d of %d clients", len(list), total)
	}
}

func TestLatestBans(t *testing.T) {
	e := engine(t)
	c := collector(t, Config{Engine: e, Now: func() time.Time { return start.Add(10 * time.Second) }})
	for i, ends := range []int{50, 20, 40, 10, 30} {
		b := ban.Ban{Client: netip.MustParsePrefix("192.0.2.0/32"), Since: start.Add(time.Duration(i) * time.Second), Until: start.Add(time.Duration(ends) * time.Minute)}
		b.Client = netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 32)
		if err := e.Add(start, b); err != nil {
			t.Fatal(err)
		}
	}
	for n, want := range map[int]string{0: "", 2: "43", 5: "43210", 9: "43210"} {
		got := ""
		for _, b := range c.LatestBans(n) {
			got += string('0' + b.Client.Addr().As4()[3])
		}
		if got != want {
			t.Errorf("the latest %d: %s, want %s", n, got, want)
		}
	}
}
