package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is the run for people, in Markdown.
func (b *bench) report(ctx context.Context) string {
	var out strings.Builder
	fmt.Fprintf(&out, `# Workers

%s, %s, in %s: what --workers brings. A view of bench/workers/app.py that needs a processor for some ms
(/cpu), and one that waits for 50 ms (/io); %d clients of 127.77.0.0/24 that ask again as soon as they
have their answer. gunicorn has one sync worker an instance, so one request at a time; Werkzeug's server a thread
a request. Fixed numbers: %s after %s of the same load; %s: the last %s of %s, with as many instances as
it had chosen. RSS is all of the app's processes', gunicorn's masters too. Load, flask2ban and app share %s.

| server | view | --workers | requests/s | p50 | p99 | failed | instances | RSS | grew (serving, since the load began) |
|---|---|---|---:|---:|---:|---:|---:|---:|---|
`, "`make bench-workers`", b.began.UTC().Format("2006-01-02 15:04 MST"), time.Since(b.began).Round(time.Second), clients, measured, warmUp, elastic, measured, growTime, machine(ctx))
	slices.SortStableFunc(b.rows, func(x, y *row) int {
		return strings.Compare(x.path+x.server+x.workers, y.path+y.server+y.workers)
	})
	for _, r := range b.rows {
		r.write(&out, strings.Join(r.growth, ", "))
	}
	out.WriteString("\nWhy it changed, in the app's own words:\n\n")
	for _, r := range b.rows {
		for _, e := range r.events {
			fmt.Fprintf(&out, "- %s %s: %s\n", r.server, r.path, e)
		}
		if r.workers == elastic && r.shrank != nil {
			fmt.Fprintf(&out, "- %s %s, idle afterwards: %s\n", r.server, r.path, strings.Join(r.shrank, ", "))
		}
	}
	out.WriteString(`
## One socket for all, or one each

flask2ban has a listening socket for each instance, and sends a request to the one with the fewest. Under
flasksupervisor nothing stands before the app: its instances share the one socket, and the kernel wakes
whichever accepts. So the second has no proxy's cost, and no choice either.

| server | view | --workers | requests/s | p50 | p99 | failed | instances | RSS | socket |
|---|---|---|---:|---:|---:|---:|---:|---:|---|
`)
	for _, s := range b.shared {
		for _, r := range b.rows {
			if r.kind == s.kind && r.workers == s.workers {
				r.write(&out, "one each (flask2ban)")
			}
		}
		s.write(&out, "shared (flasksupervisor)")
	}
	return out.String()
}

func (r *row) write(out *strings.Builder, last string) {
	fmt.Fprintf(out, "| %s | %s | %s | %.0f | %d ms | %d ms | %d | %d | %d MB | %s |\n", r.server, r.path, r.workers, r.rate,
		r.p50.Milliseconds(), r.p99.Milliseconds(), r.failed, r.chosen, r.rss>>20, last)
}

// machine says what this was measured on.
func machine(ctx context.Context) string {
	kernel, _ := exec.CommandContext(ctx, "uname", "-sr").Output()
	load, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(load), " ")
	python, _ := exec.CommandContext(ctx, "/usr/bin/python3", "-V").Output()
	return fmt.Sprintf("%d cores (%s, %s; load average at the end %s)",
		runtime.NumCPU(), strings.TrimSpace(string(kernel)), strings.TrimSpace(string(python)), one)
}
