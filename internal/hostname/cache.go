package hostname

import (
	"container/list"
	"net/netip"
	"time"
)

// cache remembers a bounded number of addresses, the least recently asked for
// going first. Its user holds a lock.
type cache struct {
	max    int
	recent *list.List // of *known, the last asked for in front
	byAddr map[netip.Addr]*list.Element
}

// known is what was found out of an address: no names is an answer too.
type known struct {
	addr  netip.Addr
	names []string
	until time.Time
}

func newCache(max int) cache {
	return cache{max: max, recent: list.New(), byAddr: map[netip.Addr]*list.Element{}}
}

// get returns an address's names, whether they still hold, and whether the
// address is remembered at all.
func (c *cache) get(a netip.Addr, now time.Time) (names []string, fresh, found bool) {
	e, ok := c.byAddr[a]
	if !ok {
		return nil, false, false
	}
	c.recent.MoveToFront(e)
	k := e.Value.(*known)
	return k.names, now.Before(k.until), true
}

func (c *cache) put(a netip.Addr, names []string, until time.Time) {
	k := &known{a, names, until}
	if e, ok := c.byAddr[a]; ok {
		e.Value = k
		c.recent.MoveToFront(e)
		return
	}
	c.byAddr[a] = c.recent.PushFront(k)
	for c.recent.Len() > c.max {
		last := c.recent.Back()
		delete(c.byAddr, c.recent.Remove(last).(*known).addr)
	}
}
