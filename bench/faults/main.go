// Command faults breaks a real app in every way that supervision has to
// survive, under load, and lets it do what must not be taken for a fault; it
// tells what each cost. `make faults` runs it and writes bench/FAULTS.md. All
// ports are on 127.0.0.1, and what was started is ended by its process id.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
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
	binary string
	// warm is how long the load runs before a fault, after how long it goes on.
	warm, after time.Duration
	// calm is how long the cases last in which nothing may be restarted; 0
	// leaves them out.
	calm time.Duration
	// gets and calmGets are GETs a second, of a case that is alone and of each of
	// those that run at the same time.
	gets, calmGets int
	keep           bool
	only           *regexp.Regexp
	out            string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 2
	}
	s, err := newSuite(o, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "faults:", err)
		return 1
	}
	defer s.close()
	began := time.Now()
	rows := s.all(ctx)
	if ctx.Err() != nil {
		return 1
	}
	if o.out != "" {
		page := document(ctx, rows, o, time.Since(began))
		if err := os.WriteFile(o.out, []byte(page), 0o644); err != nil {
			fmt.Fprintln(stderr, "faults:", err)
			return 1
		}
	}
	if bad := short(rows); bad > 0 {
		fmt.Fprintf(stderr, "faults: %d of %d cases fall short\n", bad, len(rows))
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.binary, "binary", "bin/flask2ban", "the flask2ban to test")
	flags.DurationVar(&o.warm, "warm", 3*time.Second, "how long the load runs before a fault")
	flags.DurationVar(&o.after, "after", 10*time.Second, "how long the load goes on after a fault, where the case asks for no more")
	flags.DurationVar(&o.calm, "calm", 10*time.Minute, "how long the cases last in which nothing may be restarted, all at the same time; 0 leaves them out")
	flags.IntVar(&o.gets, "gets", 100, "GETs a second; a fifth as many POSTs come beside them")
	flags.IntVar(&o.calmGets, "calm-gets", 10, "GETs a second in each of the cases that run at the same time")
	flags.BoolVar(&o.keep, "keep", false, "keep logs and state in the temporary directory")
	only := flags.String("only", "", "run only the cases whose name matches this `regexp`")
	flags.StringVar(&o.out, "out", "", "`file` to write the tables to; empty writes none")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	usage := func(text string) (options, error) {
		fmt.Fprintln(stderr, "faults:", text)
		return o, errors.New(text)
	}
	if flags.NArg() > 0 {
		return usage(fmt.Sprintf("unexpected argument %q: choose cases with -only", flags.Arg(0)))
	}
	if o.gets < 1 || o.calmGets < 1 || o.warm <= 0 || o.after <= 0 || o.calm < 0 {
		return usage("-gets, -calm-gets, -warm and -after must be above 0, -calm not below")
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return usage("-only: " + err.Error())
	}
	return o, nil
}

// appSource is the app that the faults happen in.
//
//go:embed app.py
var appSource []byte

// writeApp puts the app where every user can read it.
func writeApp() (script string, err error) {
	dir, err := os.MkdirTemp("", "faults-app-")
	if err != nil {
		return "", err
	}
	script = filepath.Join(dir, "app.py")
	return script, errors.Join(os.Chmod(dir, 0o755), os.WriteFile(script, appSource, 0o644))
}
