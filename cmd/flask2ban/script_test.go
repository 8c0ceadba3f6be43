package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/state"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"flask2ban": func() {
			if len(os.Args) > 1 && os.Args[1] == app.GuardArg {
				os.Exit(app.Guard(os.Args[2:]))
			}
			// As a plain user, whoever runs the tests: state is below $HOME.
			c := &cli{getenv: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
			os.Exit(c.run(context.Background(), os.Args[1:]))
		},
		"daemon": func() { exitWith(daemonOnly(os.Args[1:])) },
	})
}

func exitWith(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// daemonOnly is the part of a daemon that commands talk to: a real engine
// behind a real API on the socket of a state directory, without an app. It
// knows of one attacker, 192.0.2.66, and one suspect, 192.0.2.33. A second
// argument is why it isn't ready; more are what a reload leaves to the next start.
func daemonOnly(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	engine, err := ban.New(ban.Config{BanJitter: -1, Standing: func(a netip.Addr) ban.Standing {
		if a.IsLoopback() {
			return ban.Never
		}
		return ban.Bannable
	}})
	if err != nil {
		return err
	}
	probe(engine, "192.0.2.66", "/.git/config", "/admin.php", "/wp-login.php", "/\x1b[2J", "/shell")
	probe(engine, "192.0.2.33", "/a", "/b", "/c")
	if err := state.Create(args[0]); err != nil {
		return err
	}
	l, err := state.Listen(ctx, args[0])
	if err != nil {
		return err
	}
	c := admin.Config{
		Engine: engine, Log: slog.New(slog.DiscardHandler),
		AppState: func() app.State { return app.State{Name: app.Ready, PID: 4711} },
		Info: admin.Info{Version: "v1.2.3", App: "app.py", Mode: "enforce", PID: os.Getpid(), StateDir: args[0],
			Listen: []string{"127.0.0.1:8080"}, Started: time.Now()},
	}
	if len(args) > 1 {
		c.Ready = func() error { return errors.New(args[1]) }
		c.Reload = func(context.Context) ([]string, error) { return args[2:], nil }
	}
	s, err := admin.New(c)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l)
}

func probe(e *ban.Engine, client string, paths ...string) {
	for _, path := range paths {
		e.Observe(time.Now(), ban.Observation{
			Client: netip.PrefixFrom(netip.MustParseAddr(client), 32), Status: 404,
			Evidence: &ban.Evidence{Kind: ban.UnexpectedPath, Method: "GET", Path: path, Verdict: "unexpected_path"},
		})
	}
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TZ", "UTC")
			e.Setenv("HELLO", hello(t))
			e.Setenv("PYTHON", "/usr/bin/python3")           // Debian's, with its Flask
			e.Setenv("FLASK2BAN_PYTHON", "/usr/bin/python3") // not a slow shim on PATH
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"answers": answers, "exits": exits},
	})
}

func hello(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../examples/hello/app.py")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// answers waits until a daemon answers in a state directory.
func answers(ts *testscript.TestScript, _ bool, args []string) {
	const patience = time.Minute // on a machine that others load
	for _, dir := range args {
		deadline := time.Now().Add(patience)
		for {
			conn, err := state.Dial(context.Background(), ts.MkAbs(dir))
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("no daemon in %s: %v", dir, err)
			}
			time.Sleep(5 * time.Millisecond) // until the deadline
		}
	}
}

// exits runs a program and compares its exit code, which testscript's own
// exec does not tell.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if got := strconv.Itoa(code); got != args[0] {
		ts.Fatalf("exit code %s, want %s (%v)", got, args[0], err)
	}
}
