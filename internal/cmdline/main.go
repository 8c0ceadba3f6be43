package cmdline

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/flask2ban/flask2ban/internal/app"
)

// Main is the main function of both programs, but for the exit with the code
// that it returns. It gives way to the guard of the app's processes, for which
// the binary is started again; else run is the program. Its ctx ends with the
// first SIGINT or SIGTERM, which asks for an orderly end; a second one ends the
// process at once.
func Main(run func(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int) int {
	if len(os.Args) > 1 && os.Args[1] == app.GuardArg {
		return app.Guard(os.Args[2:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
}
