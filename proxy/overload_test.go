package proxy

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// surge is what is asked of an app in virtual time. The app has as many workers
// as there are slots, and an accept queue before them. Its clients leave after
// patience; those of the best class never do.
type surge struct {
	slots    int
	service  func(*rand.Rand, time.Duration) (route string, took time.Duration)
	mean     time.Duration                     // of service
	factor   func(since time.Duration) float64 // times what the slots can do that is asked
	crowd    int                               // clients who ask again as soon as they are answered
	every    time.Duration                     // between two of the best class, 0: none
	poisson  bool                              // they come at random, not by the clock
	patience time.Duration
	length   time.Duration // for how long
	clients  int
	many     int // connections of one more client, each asks again when it is answered or refused
	seed     uint64
}

// outcome is what became of it.
type outcome struct {
	best       time.Duration // p99 of the best class
	capacity   float64       // part of what the slots can do that was done for the rest in time
	left, late int           // late were served, but when the client had left
	refused    int
	told       time.Duration // the median wait of those that were refused
	longest    time.Duration // the longest wait of those that got a slot
}

// event is something that happens to a surge at a time.
type event struct {
	at time.Time
	do func(now time.Time)
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// asker is one request of a surge.
type asker struct {
	slot
	came    time.Time
	takes   time.Duration
	started bool
	n       int  // the client
	again   bool // asks again when it is answered
}

// tide runs a surge.
type tide struct {
	surge
	q       queue
	rnd     *rand.Rand
	events  events
	begin   time.Time
	due     time.Time // the next tick but the regular ones
	busy    int       // workers
	accept  []*asker
	askers  map[*slot]*asker
	waiting []*asker
	served  map[int]int // by client
	best    []time.Duration
	told    []time.Duration
	useful  time.Duration
	outcome outcome
}

func (f surge) run() outcome { return f.tide().run() }

// manyBehind is the client with many connections.
const manyBehind = 9999

func (f surge) tide() *tide {
	td := &tide{surge: f, begin: time.Unix(1e9, 0), rnd: rand.New(rand.NewPCG(f.seed, 1)), askers: map[*slot]*asker{}, served: map[int]int{}}
	td.q = queue{limit: f.slots, size: DefaultQueueSize, patience: DefaultQueueWait}
	return td
}

func (td *tide) run() outcome {
	f := td.surge
	for range f.many {
		td.greedy(td.begin)
	}
	td.after(td.begin, 0, td.next)
	for n := range f.crowd {
		td.ask(td.begin, ban.Normal, n, true)
	}
	td.settle(td.begin)
	if f.every > 0 {
		td.after(td.begin, f.every, td.vip)
	}
	td.after(td.begin, tickEvery, td.tick)
	var now time.Time
	for end := td.begin.Add(f.length); len(td.events) > 0 && now.Before(end); {
		e := heap.Pop(&td.events).(event)
		now = e.at
		e.do(now)
		td.settle(now)
	}
	td.outcome.best, td.outcome.told = quantile(td.best, .99), quantile(td.told, .5)
	td.outcome.capacity = float64(td.useful) / float64(f.slots) / float64(f.length-f.warm())
	return td.outcome
}

// warm is the time that isn't counted: overload begins.
func (f surge) warm() time.Duration { return f.length / 5 }

func (td *tide) after(now time.Time, d time.Duration, do func(time.Time)) {
	heap.Push(&td.events, event{now.Add(d), do})
}

func (td *tide) exp(mean time.Duration) time.Duration {
	return time.Duration(td.rnd.ExpFloat64() * float64(mean))
}

// next is one of the rest, or nobody for a while.
func (td *tide) next(now time.Time) {
	factor := td.factor(now.Sub(td.begin))
	if factor == 0 {
		return
	}
	td.after(now, td.exp(time.Duration(float64(td.mean)/float64(td.slots)/factor)), td.next)
	a := td.ask(now, ban.Normal, td.rnd.IntN(td.clients), false)
	td.after(now, td.patience, func(now time.Time) {
		if a.state == slotWaiting {
			td.q.leave(&a.slot)
			td.outcome.left++
		}
	})
}

func (td *tide) vip(now time.Time) {
	gap := td.every
	if td.poisson {
		gap = td.exp(gap)
	}
	td.after(now, gap, td.vip)
	td.ask(now, ban.High, 10_000, false)
}

func (td *tide) ask(now time.Time, class ban.Class, n int, again bool) *asker {
	route, takes := td.service(td.rnd, td.mean)
	a := &asker{came: now, takes: takes, n: n, again: again}
	a.client, a.class, a.route = manyClient(n), class, route
	td.askers[&a.slot] = a
	td.q.arrive(now, &a.slot)
	if a.state == slotWaiting {
		td.waiting = append(td.waiting, a)
	}
	return a
}

func (td *tide) tick(now time.Time) {
	td.q.tick(now)
	td.after(now, tickEvery, td.tick)
	td.waiting = slices.DeleteFunc(td.waiting, func(a *asker) bool {
		if a.state == slotRefused {
			td.outcome.refused++
			td.told = append(td.told, now.Sub(a.came))
		}
		return a.state != slotWaiting
	})
}

// settle has those that got a slot end, and counts those that were refused.
func (td *tide) settle(now time.Time) {
	for s := td.q.running.tail; s != nil; s = s.prev {
		a := td.askers[s]
		if a.started {
			break
		}
		a.started = true
		td.outcome.longest = max(td.outcome.longest, now.Sub(a.came))
		td.accept = append(td.accept, a)
	}
	td.work(now)
	if d := td.q.wake(now); d > 0 && d < tickEvery && (td.due.IsZero() || now.Add(d).Before(td.due)) {
		td.due = now.Add(d)
		td.after(now, d, func(now time.Time) {
			if !now.Before(td.due) {
				td.due = time.Time{}
				td.q.tick(now)
			}
		})
	}
}

// greedy is one connection of the client with many.
func (td *tide) greedy(now time.Time) {
	a := td.ask(now, ban.Normal, manyBehind, false)
	var look func(time.Time)
	look = func(now time.Time) {
		if a.state == slotDone || a.state == slotRefused {
			td.greedy(now)
			return
		}
		td.after(now, 50*time.Millisecond, look)
	}
	td.after(now, 50*time.Millisecond, look)
}

// work has the app's workers take what waits in its own accept queue.
func (td *tide) work(now time.Time) {
	for td.busy < td.slots && len(td.accept) > 0 {
		a := td.accept[0]
		td.accept = td.accept[1:]
		td.busy++
		td.after(now, a.takes, func(now time.Time) { td.end(now, a) })
	}
}

func (td *tide) end(now time.Time, a *asker) {
	td.busy--
	td.served[a.n]++
	td.q.done(now, &a.slot)
	delete(td.askers, &a.slot)
	if a.again {
		td.ask(now, ban.Normal, a.n, true)
	}
	if now.Sub(td.begin) < td.warm() {
		return
	}
	switch took := now.Sub(a.came); {
	case a.class == ban.High:
		td.best = append(td.best, took)
	case took > td.patience:
		td.outcome.late++
	default:
		td.useful += a.takes
	}
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

// services are what requests take of an app, by the mean.
var services = map[string]func(*rand.Rand, time.Duration) (route string, took time.Duration){
	"constant": func(_ *rand.Rand, mean time.Duration) (string, time.Duration) { return "/", mean },
	"exponential": func(r *rand.Rand, mean time.Duration) (string, time.Duration) {
		return "/", time.Duration(r.ExpFloat64() * float64(mean))
	},
	"bimodal": func(r *rand.Rand, mean time.Duration) (string, time.Duration) {
		if r.IntN(10) == 0 {
			return "/", mean * 11 / 2
		}
		return "/", mean / 2
	},
	"three routes": func(r *rand.Rand, mean time.Duration) (string, time.Duration) {
		switch r.IntN(3) {
		case 0:
			return "/quick", mean / 5
		case 1:
			return "/usual", mean
		}
		return "/slow", mean * 9 / 5
	},
}

// overloadOf is ten times as much as the slots can do, from people who leave
// after 2 s, and a client of the best class that asks each five service times.
func overloadOf(slots int, mean time.Duration, service string, poisson bool) surge {
	return surge{
		slots: slots, mean: mean, service: services[service],
		factor: func(time.Duration) float64 { return 10 },
		every:  5 * mean, poisson: poisson, patience: 2 * time.Second, length: 12_000 / time.Duration(slots) * mean, clients: 500, seed: 7,
	}
}

// TestBestClassUnderOverload holds what ARCHITECTURE.md says: the best class
// waits little (p99 at most 1.4 times what it is alone), and the rest gets 90 %
// of what can be done. least and most are where that isn't so.
func TestBestClassUnderOverload(t *testing.T) {
	const mean = 50 * time.Millisecond
	for _, c := range []struct {
		slots       int
		service     string
		least, most float64
	}{
		{slots: 4, service: "constant", most: 1.5}, // two of the best class at the same time
		{slots: 4, service: "exponential"},
		{slots: 4, service: "bimodal", least: .85}, // no end can be foretold
		{slots: 4, service: "three routes", least: .89},
		{slots: 8, service: "constant"},
		{slots: 8, service: "bimodal"},
		{slots: 16, service: "three routes"},
	} {
		for _, poisson := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d slots, %s, poisson %v", c.slots, c.service, poisson), func(t *testing.T) {
				t.Parallel()
				busy := overloadOf(c.slots, mean, c.service, poisson)
				calm := busy
				calm.factor = func(time.Duration) float64 { return 1e-3 }
				got := busy.run()
				times := float64(got.best) / float64(calm.run().best)
				t.Logf("p99 x %.2f, the rest %.0f %%; %+v", times, 100*got.capacity, got)
				if most := cmp.Or(c.most, 1.4); times > most {
					t.Errorf("the best class's p99 is %.2f times what it is alone, want at most %v", times, most)
				}
				if least := cmp.Or(c.least, .9); got.capacity < least {
					t.Errorf("the rest gets %.0f %% of what can be done, want %.0f %%", 100*got.capacity, 100*least)
				}
				if lost := got.left + got.late; lost > got.refused/10 {
					t.Errorf("%d left without an answer, %d were told", lost, got.refused)
				}
				if got.told > time.Second {
					t.Errorf("half of those that were refused waited for more than %v", got.told)
				}
			})
		}
	}
}

// What can be served in time is: a burst that ends, what an app has to do
// that was away, and a crowd that asks again when it is answered.
func TestWhatCanBeServedIsNotRefused(t *testing.T) {
	const mean = 50 * time.Millisecond
	at := func(first, then float64, until time.Duration) func(time.Duration) float64 {
		return func(since time.Duration) float64 {
			if since < until {
				return first
			}
			return then
		}
	}
	for name, c := range map[string]struct {
		factor func(time.Duration) float64
		crowd  int
		most   time.Duration // that one waits
	}{
		"ten times too much for a second":       {factor: at(10, .3, time.Second), most: DefaultQueueWait},
		"three times too much for four seconds": {factor: at(3, .3, 4*time.Second), most: 15 * time.Second},
		"a thousand at once after a restart":    {factor: at(250, .3, 50*time.Millisecond), most: DefaultQueueWait},
		"64 browsers":                           {factor: at(0, 0, 0), crowd: 64, most: 64 * mean / 4 * 3},
		"300 browsers":                          {factor: at(0, 0, 0), crowd: 300, most: 300 * mean / 4 * 3},
	} {
		for _, service := range []string{"constant", "exponential", "three routes"} {
			t.Run(name+", "+service, func(t *testing.T) {
				s := surge{slots: 4, mean: mean, service: services[service], factor: c.factor, crowd: c.crowd, patience: time.Minute, length: time.Minute, clients: 500, seed: 7}
				got := s.run()
				if got.refused+got.left > 0 || got.longest > c.most {
					t.Errorf("%+v, want none refused and none to wait for more than %v", got, c.most)
				}
			})
		}
	}
}

// manyClient is one of more clients than client has.
func manyClient(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 32)
}

// TestLearnedLimitIsNoStrain: an app that comes back to a crowd has all of it at
// once, until its limit is learned. While it works that off, hardly anybody gets a
// slot, and nobody is refused for it.
func TestLearnedLimitIsNoStrain(t *testing.T) {
	now := time.Unix(1e9, 0)
	q := &queue{size: DefaultQueueSize, patience: 30 * time.Second, learned: true}
	var crowd, later []*slot
	for n := range 2000 {
		crowd = append(crowd, q.push(now, n, ban.Normal))
	}
	q.limit = 2
	for second := range 4 {
		for range 10 {
			for range 12 {
				later = append(later, q.push(now, len(later), ban.Normal))
			}
			for _, s := range crowd[:50] {
				q.done(now, s)
			}
			crowd = crowd[50:]
			now = now.Add(100 * time.Millisecond)
			q.tick(now)
		}
		if q.strain > 1 {
			t.Errorf("after %d s the strain is %d", second+1, q.strain)
		}
	}
	for n, s := range later {
		if s.state == slotRefused {
			t.Fatalf("the request %d of %d was refused", n, len(later))
		}
	}
}

// TestStrainComesAndGoes by the second: more than is served adds one, fewer take
// one back, and what ends the overload ends it at once.
func TestStrainComesAndGoes(t *testing.T) {
	now := time.Unix(1e9, 0)
	q := &queue{limit: 1, size: 1000, patience: 30 * time.Second, mean: 100 * time.Millisecond, completed: meanOf}
	n, waiting := 0, []*slot{}
	come := func(times int) {
		for range times {
			n++
			waiting = append(waiting, q.push(now, n%200, ban.Normal))
		}
	}
	serve := func(times int) {
		for range times {
			q.done(now, q.running.head)
		}
	}
	second := func(came, served int) {
		come(came)
		serve(served)
		q.usualOf("/").mean, q.mean = 100*time.Millisecond, 100*time.Millisecond
		now = now.Add(time.Second)
		q.tick(now)
	}
	come(40)
	q.tick(now)
	for _, step := range []struct{ came, served, want int }{
		{20, 10, 1}, {20, 10, 2}, {20, 10, 3}, {5, 10, 2}, {5, 10, 1}, {20, 0, 1}, {20, 10, 2},
	} {
		second(step.came, step.served)
		if q.strain != step.want {
			t.Fatalf("%d come and %d are served: strain %d, want %d", step.came, step.served, q.strain, step.want)
		}
	}
	for range 200 {
		second(20, 10)
	}
	if got, want := q.waits(), q.patience/leastPatience; got != want {
		t.Errorf("after minutes of strain one may wait %v, want %v", got, want)
	}
	for _, s := range waiting {
		if s.state == slotWaiting && q.depth > 3 {
			q.leave(s)
		}
	}
	second(0, 1)
	if q.strain != 0 || q.waits() != q.patience {
		t.Errorf("with a line that is short again: strain %d, one may wait %v; want 0, %v", q.strain, q.waits(), q.patience)
	}
	q.strain = 5
	serve(q.depth)
	if q.strain != 0 {
		t.Errorf("with nobody waiting: strain %d, want 0", q.strain)
	}
}
