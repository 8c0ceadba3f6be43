package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// suite is one run.
type suite struct {
	options
	script      string
	out, errors io.Writer
}

func newSuite(o options, out, errors io.Writer) (*suite, error) {
	s := &suite{options: o, out: out, errors: errors}
	var err error
	if s.binary, err = filepath.Abs(o.binary); err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.binary); err != nil {
		return nil, fmt.Errorf("%w; make build makes it", err)
	}
	s.script, err = writeApp()
	return s, err
}

func (s *suite) close() { os.RemoveAll(filepath.Dir(s.script)) }

// all runs the wanted cases: those with a fault one after the other, for they
// need the machine for themselves, then the calm ones at the same time.
func (s *suite) all(ctx context.Context) []row {
	var rows, calm []row
	var together sync.WaitGroup
	fmt.Fprintln(s.out, header)
	for n, c := range mustSurvive {
		if ctx.Err() == nil && s.only.MatchString(c.name) {
			rows = append(rows, s.one(ctx, n, c))
			s.tell(rows[len(rows)-1])
		}
	}
	for _, c := range mustNotRestart {
		if s.calm > 0 && s.only.MatchString(c.name) {
			calm = append(calm, row{test: c})
		}
	}
	if len(calm) > 0 && ctx.Err() == nil {
		fmt.Fprintf(s.errors, "%d calm cases run for %s\n", len(calm), s.calm)
	}
	for i := range calm {
		together.Go(func() { calm[i] = s.one(ctx, len(mustSurvive)+i, calm[i].test) })
	}
	together.Wait()
	for _, r := range calm {
		s.tell(r)
	}
	return append(rows, calm...)
}

// tell prints a row, and beside the table what was lost.
func (s *suite) tell(r row) {
	fmt.Fprintln(s.out, r)
	if r.err != nil || r.verdict() == fine {
		return
	}
	for why, count := range r.result.why {
		fmt.Fprintf(s.errors, "  %s: %d × %s\n", r.test.name, count, why)
	}
}

// stopTime is what a daemon has for its end: longer than an app's requests may
// go on.
const stopTime = 45 * time.Second

// one runs a case; n tells its clients from those of others.
func (s *suite) one(ctx context.Context, n int, c test) (r row) {
	r = row{test: c, lasted: s.lasts(c)}
	d, err := startDaemon(ctx, s, c.site)
	if err != nil {
		r.err = err
		return r
	}
	defer func() {
		r.left = d.end(s.keep)
		if s.keep {
			fmt.Fprintln(s.errors, c.name, "left its log in", d.dir)
		}
	}()
	if c.before != nil {
		if r.err = c.before(ctx, d); r.err != nil {
			return r
		}
	}
	r.load(ctx, d, newAgents(n), s)
	return r
}

// lasts is how long a case's load goes on after its fault.
func (s *suite) lasts(c test) time.Duration {
	switch {
	case c.calm:
		return s.calm
	case c.lasts > 0:
		return c.lasts
	}
	return s.after
}

// load breaks the app, or tries it, under load, and notes what came of it.
func (r *row) load(ctx context.Context, d *daemon, from agents, s *suite) {
	gets := s.gets
	if r.test.calm {
		gets = s.calmGets
	}
	r.result = newResult()
	loading, stop := context.WithCancel(ctx)
	defer stop()
	d.beside.Go(func() { from.run(loading, "http://"+d.Addr, gets, r.result) })
	testbed.Pause(ctx, s.warm)
	at := time.Now()
	if r.test.calm {
		d.beside.Go(func() { r.failed = r.test.fault(loading, d) })
	} else {
		r.failed = r.test.fault(loading, d)
	}
	testbed.Pause(ctx, r.lasted)
	events, err := d.events(ctx)
	if err != nil {
		r.err = err
	}
	r.learn(events, at)
	stop()
	d.beside.Wait()
	r.note = d.note()
	r.posts = r.result.posted(d.ran())
}
