// Command flask2ban runs a Flask app, fronts it and keeps those out who ask
// for what the app doesn't have.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/flask2ban/flask2ban/internal/app"
)

func main() {
	os.Exit(start())
}

// start gives way to the guard of the app's processes, for which this binary
// is started again, and runs the command line else.
func start() int {
	if len(os.Args) > 1 && os.Args[1] == app.GuardArg {
		return app.Guard(os.Args[2:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for an orderly end, a second one ends at once.
	context.AfterFunc(ctx, stop)
	defer profile()()
	return run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
}

// run is the program without its process: it ends when the command is done or
// ctx is, and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr, root: os.Geteuid() == 0}
	return c.run(ctx, args)
}
