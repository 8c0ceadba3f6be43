package replay

import "time"

// clock makes of a log's times one that the engine can be given. Lines stand in
// the order in which requests ended, some with the time of their beginning, so
// their times go back and forth a little: then the clock stands. Where they go
// back by more than slack (summer time's end in a log without zones, a log
// from a machine whose clock was wrong) it follows them.
type clock struct {
	now int64
	// backward counts how often it followed.
	backward int
}

const slack = 10 * time.Minute

func (c *clock) at(t int64) time.Time {
	switch {
	case t >= c.now:
		c.now = t
	case c.now-t > int64(slack):
		c.now = t
		c.backward++
	}
	return time.Unix(0, c.now).UTC()
}
