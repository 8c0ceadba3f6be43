// Package replay tells what flask2ban would have done, from access logs: every
// request goes through the route table, the verdict table and the engine that
// the daemon uses, at the time that the log gives it.
//
// Pieces of the logs are read and parsed on all cores; one goroutine an engine
// takes their requests in order. Nothing in a line is trusted, and no line is
// fatal.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/routes"
)

// Config says what to replay, and how it is judged.
type Config struct {
	// Logs are files, plain or compressed with gzip or zstd; "-" is Stdin.
	// They may be given in any order: their times say which comes first.
	Logs  []string
	Stdin io.Reader
	// Follow goes on reading the last of Logs as it grows, until the context
	// ends.
	Follow bool
	// Table is the app's; nil takes the paths that the logs themselves say
	// were answered with 2xx or 3xx. The logs are then read twice.
	Table *routes.Table
	// Lists are the paths judged by name where Table is nil.
	Lists routes.Lists
	// Clients finds out who asked. Required.
	Clients *clientip.Resolver
	// Header names the client behind trusted proxies; empty where no proxy is
	// trusted.
	Header string
	// Setting is what is rehearsed, Sweep what it is compared with.
	Setting Setting
	Sweep   []Setting
	// Banned, where set, is told of each ban as it is decided, in the log's
	// order and from one goroutine.
	Banned func(Event)
	// Progress, where set, is told now and then how far it is.
	Progress func(Progress)
	// Live, where set, makes decisions of what else is a rehearsal. It goes
	// without Sweep.
	Live *Live
}

// Live is what a replay needs whose bans are enforced.
type Live struct {
	// Begin is given the engine, whose times are the log's, before the first
	// request. Its error ends the replay.
	Begin func(*ban.Engine) error
	// After is up to when an earlier run has judged: requests until then are
	// counted, and not held against anyone again. Zero: none did.
	After time.Time
	// Judged is told up to when requests have been judged, after each piece of
	// the log.
	Judged func(time.Time)
}

// Setting is one configuration of the engine, with a name for people. Its
// Standing, Observe and BanJitter are replay's own.
type Setting struct {
	Name   string
	Engine ban.Config
}

// Event is one ban as it happens.
type Event struct {
	Ban ban.Ban
	// Again says that the client was banned before.
	Again bool
	// Path is what the client asked for last, Agent what it calls itself.
	Path, Agent string
}

// Progress is how far a replay is.
type Progress struct {
	// Pass is 1 or 2 of Passes.
	Pass, Passes int
	Lines        int
	// Read and Size are bytes of the files as they are; Size is 0 where the
	// end isn't known.
	Read, Size int64
	Took       time.Duration
}

// Run replays the logs. An error is of the configuration or of reading; a log
// that ends badly (a compressed file cut off) is in the report instead. When
// ctx ends, the report is of what was read until then.
func Run(ctx context.Context, c Config) (*Report, error) {
	r := &run{Config: c, began: time.Now()}
	defer r.close()
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if r.learned != nil {
		r.pass(ctx, 1, r.learn)
	}
	lanes, err := r.lanes()
	if err != nil {
		return nil, err
	}
	tracks := startTracks(lanes, r.parser)
	take := tracks.take
	if r.Live != nil {
		if err := r.Live.Begin(lanes[0].engine); err != nil {
			return nil, err
		}
		take = func(b *batch) {
			tracks.take(b)
			r.Live.Judged(time.Unix(0, lanes[0].last))
		}
	}
	r.pass(ctx, r.passes(), take)
	tracks.wait()
	r.stopped = ctx.Err() != nil && !r.Follow
	return r.report(lanes), nil
}

// run is one replay under way.
type run struct {
	Config
	began   time.Time
	read    atomic.Int64
	sources []*source
	size    int64
	learned *learned
	parser  *parser
	spool   string // the copy of the standard input
	seen    counts
	shown   time.Time
	stopped bool // before the end
}

// counts is what the reading of the logs itself found.
type counts struct {
	lines, skipped int
	formats        [formats]int
	bySource       map[*source]*sourceCounts
	order          []*source
}

// sourceCounts is the same for one log.
type sourceCounts struct {
	lines, skipped int
	formats        [formats]int
	skips          []skip
	err            error
}

func (r *run) open(ctx context.Context) error {
	if r.Clients == nil {
		return errors.New("replay: Clients is required")
	}
	if r.Live != nil && len(r.Sweep) > 0 {
		return errors.New("replay: Live goes without Sweep")
	}
	var table Table = r.Table
	if r.Table == nil {
		var err error
		if r.learned, err = newLearned(r.Lists); err != nil {
			return err
		}
		if err := r.spoolStdin(); err != nil {
			return err
		}
		table = r.learned
	}
	var err error
	if r.sources, err = openLogs(ctx, r.Config, &r.read); err != nil {
		return err
	}
	for _, s := range r.sources {
		if s.name == r.spool {
			s.name = stdinName
		}
		if r.size += s.size; s.size == 0 && s.live {
			r.size = 0
			break
		}
	}
	r.parser = &parser{
		table: table, clients: r.Clients, header: http.CanonicalHeaderKey(r.Header),
		jobs: make(chan job), quit: make(chan struct{}),
	}
	for range runtime.GOMAXPROCS(0) {
		go r.parser.work()
	}
	return nil
}

func (r *run) close() {
	if r.parser != nil {
		close(r.parser.quit)
	}
	if r.spool != "" {
		_ = os.Remove(r.spool) // one that is left does the report no harm
	}
}

// spoolStdin copies the standard input to a file, for it can't be read twice.
func (r *run) spoolStdin() error {
	at := slices.Index(r.Logs, stdin)
	if at < 0 {
		return nil
	}
	f, err := os.CreateTemp("", "flask2ban-replay-*")
	if err != nil {
		return fmt.Errorf("copy the standard input, to read it twice: %w", err)
	}
	r.spool = f.Name()
	_, err = io.Copy(f, r.Stdin)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("copy the standard input to %s, to read it twice: %w; set TMPDIR to where there is room", f.Name(), err)
	}
	r.Logs = slices.Clone(r.Logs)
	r.Logs[at] = r.spool
	return nil
}

// passes is how often the logs are read.
func (r *run) passes() int {
	if r.learned != nil {
		return 2
	}
	return 1
}

// lanes makes an engine for the setting and for each of the sweep.
func (r *run) lanes() ([]*lane, error) {
	var lanes []*lane
	for _, s := range append([]Setting{r.Setting}, r.Sweep...) {
		l, err := newLane(s, r.parser.table, r.Clients)
		if err != nil {
			return nil, err
		}
		lanes = append(lanes, l)
	}
	lanes[0].banned = r.Banned
	if r.Live != nil && !r.Live.After.IsZero() {
		lanes[0].after = r.Live.After.UnixNano()
	}
	if r.learned != nil && r.Follow {
		lanes[0].learn = r.learned.learn
	}
	return lanes, nil
}

// learn is the first pass over a log without a table.
func (r *run) learn(b *batch) {
	for i := range b.records {
		r.learned.learn(&b.records[i])
	}
	r.parser.recycle(b)
}

// pass reads all logs in the order of their times.
func (r *run) pass(ctx context.Context, n int, take func(*batch)) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r.seen = counts{bySource: map[*source]*sourceCounts{}}
	r.read.Store(0)
	m := merge{ctx: ctx, parser: r.parser, waiting: r.sources, seen: r.seen.add}
	if n < r.passes() {
		m.waiting = asTheyAre(r.sources)
	}
	for b := m.next(); b != nil; b = m.next() {
		take(b)
		r.progress(n, false)
	}
	r.progress(n, true)
}

// asTheyAre are the sources without following: each to its present end.
func asTheyAre(sources []*source) []*source {
	whole := make([]*source, len(sources))
	for i, s := range sources {
		w := *s
		if w.whole != nil {
			w.open, w.live = w.whole, false
		}
		whole[i] = &w
	}
	return whole
}

func (c *counts) add(b *batch) {
	s := c.bySource[b.source]
	if s == nil {
		s = new(sourceCounts)
		c.bySource[b.source] = s
		c.order = append(c.order, b.source)
	}
	for _, k := range b.skips {
		if len(s.skips) < keptSkips {
			k.line += s.lines
			s.skips = append(s.skips, k)
		}
	}
	for i, n := range b.formats {
		s.formats[i] += n
		c.formats[i] += n
	}
	s.lines, s.skipped = s.lines+b.lines, s.skipped+b.skipped
	c.lines, c.skipped = c.lines+b.lines, c.skipped+b.skipped
	if b.err != nil {
		s.err = b.err
	}
}

// progressEvery is how often it is told of.
const progressEvery = 200 * time.Millisecond

func (r *run) progress(pass int, last bool) {
	if r.Progress == nil || !last && time.Since(r.shown) < progressEvery {
		return
	}
	r.shown = time.Now()
	r.Progress(Progress{Pass: pass, Passes: r.passes(), Lines: r.seen.lines, Read: r.read.Load(), Size: r.size, Took: time.Since(r.began)})
}

// tracks run lanes side by side, each in the order of the log.
type tracks struct {
	lanes  []*lane
	parser *parser
	queues []chan shared
	wg     sync.WaitGroup
}

// shared is a batch that several lanes read.
type shared struct {
	*batch
	left *atomic.Int32
}

func startTracks(lanes []*lane, p *parser) *tracks {
	t := &tracks{lanes: lanes, parser: p}
	if len(lanes) == 1 {
		return t
	}
	for _, l := range lanes {
		queue := make(chan shared, 4)
		t.queues = append(t.queues, queue)
		t.wg.Add(1)
		go func() {
			defer t.wg.Done()
			for b := range queue {
				l.take(b.batch)
				if b.left.Add(-1) == 0 {
					p.recycle(b.batch)
				}
			}
		}()
	}
	return t
}

// take gives a batch to every lane.
func (t *tracks) take(b *batch) {
	if len(t.queues) == 0 {
		t.lanes[0].take(b)
		t.parser.recycle(b)
		return
	}
	s := shared{b, new(atomic.Int32)}
	s.left.Store(int32(len(t.queues)))
	for _, q := range t.queues {
		q <- s
	}
}

func (t *tracks) wait() {
	for _, q := range t.queues {
		close(q)
	}
	t.wg.Wait()
}
