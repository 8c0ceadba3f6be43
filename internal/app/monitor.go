package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/app/health"
)

const (
	// probeAfter is how long something must wait until the app is asked, and
	// probeTime how long it may take to answer.
	probeAfter = time.Second
	probeTime  = 2 * time.Second
	// wokenAgain is within which a process that was stopped, and woken, is
	// not woken once more.
	wokenAgain = time.Minute
	// workerPatience is how long the killing of a worker may take to help.
	workerPatience = 5 * time.Second
	memoryEvery    = 4 // samples
	// rollRetry is when an instance that could not be replaced is tried to
	// be replaced again.
	rollRetry = time.Minute
	// slowRestarts are at least so far apart: a restart that did not help
	// will not help again.
	slowRestarts = time.Hour
)

// monitor watches one instance, for the place's goroutine.
type monitor struct {
	place    *place
	instance *instance
	since    time.Time
	samples  int
	paced    time.Time
	queued   time.Time // since when something waits; zero: nothing does
	heard    time.Time // when it listened last
	givenUp  int
	probes   prober
	woken    map[int]time.Time
	spared   time.Time // until when a verdict is left to what was done
	rollAt   time.Time // when another instance was asked for
	relief   health.Relief
}

func newMonitor(p *place, i *instance) *monitor {
	now := time.Now()
	p.window.Samples, p.window.Paces = nil, nil
	p.relieved.Store(false)
	return &monitor{place: p, instance: i, since: now, paced: now, heard: now, woken: map[int]time.Time{}}
}

func (m *monitor) close() { m.probes.close() }

// look takes a sample and judges by what was seen lately.
func (m *monitor) look(now time.Time) health.Verdict {
	p := m.place
	p.window.Add(m.sample(now))
	if over := now.Sub(m.paced); over >= health.PaceInterval {
		p.window.AddPace(p.pace.take(over))
		m.paced = now
		m.relieve()
	}
	return p.window.Judge(m.limits())
}

// relieve sends half as many requests at a time to an app that is slow; see
// [App.Concurrency].
func (m *monitor) relieve() {
	p := m.place
	b := p.binding.Load()
	if b == nil || b.slots() < 2 {
		return // not known, or nothing to halve
	}
	queued := p.window.Samples[len(p.window.Samples)-1].Queue > 0
	on := m.relief.Step(&p.window, queued)
	if p.relieved.Swap(on) == on {
		return
	}
	event := Event{Kind: Noted, Seen: "the app is not slow any more, or no faster for it", Done: fmt.Sprintf("send it %d requests at a time again", b.slots())}
	if on {
		event = Event{Kind: Slow, Seen: fmt.Sprintf("half of the requests take more than %s, usual %s",
			p.window.Slowness().Round(time.Millisecond), p.window.Baseline.Median.Round(time.Millisecond)),
			Done: fmt.Sprintf("send it %d requests at a time instead of %d", b.slots()/2, b.slots())}
	}
	p.app.note(event)
	p.app.log.Info("slow app", "seen", event.Seen, "done", event.Done)
}

// unheardFor is since when it has its port closed; our socket is always open.
func (m *monitor) unheardFor(now time.Time) time.Duration {
	if m.place.open() {
		m.heard = now
	}
	return now.Sub(m.heard)
}

// deaf ends an instance that has closed the port of its own for so long that it
// will not open it again.
func (m *monitor) deaf(now time.Time) (ending, bool) {
	if m.unheardFor(now) < deafFor {
		return ending{}, false
	}
	address := m.place.elsewhere.Load().addr
	return m.end(health.Verdict{State: health.Dead, Why: fmt.Sprintf("dead: nobody listens on %s any more, for %s", address, deafFor)})
}

func (m *monitor) limits() health.Limits {
	c := m.place.app.config
	b := m.instance.binding.Load()
	return health.Limits{
		HangAfter: c.HangAfter, Unseen: c.Unseen, MemoryMax: c.MemoryMax,
		SingleThreaded: b != nil && b.processes*b.threads == 1,
	}
}

func (m *monitor) sample(now time.Time) health.Sample {
	p, i := m.place, m.instance
	s := health.Sample{At: now, Probe: m.probes.outcome()}
	if limit := p.app.config.AnswerTimeout; limit > 0 {
		m.givenUp += p.app.traffic.giveUp(p, limit, now)
	}
	s.GivenUp = m.givenUp
	p.app.traffic.look(&s, p, i.vouches())
	m.queue(&s)
	m.processes(&s)
	m.ask(s)
	return s
}

// queue counts what waits: in the kernel, at our own limit, or sent and not
// begun. A connection of a probe is not among them.
func (m *monitor) queue(s *health.Sample) {
	accept, err := m.place.queued()
	if err == nil {
		s.Queue = max(s.Queue, accept-m.probes.waiting())
	}
	if waiting := m.place.app.config.Waiting; waiting != nil {
		s.Queue = max(s.Queue, waiting())
	}
	switch {
	case s.Queue <= 0:
		s.Queue, m.queued = 0, time.Time{}
	case m.queued.IsZero():
		m.queued = s.At
	}
	if !m.queued.IsZero() {
		s.Waited = max(s.Waited, s.At.Sub(m.queued))
	}
}

func (m *monitor) processes(s *health.Sample) {
	m.samples++
	for _, p := range m.instance.servers() {
		if p.state == 'T' {
			s.Stopped = append(s.Stopped, p.pid)
		}
		if m.place.app.config.MemoryMax > 0 && m.samples%memoryEvery == 0 {
			s.Resident += resident(p.pid)
		}
	}
}

// ask probes the app where something waits and nothing moves.
func (m *monitor) ask(s health.Sample) {
	w := &m.place.window
	moved := len(w.Samples) > 0 && w.Samples[len(w.Samples)-1].Progress != s.Progress
	switch {
	case s.Queue == 0 || moved && !m.place.app.config.Unseen:
		m.probes.forget()
	case s.Waited >= probeAfter:
		m.probes.ask(m.place, m.instance)
	}
}

// act does what a verdict asks for. over says that the instance has ended.
func (m *monitor) act(ctx context.Context, v health.Verdict) (end ending, over bool) {
	if v.State == health.Well {
		m.preventive(ctx)
		return ending{}, false
	}
	if time.Now().Before(m.spared) {
		return ending{}, false
	}
	switch v.State {
	case health.Dead:
		return m.wake(v)
	case health.Hung:
		return m.end(v)
	default:
		m.roll(ctx, EventKind(v.State), v.Why)
		return ending{}, false
	}
}

// wake lets a stopped process go on: nothing is lost by that. One that is
// stopped again is killed.
func (m *monitor) wake(v health.Verdict) (ending, bool) {
	now := time.Now()
	pids := m.instance.own(v.PIDs)
	for _, pid := range pids {
		if now.Sub(m.woken[pid]) < wokenAgain {
			return m.end(v)
		}
	}
	for _, pid := range pids {
		m.woken[pid] = now
		syscall.Kill(pid, syscall.SIGCONT)
	}
	m.spared = now.Add(2 * health.Interval)
	m.place.app.note(Event{Kind: Dead, Seen: v.Why, Done: "woke it (SIGCONT)", toll: m.place.trouble(false)})
	m.place.relieve(now)
	m.place.app.log.Warn("the app was stopped", "seen", v.Why, "done", "woke it")
	return ending{}, false
}

// end kills what hangs: the stuck workers, where their master replaces them,
// else the whole instance.
func (m *monitor) end(v health.Verdict) (ending, bool) {
	i := m.instance
	event := Event{Kind: EventKind(v.State), Seen: v.Why}
	pids := i.own(v.PIDs)
	if v.State == health.Hung {
		all := pids
		if len(all) == 0 {
			all = i.own(i.pids.list())
		}
		event.Stacks = i.dumpStacks(all)
		m.place.app.traffic.condemn(i, all)
	}
	if i.replacesWorkers() && len(pids) > 0 && !slices.Contains(pids, i.pid) {
		m.killWorkers(pids, event)
		return ending{}, false
	}
	i.kill()
	event.Done = "killed it"
	return ending{exit: <-i.exited, reason: v.Why, event: event}, true
}

func (m *monitor) killWorkers(pids []int, event Event) {
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	m.spared = time.Now().Add(workerPatience)
	event.Restart = true
	event.toll = m.place.trouble(false)
	event.Done = fmt.Sprintf("killed the worker %s only; its master starts another", strings.Trim(fmt.Sprint(pids), "[]"))
	m.place.app.note(event)
	m.place.app.log.Error("the app hangs", "seen", event.Seen, "done", event.Done)
}

// preventive are restarts that the operator has asked for.
func (m *monitor) preventive(ctx context.Context) {
	c := m.place.app.config
	age := time.Since(m.since)
	if c.MaxAge > 0 && age >= c.MaxAge {
		m.roll(ctx, MaxAge, fmt.Sprintf("the instance is %s old", age.Round(time.Second)))
	}
	if served := m.place.app.traffic.served(m.place); c.MaxRequests > 0 && served >= c.MaxRequests {
		m.roll(ctx, MaxRequests, fmt.Sprintf("the instance has had %d requests", served))
	}
}

// roll puts another instance into this one's place, without haste: it serves.
func (m *monitor) roll(ctx context.Context, kind EventKind, why string) {
	if time.Since(m.rollAt) < rollRetry || kind == Slow && !m.place.app.mayRestartSlow() {
		return
	}
	m.rollAt = time.Now()
	m.place.app.rollLater(ctx, m.place, kind, why)
}

// prober asks the app whether anybody is there; one question at a time.
type prober struct {
	asking  atomic.Bool
	last    atomic.Uint32 // a health.Probe
	stopped atomic.Bool
}

func (p *prober) outcome() health.Probe { return health.Probe(p.last.Load()) }

// waiting counts our own connections that the app may not have accepted.
func (p *prober) waiting() int {
	if p.asking.Load() {
		return 1
	}
	return 0
}

func (p *prober) forget() { p.last.Store(uint32(health.Unasked)) }

func (p *prober) close() { p.stopped.Store(true) }

// ask begins to ask, unless that is going on. It ends by itself within
// probeTime.
func (p *prober) ask(at *place, i *instance) {
	if !p.asking.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer p.asking.Store(false)
		outcome := health.Failed
		if at.answers(i) {
			outcome = health.Passed
		}
		if !p.stopped.Load() {
			p.last.Store(uint32(outcome))
		}
	}()
}

// answers says whether the app answers a question of ours in time. By default
// the hook answers it, as soon as a thread of the app has time for one more
// request; nothing of the app runs for it.
func (p *place) answers(i *instance) bool {
	path := p.app.config.HealthPath
	scheme := "http"
	if p.app.TLS() {
		scheme = "https"
	}
	if path == "" {
		path = "/"
	}
	r, err := http.NewRequest(http.MethodGet, scheme+"://"+p.dial()+path, nil)
	if err != nil {
		return false
	}
	if p.app.config.HealthPath == "" {
		if e := p.elsewhere.Load(); !i.hookSeen.Load() || e != nil && !e.hooked {
			// Without the hook a view would run; that the app takes the
			// connection is all that can be asked for.
			return p.accepts()
		}
		r.Header[p.app.secrets.request] = []string{probeID + " "}
	}
	r.Header.Set("User-Agent", p.app.config.Program+" (asks whether the app answers)")
	res, err := probeClient(p).Do(r)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode < 500
}

// probeID is the request id by which the hook knows a probe (witness.py).
const probeID = "probe"

// accepts says whether the queue of the socket gets shorter.
func (p *place) accepts() bool {
	conn, err := net.DialTimeout("tcp", p.dial(), probeTime)
	if err != nil {
		return false
	}
	defer conn.Close()
	before, err := p.queued()
	for end := time.Now().Add(probeTime); err == nil && time.Now().Before(end); time.Sleep(readyPoll) {
		now, err := p.queued()
		if err == nil && now < before {
			return true
		}
		before = max(before, now)
	}
	return false
}
