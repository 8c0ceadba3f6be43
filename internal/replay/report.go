package replay

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/hostname"
	"github.com/flask2ban/flask2ban/routes"
)

// Report is what would have happened.
type Report struct {
	// Lines counts those that aren't empty, Skipped those that could not be
	// read, Clients and Requests what the others were of.
	Lines, Skipped, Clients, Requests int
	// Refused requests include those Throttled: refused to a suspect, not to
	// a banned client.
	Refused, Throttled int
	// First and Last are the log's own times; zero where it has none.
	First, Last time.Time
	// Took is how long the replay did.
	Took time.Duration
	// Learned is how many paths the logs gave as the table; -1 where there was
	// an app.
	Learned int
	Logs    []Log
	// Banned are the clients that would have been: those likely wrong first,
	// then by the time of their first ban.
	Banned []Banned
	// Evidence counts what was seen by kind.
	Evidence []Count
	// Paths are those that cost clients most.
	Paths []Path
	// Unused are routes that nobody asked for.
	Unused []routes.Route
	// Sweep compares settings, the one rehearsed among them; nil without one.
	Sweep []Outcome
	// Notes are what a reader must know to trust the rest.
	Notes []string

	timeline timeline
}

// Log is one log as it was read.
type Log struct {
	Name           string
	Lines, Skipped int
	// Format is the commonest in it.
	Format string
	// Skips are the first lines that could not be read.
	Skips []Skip
	// Err is what ended it early; nil where nothing did.
	Err error
}

// Skip is a line that could not be read: its number among those that aren't
// empty, its beginning, and why.
type Skip struct {
	Line      int
	Text, Why string
}

// Banned is a client that would have been banned.
type Banned struct {
	Client   string
	FirstBan time.Time
	Bans     int
	// Requests are all of the client's, After those after the first ban,
	// Refused those that it would not have got.
	Requests, After, Refused, Throttled int
	// Score is the one at the first ban.
	Score        float64
	Rule, Reason string
	// KnownShare is the part of its requests that were for the app's own
	// routes. Wrong says that it is most of them.
	KnownShare float64
	Wrong      bool
	Agent      string
	// Evidence is what led to the first ban; nil for those beyond the first
	// ten thousand.
	Evidence []ban.Line
}

// Count is how often a kind of evidence was seen.
type Count struct {
	Kind ban.Kind
	N    int
}

// Path is what one path cost clients.
type Path struct {
	Path string
	Kind ban.Kind
	// Weight is the sum of what it added to scores, Times how often, Soft how
	// many of them were soft.
	Weight      float64
	Times, Soft int
	// Clients counts up to 100.
	Clients int
}

// Outcome is what a setting comes to.
type Outcome struct {
	Name string
	// Rehearsed marks the setting that the rest of the report is about.
	Rehearsed                   bool
	Clients, Wrong, Bans        int
	Requests, Refused, Throttle int
}

// wrongShare is from which part of valid requests on a ban is likely wrong.
const wrongShare = 0.5

// likelyWrong says that a banned client mostly used real routes.
func (c *client) likelyWrong() bool { return c.knownShare() > wrongShare }

// mostReported bounds the paths of a report.
const mostReported = 1000

func (r *run) report(lanes []*lane) *Report {
	l := lanes[0]
	out := &Report{
		Lines: r.seen.lines, Skipped: r.seen.skipped, Clients: l.tally.people(), Requests: l.requests,
		Refused: l.refused, Throttled: l.throttled, Took: time.Since(r.began), Learned: -1,
		Logs: r.seen.logs(), Banned: l.tally.report(), Evidence: l.counts(), timeline: l.timeline,
	}
	if l.requests > 0 {
		out.First, out.Last = time.Unix(0, l.first).UTC(), time.Unix(0, l.last).UTC()
	}
	for _, p := range l.paths.costliest()[:min(len(l.paths.seen), mostReported)] {
		out.Paths = append(out.Paths, Path{p.path, p.kind, p.weight, p.times, p.soft, len(p.clients)})
	}
	if r.learned != nil {
		out.Learned = len(r.learned.paths)
	} else {
		out.Unused = unused(r.Table, l.used)
	}
	if len(lanes) > 1 {
		for i, l := range lanes {
			out.Sweep = append(out.Sweep, l.outcome(i == 0))
		}
	}
	out.Notes = r.notes(l)
	return out
}

// people counts the clients that have an address.
func (t *tally) people() int {
	n := len(t.clients)
	if _, nobody := t.index[clientKey{}]; nobody {
		n--
	}
	return n
}

// report tells of the banned clients.
func (t *tally) report() []Banned {
	out := make([]Banned, 0, len(t.banned))
	for _, b := range t.banned {
		c := t.clients[b.client]
		out = append(out, Banned{
			Client: ban.FormatClient(b.prefix), FirstBan: b.first.Since, Bans: b.bans,
			Requests: int(c.requests), After: int(c.requests - b.before), Refused: int(c.refused), Throttled: int(c.throttled),
			Score: b.score, Rule: b.first.Rule, Reason: b.first.Reason,
			KnownShare: c.knownShare(), Wrong: c.likelyWrong(), Agent: b.agent, Evidence: b.evidence,
		})
	}
	slices.SortStableFunc(out, func(a, b Banned) int {
		if a.Wrong != b.Wrong {
			if a.Wrong {
				return -1
			}
			return 1
		}
		return a.FirstBan.Compare(b.FirstBan)
	})
	return out
}

func (l *lane) counts() []Count {
	var out []Count
	for kind, n := range l.evidence {
		out = append(out, Count{kind, n})
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.N, a.N), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	return out
}

func (l *lane) outcome(rehearsed bool) Outcome {
	o := Outcome{Name: l.name, Rehearsed: rehearsed, Clients: len(l.tally.banned), Requests: l.requests, Refused: l.refused, Throttle: l.throttled}
	for _, b := range l.tally.banned {
		o.Bans += b.bans
		if l.tally.clients[b.client].likelyWrong() {
			o.Wrong++
		}
	}
	return o
}

// unused are the table's routes without a request.
func unused(t *routes.Table, used map[*routes.Route]int) []routes.Route {
	key := func(r *routes.Route) string { return r.Host + "\x00" + r.Subdomain + "\x00" + r.Rule }
	seen := map[string]bool{}
	for r := range used {
		seen[key(r)] = true
	}
	var out []routes.Route
	for _, r := range t.Routes() {
		if !seen[key(&r)] && !r.BuildOnly {
			seen[key(&r)] = true
			out = append(out, r)
		}
	}
	return out
}

func (c *counts) logs() []Log {
	var out []Log
	for _, s := range c.order {
		n := c.bySource[s]
		log := Log{Name: s.name, Lines: n.lines, Skipped: n.skipped, Format: n.commonest().String(), Err: n.err}
		for _, k := range n.skips {
			log.Skips = append(log.Skips, Skip{k.line, k.text, k.err.Error()})
		}
		out = append(out, log)
	}
	return out
}

func (s *sourceCounts) commonest() format {
	best := unknownFormat
	for f := range formats {
		if s.formats[f] > s.formats[best] {
			best = f
		}
	}
	return best
}

// notes are the doubts about this replay.
func (r *run) notes(l *lane) []string {
	var n notes
	n.add(r.stopped, "It was stopped: this is about what was read until then.")
	blind := r.seen.formats[common] + r.seen.formats[werkzeug]
	n.add(blind*10 > r.seen.lines, "%d lines show no Referer: people who followed a broken link can't be told from scanners there. The combined format shows it.", blind)
	for _, shared := range sharedNotes {
		of := l.tally.requestsOf(shared.standing)
		n.add(of*2 > l.requests, shared.text, of, l.requests)
	}
	if r.Table != nil {
		n.table(r.Table)
	}
	n.add(l.gaps*2 > l.requests, "%d of %d requests were answered though the table lacks them: is this the log of another app?", l.gaps, l.requests)
	for _, status := range l.soft.known() {
		n.add(true, "Unknown paths get %d here: such answers say nothing of a path, and were taken for nothing.", status)
	}
	n.add(l.clock.backward > 0, "The log's time went back %d times by more than %v; it was followed.", l.clock.backward, slack)
	n.add(len(l.literals.done) > 0, "%d paths were answered that the table lacks; after %d clients they counted as the app's.", len(l.literals.done), learnClients)
	n.add(l.paths.forgotten > 0, "There were so many paths with evidence that %d which cost little are not listed.", l.paths.forgotten)
	claims := l.tally.crawlers()
	n.add(len(claims) > 0, "%d of the banned call themselves search engines' crawlers (%s). flask2ban looks their host names up (host ADDRESS, and back), and spares those whose names prove it.",
		len(claims), strings.Join(claims[:min(len(claims), 3)], ", "))
	return n
}

// notes is a list of them.
type notes []string

func (n *notes) add(when bool, format string, args ...any) {
	if when {
		*n = append(*n, fmt.Sprintf(format, args...))
	}
}

// table adds what the table can't know.
func (n *notes) table(t *routes.Table) {
	all, open := t.CatchAll(), len(t.Unresolved())
	n.add(all != nil, "The app has a route for every path, %s: paths are no evidence there.", ruleOf(all))
	n.add(open > 0, "%d places in the app's source could not be resolved; below their prefixes nothing is held against clients (flask2ban routes APP lists them).", open)
}

// crawlers are the banned clients that call themselves a search engine's. Anyone
// can: here, where no name is looked up, it excuses nothing.
func (t *tally) crawlers() []string {
	var out []string
	for _, b := range t.banned {
		if hostname.Crawler(b.agent) != nil {
			out = append(out, ban.FormatClient(b.prefix))
		}
	}
	return out
}

func ruleOf(r *routes.Route) string {
	if r == nil {
		return ""
	}
	return r.Rule
}

// sharedNotes are for logs in which most requests are of addresses that can't
// be banned.
var sharedNotes = []struct {
	standing ban.Standing
	text     string
}{
	{ban.Never, "%d of %d requests came from addresses that are never banned (this machine's own, trusted proxies, --ignore): is this the log behind a proxy? Replay the proxy's own, or name it by --trusted-proxy where the log has X-Forwarded-For."},
	{ban.SuspectOnly, "%d of %d requests came from private addresses or a CDN's, which stand for many and are never blocked: replay a log with the clients' addresses, or see --trusted-proxy and --ban-private."},
}

func (t *tally) requestsOf(s ban.Standing) int {
	n := 0
	for i := range t.clients {
		if t.clients[i].standing == s {
			n += int(t.clients[i].requests)
		}
	}
	return n
}

// rate is in lines a second.
func (r *Report) rate() float64 {
	if r.Took <= 0 {
		return math.Inf(1)
	}
	return float64(r.Lines) / r.Took.Seconds()
}
