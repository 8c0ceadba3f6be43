// Command peers measures flask2ban beside nginx, HAProxy and Caddy: the same
// upstreams, the same load, in turn, on this machine. `make bench-peers` runs
// it; bench/RESULTS.md is what it writes.
//
// All ports are on 127.0.0.1, all load goes there, and everything that was
// started is ended by its process id, also after Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the command line.
type options struct {
	rounds   int
	length   time.Duration // of one round's load
	only     *regexp.Regexp
	peers    map[string]bool // nil: all
	dir      string          // the bench folder
	binary   string          // flask2ban; empty builds it
	profile  string          // where flask2ban's CPU profile goes; empty takes none
	install  bool
	overload bool // measure overload instead
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 3 && args[0] == plainArg {
		fmt.Fprintln(stderr, forwardPlainly(args[1], args[2])) // returns only with an error
		return 1
	}
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	measure := compare
	if o.overload {
		measure = overload
	}
	if err := measure(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.rounds, "rounds", 5, "interleaved `rounds` of each scenario; the median counts")
	flags.DurationVar(&o.length, "length", 2*time.Second, "`length` of one round's load")
	only := flags.String("only", "", "run only scenarios whose name matches this `regexp`; RESULTS.md is then left alone")
	peers := flags.String("peers", "", "comma-separated `names` of the peers to run; RESULTS.md is then left alone")
	flags.StringVar(&o.dir, "dir", "bench", "bench `folder`: conf/ is read, RESULTS.md and results.svg written there")
	flags.StringVar(&o.binary, "flask2ban", "", "flask2ban `binary` (default: built from ./cmd/flask2ban)")
	flags.StringVar(&o.profile, "profile", "", "write flask2ban's CPU profile of all that was measured to this `file`, for -pgo; measures it alone")
	flags.BoolVar(&o.overload, "overload", false, "measure what becomes of an overloaded app instead; writes OVERLOAD.md")
	flags.BoolVar(&o.install, "install", true, "install missing Debian packages")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.profile != "" {
		*peers = "flask2ban"
	}
	if *peers != "" {
		o.peers = map[string]bool{}
		for name := range strings.SplitSeq(*peers, ",") {
			o.peers[name] = true
		}
	}
	if o.rounds < 1 || o.length <= 0 {
		return o, usage(stderr, "-rounds and -length must be above 0")
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, usage(stderr, "-only: "+err.Error())
	}
	o.dir, err = filepath.Abs(o.dir)
	return o, err
}

func usage(stderr io.Writer, text string) error {
	fmt.Fprintln(stderr, "peers:", text)
	return errors.New(text)
}

// whole says that nothing was left out, so that the results may be published.
func (o options) whole() bool { return o.peers == nil && o.only.String() == "" }

// compare is the whole run: install, start, measure, write.
func compare(ctx context.Context, o options, out io.Writer) error {
	if o.install {
		if err := install(ctx, out); err != nil {
			return err
		}
	}
	site, err := newSite(ctx, o)
	if err != nil {
		return err
	}
	defer site.close()
	if site.profiles, err = newProfiles(o.profile); err != nil {
		return err
	}
	defer os.RemoveAll(site.profiles.dir)
	peers, err := site.start(ctx, o, out)
	if err != nil {
		return err
	}
	results, err := measureAll(ctx, o, peers, out)
	if err != nil {
		return err
	}
	page := report{machine: describeMachine(ctx, peers), options: o, peers: names(peers), results: results}
	page.print(out)
	site.close() // the processes write their profiles as they end
	if err := site.profiles.merge(ctx); err != nil || !o.whole() {
		return err
	}
	return page.save(o.dir)
}

func names(peers []*peer) []string {
	var list []string
	for _, p := range peers {
		list = append(list, p.name)
	}
	return list
}
