package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// row is one line of a table.
type row struct {
	test   test
	lasted time.Duration // after the fault
	result *result
	posts  posted
	// seen is how long after the fault the first event came, if there were events.
	seen        time.Duration
	action, saw string
	events      int
	note        string
	// failed is why the fault, or what follows it, did not go as it must.
	failed error
	// left is what outlived the daemon.
	left error
	// err is why the case could not be run.
	err error
}

// errUnavailable marks faults that this machine doesn't have.
var errUnavailable = errors.New("not to be had here")

// learn takes what the daemon saw after the fault, the latest first.
func (r *row) learn(events []app.Event, at time.Time) {
	for _, e := range events {
		if e.At.Before(at) || e.Kind == app.Served || e.Kind == app.Noted || e.Kind == app.Scaled {
			continue
		}
		r.events++
		r.seen, r.saw, r.action = e.At.Sub(at), e.Seen, e.Done
	}
}

// Verdicts.
const (
	fine   = "ok"
	notRun = "not run"
)

// verdict is fine, notRun, or what falls short.
func (r row) verdict() string {
	if r.err != nil {
		return bold(r.err.Error())
	}
	if errors.Is(r.failed, errUnavailable) {
		return notRun
	}
	var bad []string
	say := func(when bool, format string, args ...any) {
		if when {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	say(r.failed != nil, "%v", r.failed)
	if !r.test.busy {
		say(r.result.getsLost > 0, "%d GETs lost", r.result.getsLost)
		say(r.posts.unreadLost > 0, "%d unread POSTs lost", r.posts.unreadLost)
	}
	say(r.posts.twice > 0, "%d POSTs ran twice", r.posts.twice)
	switch within := r.test.within; {
	case within > 0 && r.events == 0:
		say(true, "not seen")
	case within > 0:
		say(r.seen > within, "not seen within %s", within)
	}
	say(r.test.calm && r.events > 0, "it was acted on though nothing was wrong")
	say(r.left != nil, "%v", r.left)
	if len(bad) == 0 {
		return fine
	}
	return bold(strings.Join(bad, ", "))
}

func bold(text string) string { return "**" + oneLine(text) + "**" }

// short counts the rows that fall short.
func short(rows []row) int {
	bad := 0
	for _, r := range rows {
		if v := r.verdict(); v != fine && v != notRun {
			bad++
		}
	}
	return bad
}

const header = `| case | GETs | lost | POSTs | unread lost | read, lost | run twice | slowest | seen after | what was seen | done | |
|---|---|---|---|---|---|---|---|---|---|---|---|`

// String is the row in Markdown.
func (r row) String() string {
	if r.err != nil {
		return fmt.Sprintf("| %s | | | | | | | | | | | %s |", r.test.name, r.verdict())
	}
	if errors.Is(r.failed, errUnavailable) {
		return fmt.Sprintf("| %s | | | | | | | | | %s | | %s |", r.test.name, oneLine(r.failed.Error()), notRun)
	}
	seen, done := "-", r.action
	if r.events > 0 {
		seen = fmt.Sprintf("%.1f s", r.seen.Seconds())
	}
	if r.note != "" {
		done = strings.TrimPrefix(done+"; "+r.note, "; ")
	}
	lost, unread := fmt.Sprint(r.result.getsLost), fmt.Sprint(r.posts.unreadLost)
	if r.test.busy {
		lost, unread = "("+lost+")", "("+unread+")"
	}
	return fmt.Sprintf("| %s | %d | %s | %d | %s | %d | %d | %.1f s | %s | %s | %s | %s |", r.test.name,
		r.result.gets, lost, r.posts.sent, unread, r.posts.readLost, r.posts.twice,
		r.result.slowest.Seconds(), seen, oneLine(r.saw), oneLine(done), r.verdict())
}

// oneLine makes a text fit a cell.
func oneLine(s string) string {
	s = strings.NewReplacer("\n", " ", "|", "\\|").Replace(strings.TrimSpace(s))
	if runes := []rune(s); len(runes) > 200 {
		s = string(runes[:200]) + "..."
	}
	return s
}

// document is bench/FAULTS.md.
func document(ctx context.Context, rows []row, o options, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults under load

Written by %s on %s in %s, %s. Each case is a real app
([faults/app.py](faults/app.py)) behind a flask2ban of its own. "Lost" is whatever was not answered with 200 within
%s. Every POST that the app begins is noted there by its id, in the view itself: so POSTs that had been begun
when the app died ("read, lost": they must not be sent again) are told from unread ones, and none may be noted
twice. Times are counted from the fault. A case's verdict is "ok" where nothing that can be sent again was lost, no POST
ran twice, the fault was seen in the time that is demanded (where one is), no process was left, and whatever
else the case says of itself held.

`, "`make faults`", time.Now().Format("2006-01-02"), took.Round(time.Second), machine(ctx), patience)
	survive, calm := split(rows)
	if len(survive) > 0 {
		fmt.Fprintf(&b, `## Must be survived

One after the other, under %d GETs and %d POSTs a second from %d addresses: for %s before the fault, and %s after
it (longer where the fault lasts longer).

`, o.gets, posts(o.gets), clients, o.warm, o.after)
		tabulate(&b, survive)
	}
	if len(calm) > 0 {
		fmt.Fprintf(&b, `
## Must not be restarted

All at the same time, each under %d GETs and %d POSTs a second, for %s. What is tried goes on or is done again
for all of that time, and must itself come to its end whole: streams that break off, uploads and reports that fail
are told of. In brackets: lost where the app has no worker to spare, which is what is tried.

`, o.calmGets, posts(o.calmGets), o.calm)
		tabulate(&b, calm)
	}
	return b.String()
}

func split(rows []row) (survive, calm []row) {
	for _, r := range rows {
		if r.test.calm {
			calm = append(calm, r)
		} else {
			survive = append(survive, r)
		}
	}
	return survive, calm
}

func tabulate(b *strings.Builder, rows []row) {
	fmt.Fprintln(b, header)
	for _, r := range rows {
		fmt.Fprintln(b, r)
	}
}

// machine says what this was measured on.
func machine(ctx context.Context) string {
	load, _ := os.ReadFile("/proc/loadavg") // then it is left out
	kernel, _ := exec.CommandContext(ctx, "uname", "-r").Output()
	one, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("Linux %s, load %s at its end", strings.TrimSpace(string(kernel)), one)
}
