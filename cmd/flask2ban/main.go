// Command flask2ban runs a Flask app, fronts it and keeps those out who ask
// for what the app doesn't have.
package main

import (
	"context"
	"io"
	"os"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

func main() { os.Exit(cmdline.Main(run)) }

// run is the program without its process: it ends when the command is done or
// ctx is, and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	defer profile()()
	c := &cli{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr, root: os.Geteuid() == 0}
	return c.run(ctx, args)
}
