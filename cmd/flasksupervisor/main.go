// Command flasksupervisor keeps a Flask app alive, on the port that the app
// itself names, with no proxy between.
package main

import (
	"context"
	"io"
	"os"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

func main() { os.Exit(cmdline.Main(run)) }

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
