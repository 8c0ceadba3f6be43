// Command faults breaks a real app in every way that supervision has to
// survive, under load, and tells what it cost: `make faults` runs it and writes
// bench/FAULTS.md. All ports are on 127.0.0.1, and what was started is ended by
// its process id.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// suite is one run.
type suite struct {
	binary, script string
	after, calm    time.Duration
	keep           bool
	gets           int // each second
	errors         io.Writer
	bad            int
}

// warmUp is how long the load runs before the fault.
const warmUp = 3 * time.Second

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	s := &suite{errors: stderr}
	binary := flags.String("binary", "bin/flask2ban", "the flask2ban to test")
	flags.DurationVar(&s.after, "after", 10*time.Second, "how long the load goes on after a fault")
	flags.DurationVar(&s.calm, "calm", 20*time.Second, "how long each case lasts in which nothing may be restarted (the demand is 10m)")
	flags.IntVar(&s.gets, "gets", 100, "GETs a second; a fifth as many POSTs come beside them")
	flags.BoolVar(&s.keep, "keep", false, "keep logs and state in the temporary directory")
	only := flags.String("only", "", "regular expression of the cases to run")
	out := flags.String("out", "", "file to write the table to; empty writes none")
	if flags.Parse(args) != nil {
		return 2
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(stderr, "-only:", err)
		return 2
	}
	if err := s.prepare(*binary); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	defer os.RemoveAll(filepath.Dir(s.script))
	table := s.all(ctx, wanted, stdout)
	if *out != "" && ctx.Err() == nil {
		if err := os.WriteFile(*out, []byte(document(table, s)), 0o644); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
	}
	if s.bad > 0 {
		fmt.Fprintf(stderr, "%d cases fall short\n", s.bad)
		return 1
	}
	return 0
}

// prepare copies the app to where every user can read it.
func (s *suite) prepare(binary string) (err error) {
	if s.binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if _, err := os.Stat(s.binary); err != nil {
		return fmt.Errorf("%w; make build makes it", err)
	}
	dir, err := os.MkdirTemp("", "faults-app-")
	if err != nil {
		return err
	}
	os.Chmod(dir, 0o755)
	s.script = filepath.Join(dir, "app.py")
	return os.WriteFile(s.script, appSource, 0o644)
}

// row is one line of the table.
type row struct {
	test             test
	result           *result
	posts            posted
	seen             time.Duration // 0 where nothing was
	action, saw      string
	restarts, events int
	left             []int
	err              error
}

func (s *suite) all(ctx context.Context, wanted *regexp.Regexp, out io.Writer) []row {
	var rows []row
	fmt.Fprintln(out, header)
	for n, t := range append(mustSurvive, mustNotRestart...) {
		if ctx.Err() != nil || !wanted.MatchString(t.name) {
			continue
		}
		r := s.one(ctx, n, t)
		if r.verdict() != "ok" {
			s.bad++
			if r.result != nil {
				for why, count := range r.result.why {
					fmt.Fprintf(s.errors, "  %s: %d × %s\n", t.name, count, why)
				}
			}
		}
		rows = append(rows, r)
		fmt.Fprintln(out, r)
	}
	return rows
}

// one runs a case.
func (s *suite) one(ctx context.Context, n int, t test) (r row) {
	r.test = t
	d, err := startDaemon(ctx, s.binary, s.script, t.site)
	if d != nil && d.cmd != nil && d.cmd.Process != nil {
		defer func() {
			if r.left = d.stop(s.keep); s.keep {
				fmt.Fprintln(s.errors, t.name, "left its log in", d.dir)
			}
		}()
	}
	if r.err = err; err != nil {
		return r
	}
	if t.before != nil {
		t.before(d)
	}
	lasts := t.lasts
	switch {
	case t.calm:
		lasts = max(lasts, s.calm)
	case lasts == 0:
		lasts = s.after
	}
	loading, end := context.WithCancel(ctx)
	defer end()
	r.result = newResult()
	ended := make(chan struct{})
	go func() {
		newAgents(n).run(loading, d.url, s.gets, r.result)
		close(ended)
	}()
	pause(ctx, warmUp)
	at := time.Now()
	t.fault(d)
	pause(ctx, lasts)
	r.learn(d.events(), at)
	end()
	<-ended
	r.posts = r.result.posted(d.ran())
	return r
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// learn takes what the daemon saw after the fault, the latest first.
func (r *row) learn(events []app.Event, at time.Time) {
	for _, e := range events {
		if e.At.Before(at) || e.Kind == app.Served || e.Kind == app.Noted || e.Kind == app.Scaled {
			continue
		}
		if e.Restart {
			r.restarts++
		}
		r.events++
		r.seen, r.saw, r.action = e.At.Sub(at), e.Seen, e.Done
	}
}

// verdict is "ok", or what falls short.
func (r row) verdict() string {
	var bad []string
	say := func(when bool, format string, args ...any) {
		if when {
			bad = append(bad, fmt.Sprintf(format, args...))
		}
	}
	if r.err != nil {
		return r.err.Error()
	}
	say(r.result.getsLost > 0, "%d GETs lost", r.result.getsLost)
	say(r.posts.unreadLost > 0, "%d unread POSTs lost", r.posts.unreadLost)
	say(r.posts.twice > 0, "%d POSTs ran twice", r.posts.twice)
	say(r.test.within > 0 && (r.events == 0 || r.seen > r.test.within), "not seen within %s", r.test.within)
	say(r.test.calm && r.events > 0, "restarted though nothing was wrong")
	say(len(r.left) > 0, "processes left: %v", r.left)
	if len(bad) == 0 {
		return "ok"
	}
	return "**" + strings.Join(bad, ", ") + "**"
}

const header = `| case | GETs | lost | POSTs | unread lost | read, lost | run twice | slowest | seen after | what was seen | done | |
|---|---|---|---|---|---|---|---|---|---|---|---|`

// String is the row in Markdown.
func (r row) String() string {
	if r.err != nil {
		return fmt.Sprintf("| %s | | | | | | | | | | | **%s** |", r.test.name, oneLine(r.err.Error()))
	}
	seen := "-"
	if r.events > 0 {
		seen = fmt.Sprintf("%.1f s", r.seen.Seconds())
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %.1f s | %s | %s | %s | %s |", r.test.name,
		r.result.gets, r.result.getsLost, r.posts.sent, r.posts.unreadLost, r.posts.readLost, r.posts.twice,
		r.result.slowest.Seconds(), seen, oneLine(r.saw), oneLine(r.action), r.verdict())
}

func oneLine(s string) string {
	s = strings.NewReplacer("\n", " ", "|", "\\|").Replace(s)
	if len(s) > 160 {
		s = s[:160] + "..."
	}
	return s
}

// document is bench/FAULTS.md.
func document(rows []row, s *suite) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Faults under load

Written by %s on %s, %s. Each case is a real app
(bench/faults/app.py) behind flask2ban under %d GETs and %d POSTs a second; after %s of that the
fault happens, and the load goes on for %s, or for %s where nothing may be restarted. "Lost" is
whatever was not answered with 200 within %s. Every POST that runs notes its id, so those that the
app had begun when it died ("read, lost": they must not be sent again) are told from unread ones.

%s
`, "`make faults`", time.Now().Format("2006-01-02"), machine(), s.gets, s.gets/getsPerPost, warmUp, s.after, s.calm, patience, header)
	for _, r := range rows {
		fmt.Fprintln(&b, r)
	}
	return b.String()
}

// machine says what this was measured on.
func machine() string {
	load, _ := os.ReadFile("/proc/loadavg")
	kernel, _ := exec.Command("uname", "-r").Output()
	one, _, _ := strings.Cut(string(load), " ")
	return fmt.Sprintf("Linux %s, load %s at its end", strings.TrimSpace(string(kernel)), one)
}
