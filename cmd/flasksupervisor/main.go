// Command flasksupervisor keeps a Flask app alive, on the port that the app
// itself names, with no proxy between.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/cmdline"
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
	return run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
}

// run is the program without its process.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{cmdline.Program{
		Name: "flasksupervisor", Version: cmdline.Version(release), Getenv: getenv,
		Stdin: stdin, Stdout: stdout, Stderr: stderr, Root: os.Geteuid() == 0,
	}}
	return c.Run(ctx, c.rootCommand(), args)
}

// release is the version where the linker sets it:
// go build -ldflags "-X main.release=v1.2.3".
var release string

// cli is one run of the command line.
type cli struct{ cmdline.Program }
