package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/flask2ban/flask2ban/internal/clientip"
)

// batch is a piece of a log, parsed.
type batch struct {
	source  *source
	records []record
	// lines counts those that aren't empty, formats which they were in.
	lines   int
	formats [formats]int
	skips   []skip
	skipped int
	// latest is the latest time among the records, err what ended the log.
	latest int64
	err    error
}

// skip is a line that could not be read.
type skip struct {
	line int // of the batch
	text string
	err  error
}

// How much of lines that could not be read is kept: so many, and of each so
// many bytes.
const (
	keptSkips = 5
	keptText  = 200
)

var errLong = fmt.Errorf("longer than %d MiB", maxLine>>20)

// parser turns texts into batches, as many at a time as it has goroutines.
type parser struct {
	table   Table
	clients *clientip.Resolver
	// header names the client behind trusted proxies; empty where none is
	// trusted.
	header string
	jobs   chan job
	quit   chan struct{}
	pool   sync.Pool // *batch
}

// job is one text to parse, and where the batch goes.
type job struct {
	source *source
	text   string
	long   int
	err    error
	done   chan<- *batch
}

// work parses until quit is closed.
func (p *parser) work() {
	for {
		select {
		case j := <-p.jobs:
			j.done <- p.parse(j)
		case <-p.quit:
			return
		}
	}
}

// stream reads a source piece by piece: the channels come in the order of the
// log, and each gives one batch. It ends after the log, or with ctx.
func (p *parser) stream(ctx context.Context, s *source) <-chan (<-chan *batch) {
	const ahead = 4 // pieces parsed before their turn
	out := make(chan (<-chan *batch), ahead)
	go func() {
		defer close(out)
		r, err := s.open()
		if err != nil {
			p.submit(ctx, job{source: s, err: err}, out)
			return
		}
		defer r.Close()
		c := chunker{r: r, size: chunkSize, live: s.live}
		for err == nil {
			var text string
			text, err = c.next()
			if !p.submit(ctx, job{source: s, text: text, long: c.long, err: err}, out) {
				return
			}
			c.long = 0
		}
	}()
	return out
}

// submit has a job done, its batch to come in out's order; false where ctx
// ended.
func (p *parser) submit(ctx context.Context, j job, out chan<- (<-chan *batch)) bool {
	done := make(chan *batch, 1)
	j.done = done
	select {
	case p.jobs <- j:
	case <-ctx.Done():
		return false
	}
	select {
	case out <- done:
		return true
	case <-ctx.Done():
		return false
	}
}

// parse reads a text's lines and asks the table about each request.
func (p *parser) parse(j job) *batch {
	b := p.empty(j.source)
	if !errors.Is(j.err, io.EOF) {
		b.err = j.err
	}
	for range j.long {
		b.lines++
		b.skip("", errLong)
	}
	eachLine(j.text, func(line string) bool {
		b.add(p, line)
		return true
	})
	return b
}

// empty returns a batch to fill.
func (p *parser) empty(s *source) *batch {
	b, _ := p.pool.Get().(*batch)
	if b == nil {
		b = new(batch)
	}
	*b = batch{source: s, records: b.records[:0], skips: b.skips[:0], latest: math.MinInt64}
	return b
}

// add parses one line.
func (b *batch) add(p *parser, line string) {
	b.lines++
	n := len(b.records)
	if n < cap(b.records) {
		b.records = b.records[:n+1]
	} else {
		b.records = append(b.records, record{})
	}
	r := &b.records[n]
	f, err := parse(line, r)
	if err != nil {
		b.records = b.records[:n]
		b.skip(line, err)
		return
	}
	b.formats[f]++
	b.latest = max(b.latest, r.time)
	p.judge(r)
}

func (b *batch) skip(text string, err error) {
	b.skipped++
	if len(b.skips) < keptSkips {
		b.skips = append(b.skips, skip{b.lines, cut(text, keptText), err})
	}
}

// cut returns a copy of the beginning of s.
func cut(s string, n int) string {
	if len(s) > n {
		return string(append([]byte(s[:n]), "..."...))
	}
	return string([]byte(s))
}

// recycle takes a batch back that nobody uses any more.
func (p *parser) recycle(b *batch) { p.pool.Put(b) }
