package replay

import (
	"cmp"
	"hash/maphash"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/proxy"
	"github.com/flask2ban/flask2ban/routes"
)

// lane is one engine and what came of it: the configuration that is rehearsed,
// or one of those that a sweep compares. What it does with a request is what
// proxy.Handler does.
type lane struct {
	name    string
	engine  *ban.Engine
	weights map[ban.Kind]float64
	table   Table
	clients *clientip.Resolver
	// learn takes what an answer says, when following with a learned table.
	learn  func(*record)
	banned func(Event)
	// after is up to when an earlier run has judged (see Live).
	after int64

	clock    clock
	first    int64     // the earliest and
	last     int64     // latest time
	expired  time.Time // when the engine last forgot
	since    int       // requests since then
	tally    *tally
	paths    paths
	timeline timeline
	used     map[*routes.Route]int
	soft     softWatch
	literals literals

	requests, refused, throttled int
	// gaps are requests that the app answered though the table lacks them.
	gaps     int
	evidence map[ban.Kind]int
}

func newLane(s Setting, table Table, clients *clientip.Resolver) (*lane, error) {
	c := s.Engine
	c.Observe = false // what would have happened, had it been enforced
	c.BanJitter = -1  // twice the same is the same
	c.Standing = func(a netip.Addr) ban.Standing { return standingOf(clients, a) }
	engine, err := ban.New(c)
	if err != nil {
		return nil, err
	}
	return &lane{
		name: s.Name, engine: engine, weights: weightsOf(c), table: table, clients: clients,
		first: math.MaxInt64, tally: newTally(), used: map[*routes.Route]int{},
		evidence: map[ban.Kind]int{}, soft: newSoftWatch(), literals: literals{seed: maphash.MakeSeed()},
	}, nil
}

// standings translates what clientip says of an address for the engine.
var standings = map[clientip.Standing]ban.Standing{
	clientip.Bannable:    ban.Bannable,
	clientip.SuspectOnly: ban.SuspectOnly,
	clientip.Never:       ban.Never,
}

func standingOf(clients *clientip.Resolver, a netip.Addr) ban.Standing {
	s, _ := clients.Standing(a)
	return standings[s]
}

// weightsOf are the weights in force, for the sums of what paths cost.
func weightsOf(c ban.Config) map[ban.Kind]float64 {
	weights := map[ban.Kind]float64{}
	for _, k := range ban.Kinds() {
		weights[k.Kind] = k.Weight
		if k.Decisive {
			weights[k.Kind] = cmp.Or(c.MaxRetry, ban.DefaultMaxRetry)
		}
	}
	maps.Copy(weights, c.Weights)
	return weights
}

// weight is what a counted piece added; soft ones of decisive kinds add 1.
func (l *lane) weight(v *ban.Evidence) float64 {
	w := l.weights[v.Kind]
	if v.Soft && v.Kind == ban.Honeypath {
		return min(1, w)
	}
	return w
}

// request is one request on its way through a lane.
type request struct {
	*record
	now   time.Time
	id    uint32
	kind  routes.Kind
	said  proxy.Testimony
	route string
}

func (l *lane) take(b *batch) {
	for i := range b.records {
		l.replay(&b.records[i])
	}
}

// replay is the way of one request, as in proxy.Handler.ServeHTTP: who asks,
// what for, may they, and what the answer says of the client.
func (l *lane) replay(r *record) {
	q := request{record: r, now: l.clock.at(r.time), kind: r.verdict.Kind}
	l.first, l.last = min(l.first, r.time), max(l.last, r.time)
	l.expire(q.now)
	q.id = l.meet(r)
	if q.kind == routes.UnexpectedPath && l.literals.has(r) {
		q.kind = routes.Found
	}
	q.route = q.pattern()
	q.said = l.testimony(&q)
	known := q.kind == routes.Found || q.kind == routes.Redirect
	l.count(&q, known || q.said == proxy.Has)
	if l.after != 0 && r.time <= l.after {
		l.learnFrom(&q, ban.Decision{})
		return
	}

	d := l.engine.Admit(q.now, ban.Request{Client: r.client, Known: !q.kind.Lacking(), Route: q.route, Method: r.method})
	if d.Wait > 0 {
		l.engine.Waited(q.now.Add(d.Wait), d, false)
	}
	defer l.engine.Done(d)
	if d.Refused() {
		l.refuse(&q, d)
		return
	}
	l.observe(&q, known, d)
}

// meet counts the request of its client.
func (l *lane) meet(r *record) uint32 {
	id, fresh := l.tally.of(r.client)
	if fresh {
		l.tally.clients[id].standing = standingOf(l.clients, r.client.Addr())
	}
	l.tally.clients[id].requests++
	l.requests++
	return id
}

func (l *lane) count(q *request, known bool) {
	p := l.timeline.at(q.now)
	if !known {
		p.unknown++
		return
	}
	p.known++
	l.tally.clients[q.id].known++
	if q.kind == routes.UnexpectedPath {
		l.gaps++
	}
	if q.verdict.Route != nil && q.status != http.StatusNotFound {
		l.used[q.verdict.Route]++
	}
}

func (l *lane) refuse(q *request, d ban.Decision) {
	c := &l.tally.clients[q.id]
	c.refused++
	l.refused++
	l.timeline.at(q.now).refused++
	if d.Rule == ban.RuleSuspect {
		c.throttled++
		l.throttled++
	}
}

// pattern is the route of a request that the table has. Where the table is the
// log itself, that is its path.
func (q *request) pattern() string {
	if q.kind != routes.Found && q.kind != routes.Redirect {
		return ""
	}
	if q.verdict.Route != nil {
		return q.verdict.Route.Rule
	}
	path, _, _ := strings.Cut(q.target, "?")
	return path
}

// testimony is the app's word, as far as the status tells (proxy.Sidecar does
// the same).
func (l *lane) testimony(q *request) proxy.Testimony {
	silent := l.soft.silent(q.kind, q.target, q.status)
	switch {
	case q.status == http.StatusNotFound:
		return proxy.Lacks
	case silent:
		return proxy.Silent
	case q.status == http.StatusMethodNotAllowed:
		return proxy.Refuses
	case answered(q.status):
		return proxy.Has
	}
	return proxy.Silent
}

// observe tells the engine what the request says of the client.
func (l *lane) observe(q *request, known bool, d ban.Decision) {
	o := ban.Observation{
		Client: q.client, Known: known || q.said == proxy.Has, Found: q.said == proxy.Has,
		Status: q.status, Route: q.route, Method: q.method,
	}
	listed := q.kind == routes.Found && q.status == http.StatusNotFound && l.table.Listed(q.target)
	if kind := q.evidence(listed); kind != "" {
		o.Evidence = &ban.Evidence{
			Kind: kind, Soft: q.soft || listed, Path: routes.Path(q.target), Method: q.method,
			Route: q.route, Verdict: q.kind.String(),
		}
		l.evidence[kind]++
	}
	l.learnFrom(q, d)
	out := l.engine.Observe(q.now, o)
	if out.Counted {
		l.paths.add(o.Evidence, l.weight(o.Evidence), q.id)
	}
	if out.Banned != nil {
		l.ban(q, out)
	}
}

// evidence is what the request is evidence of, as in proxy.
func (q *request) evidence(listed bool) ban.Kind {
	switch {
	case listed:
		return ban.UnexpectedPath
	case q.status == http.StatusInternalServerError && (q.kind == routes.Found || q.kind == routes.Redirect):
		return ban.ServerError
	}
	return proxy.Judge(q.kind, q.said)
}

func (l *lane) learnFrom(q *request, d ban.Decision) {
	if l.learn != nil {
		l.learn(q.record)
	}
	if q.kind == routes.UnexpectedPath && q.said == proxy.Has && d.Class != ban.Suspect {
		l.literals.note(q.record, q.id)
	}
}

func (l *lane) ban(q *request, out ban.Outcome) {
	l.timeline.at(q.now).bans++
	again := l.tally.clients[q.id].ban != 0
	l.tally.ban(q.id, out.Banned, out.Score, q.agent, func() []ban.Line {
		return l.engine.Why(q.now, q.client).Evidence
	})
	if l.banned != nil {
		l.banned(Event{Ban: *out.Banned, Again: again, Path: routes.Path(q.target), Agent: cut(q.agent, keptText)})
	}
}

// How often the engine forgets what no longer matters: each hour of the log,
// and not more often than so many requests.
const (
	expireEvery    = time.Hour
	expireRequests = 200_000
)

func (l *lane) expire(now time.Time) {
	if l.since++; l.since < expireRequests || now.Sub(l.expired) < expireEvery {
		return
	}
	l.engine.Expire(now)
	l.expired, l.since = now, 0
}
