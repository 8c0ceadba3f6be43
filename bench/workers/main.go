// Command workers measures what --workers brings: an app that needs processors
// and one that waits, under Werkzeug's server and gunicorn, with a fixed number
// of instances and with as many as it decides on. It writes a Markdown table.
//
// All load stays on this machine, 16 clients of 127.77.0.0/24 that ask as soon
// as they have their answer.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

// How long each part takes.
const (
	clients     = 16
	warmUp      = time.Second
	measured    = 3 * time.Second
	growTime    = 20 * time.Second // four instances, each tried for some seconds
	startTime   = 30 * time.Second
	shrinkTime  = 2 * time.Minute
	stopTime    = 20 * time.Second
	watchEvery  = 100 * time.Millisecond
	elastic     = "auto:1-4"
	cpuBound    = "/cpu"
	ioBound     = "/io"
	gunicornRun = "gunicorn -w 1 app:app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "workers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("workers", flag.ContinueOnError)
	bin := flags.String("bin", "bin", "the directory that has flask2ban and flasksupervisor")
	out := flags.String("out", "bench/WORKERS.md", "the file to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := filepath.Abs("bench/workers")
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "app.py")); err != nil {
		return fmt.Errorf("run it where bench/workers is: %w", err)
	}
	programs, err := filepath.Abs(*bin)
	if err != nil {
		return err
	}
	b := &bench{dir: dir, programs: programs, began: time.Now()}
	if err := b.all(ctx); err != nil {
		return err
	}
	return os.WriteFile(*out, []byte(b.report(ctx)), 0o644)
}

// kind is one app: a server with a view.
type kind struct {
	server, path string
}

func kinds() []kind {
	return []kind{{"gunicorn", ioBound}, {"gunicorn", cpuBound}, {"Werkzeug", ioBound}, {"Werkzeug", cpuBound}}
}

// command is "--" and what stands after it; none for Werkzeug's server.
func (k kind) command() []string {
	if k.server == "gunicorn" {
		return strings.Fields("-- " + gunicornRun)
	}
	return nil
}

// row is what was measured of one app with one --workers.
type row struct {
	kind
	workers string
	result
	rss int64 // bytes, of all instances
	// growth is, of an elastic one, when each number of instances served
	// first, and chosen the number in the end.
	growth []string
	chosen int
	events []string
	shrank []string
}

// bench is one run.
type bench struct {
	dir, programs string
	began         time.Time
	rows          []*row
	shared        []*row
}

// all measures everything. The first elastic app is left idle meanwhile, to see
// it shrink. Where something fails it is watched to its end all the same.
func (b *bench) all(ctx context.Context) error {
	var first *row
	watched := make(chan []string, 1)
	for _, k := range kinds() {
		d, r, err := b.elastic(ctx, k)
		if err != nil {
			return err
		}
		b.rows = append(b.rows, r)
		if first != nil {
			d.stop()
			continue
		}
		first = r
		go func() { watched <- d.shrinks(ctx) }()
	}
	err := b.fixed(ctx)
	first.shrank = <-watched
	return err
}

func (b *bench) fixed(ctx context.Context) error {
	for _, k := range kinds() {
		for _, workers := range []string{"1", "2", "4"} {
			r, err := b.measure(ctx, k, workers, false)
			if err != nil {
				return err
			}
			b.rows = append(b.rows, r)
		}
	}
	for _, k := range []kind{{"gunicorn", cpuBound}, {"Werkzeug", cpuBound}} {
		r, err := b.measure(ctx, k, "2", true)
		if err != nil {
			return err
		}
		b.shared = append(b.shared, r)
	}
	return nil
}

// measure runs an app with a fixed number of instances. shared has them on one
// socket, without a proxy.
func (b *bench) measure(ctx context.Context, k kind, workers string, shared bool) (*row, error) {
	d, err := b.start(ctx, k, workers, shared)
	if err != nil {
		return nil, err
	}
	defer d.stop()
	var want int
	fmt.Sscan(workers, &want)
	if err := d.await(ctx, want); err != nil {
		return nil, err
	}
	results := load(ctx, d.url+k.path, warmUp+measured)
	r := &row{kind: k, workers: workers, chosen: want, rss: d.rss()}
	r.result = results.from(warmUp)
	fmt.Printf("%-9s %-5s %-9s %7.1f/s\n", k.server, k.path, workers, r.rate)
	return r, ctx.Err()
}

// elastic runs an app that decides itself, and says how it grew.
func (b *bench) elastic(ctx context.Context, k kind) (*daemon, *row, error) {
	d, err := b.start(ctx, k, elastic, false)
	if err != nil {
		return nil, nil, err
	}
	if err := d.await(ctx, 1); err != nil {
		d.stop()
		return nil, nil, err
	}
	r := &row{kind: k, workers: elastic}
	began := time.Now()
	watching, cancel := context.WithTimeout(ctx, growTime)
	defer cancel()
	grew := make(chan []string, 1)
	go func() { grew <- d.grows(watching, began) }()
	results := load(ctx, d.url+k.path, growTime)
	r.growth = <-grew
	r.result = results.from(growTime - measured)
	r.chosen, r.rss, r.events = d.serving(), d.rss(), d.scaled()
	fmt.Printf("%-9s %-5s %-9s %7.1f/s with %d %v\n", k.server, k.path, elastic, r.rate, r.chosen, r.growth)
	return d, r, ctx.Err()
}
