package overview

import (
	"slices"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

const (
	// many is from how many bans, or clients with something against them, on a
	// look at all of them costs milliseconds: it is shared, then.
	many = 10_000
	// sharedFor is how old a shared look may be.
	sharedFor = time.Second
	// mostShared is how many clients a shared look has.
	mostShared = 1000
)

// look is what somebody saw, for others who look within a second: however many
// pages are open, the engine is gone through once a second. Where there are few
// to go through each look is a new one. Nobody may change what it shows.
type look[T any] struct {
	mu    sync.Mutex
	at    time.Time // zero: nothing to share
	value T
}

// get is the shared look, or a new one by take, which says whether to share it.
func (l *look[T]) get(now func() time.Time, take func() (T, bool)) T {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now().Sub(l.at); !l.at.IsZero() && age >= 0 && age < sharedFor {
		return l.value
	}
	value, share := take()
	l.at, l.value = time.Time{}, value
	if share {
		l.at = now()
	}
	return value
}

func (l *look[T]) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = time.Time{}
}

// offenders are the worst of all.
type offenders struct {
	list  []ban.Offender
	total int
}

// Forget has the next look be a new one: something was changed by hand.
func (c *Collector) Forget() {
	c.bans.forget()
	c.clients.forget()
	c.stats.forget()
}

// Clients are those with most against them, and how many there are.
func (c *Collector) Clients(limit int) ([]ban.Offender, int) {
	take := func(limit int) (o offenders) {
		o.list, o.total = c.config.Engine.Offenders(c.config.Now(), limit)
		return o
	}
	if limit > mostShared {
		o := take(limit)
		return firstOf(o.list, limit), o.total
	}
	o := c.clients.get(c.config.Now, func() (offenders, bool) {
		o := take(mostShared)
		return o, o.total >= many
	})
	return firstOf(o.list, limit), o.total
}

// Bans are those in force, the one that ends first at the top. The list is
// shared: copy it to change it.
func (c *Collector) Bans() []ban.Ban {
	return c.bans.get(c.config.Now, func() ([]ban.Ban, bool) {
		bans := c.config.Engine.Bans(c.config.Now())
		slices.SortStableFunc(bans, func(a, b ban.Ban) int { return a.Until.Compare(b.Until) })
		return bans, len(bans) >= many
	})
}

// LatestBans are the n that began last, the latest first.
func (c *Collector) LatestBans(n int) []ban.Ban {
	latest := make([]ban.Ban, 0, n+1)
	for _, b := range c.Bans() {
		at, _ := slices.BinarySearchFunc(latest, b, func(a, b ban.Ban) int { // behind those of the same time
			if a.Since.Before(b.Since) {
				return 1
			}
			return -1
		})
		if at < n {
			latest = slices.Insert(latest, at, b)[:min(n, len(latest)+1)]
		}
	}
	return latest
}

// judging is the engine in figures.
func (c *Collector) judging() ban.Stats {
	return c.stats.get(c.config.Now, func() (ban.Stats, bool) {
		st := c.config.Engine.Stats(c.config.Now())
		return st, st.Clients >= many
	})
}
