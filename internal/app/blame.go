package app

import "time"

// record is what is known of a route: a rule's pattern.
type record struct {
	usual    time.Duration
	answered int
	// deaths counts processes that ended with a request of this route in
	// them, not by somebody's hand; the last was pid of by, at.
	deaths int
	by     *instance
	pid    int
	at     time.Time
}

const (
	// usualDecay makes an app forget a slow time after some hundred quick ones.
	usualDecay = 0.999
	// maxRoutes bounds the routes that are told apart; they are patterns of
	// the app's own.
	maxRoutes = 4096
	// innocent is from how many answers on a route is not what ends the app:
	// of several routes in a process that ends, the often answered ones are
	// there by chance.
	innocent = 100
	// blameTime is how long a death is held against a route.
	blameTime = 10 * time.Minute
)

// record returns a route's; nil where there are too many. t.mu is held.
func (t *traffic) record(route string) *record {
	r := t.routes[route]
	if r == nil && len(t.routes) < maxRoutes {
		r = &record{}
		t.routes[route] = r
	}
	return r
}

func (t *traffic) usual(route string) time.Duration {
	if r := t.routes[route]; r != nil {
		return r.usual
	}
	return 0
}

// learn takes the time that a request took. t.mu is held.
func (t *traffic) learn(f *Flight, now time.Time) {
	since := f.begun
	if since.IsZero() {
		since = f.sent
	}
	if r := t.record(f.Route); r != nil {
		r.usual = max(now.Sub(since), time.Duration(float64(r.usual)*usualDecay))
		r.answered++
	}
	f.place.pace.add(now.Sub(f.sent))
}

// blame holds the end of the process that had f against its route, once for
// each process. culprit says that f most likely was what hung.
func (t *traffic) blame(f *Flight, now time.Time) (culprit bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.record(f.Route)
	if r == nil || f.begun.IsZero() || f.by == nil || f.by.pardoned || r.answered >= innocent {
		return false
	}
	if r.by != f.by || r.pid != f.pid {
		if now.Sub(r.at) > blameTime {
			r.deaths = 0
		}
		r.deaths++
		r.by, r.pid, r.at = f.by, f.pid, now
	}
	return f.by.hung[f.pid]
}

// pardon takes the blame for an instance's end off the routes: somebody killed
// it.
func (t *traffic) pardon(i *instance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i.pardoned = true
	for _, r := range t.routes {
		if r.by == i {
			r.deaths, r.by = r.deaths-1, nil
		}
	}
}

// condemn notes which processes are about to be killed because they hang.
func (t *traffic) condemn(i *instance, pids []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i.hung = map[int]bool{}
	for _, pid := range pids {
		i.hung[pid] = true
	}
}

// Deaths counts the processes that ended of themselves, within ten minutes,
// with a request of this route in them: more than one means that its requests
// had better not be sent. Routes that are answered often are not blamed.
func (f *Flight) Deaths() int {
	t := f.traffic
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := t.routes[f.Route]; r != nil && time.Since(r.at) < blameTime {
		return r.deaths
	}
	return 0
}
