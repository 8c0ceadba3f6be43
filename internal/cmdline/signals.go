package cmdline

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/handover"
	"github.com/flask2ban/flask2ban/internal/systemd"
)

// TakeOverTime is what a successor gets to take over, besides the time that the
// app needs to start.
const TakeOverTime = 30 * time.Second

// OnSignal calls do for each signal until ctx ends, one after the other.
func OnSignal(ctx context.Context, sig os.Signal, do func()) error {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, sig)
	defer signal.Stop(caught)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-caught:
			do()
		}
	}
}

// Survive keeps SIGHUP and SIGUSR2, which ask a daemon that serves for something,
// from killing one that is still starting, or ending. It returns its end.
func Survive() (stop func()) {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGHUP, syscall.SIGUSR2)
	return func() { signal.Stop(ignored) }
}

// Name has the service manager, if there is one, take a successor for the
// service, and tells the successor.
func Name(n *systemd.Notifier, s *handover.Successor, log *slog.Logger) {
	n.Successor(s.PID())
	if err := s.Known(); err != nil {
		log.Warn("the successor can't be told that it is the service", "error", err)
	}
}

// Patience is how long the end of a service waits for a predecessor that still
// answers its last requests. With the end of the main process systemd kills all
// others; a shell or a container waits for the predecessor itself.
func Patience(c *config.Config) time.Duration {
	if !systemd.Watched() {
		return 0
	}
	return cmp.Or(c.StopTimeout, app.DefaultStopTimeout)
}

// WaitFor stays in the place of a successor where somebody waits for us: a
// shell, a container whose process 1 we are. It passes signals on, and returns
// the successor's exit code as an error. systemd was told whom to wait for.
// Where a predecessor has started us, it waits for us both.
// asked ends with the signal that asks for our end: that may have come while our
// last requests were still being answered, and is passed on, too.
func WaitFor(asked context.Context, before *handover.Predecessor, s *handover.Successor) error {
	if s == nil || systemd.Watched() {
		return nil
	}
	if before != nil {
		if asked.Err() != nil {
			return s.Signal(syscall.SIGTERM)
		}
		return nil
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if asked.Err() != nil {
		signals <- syscall.SIGTERM
	}
	if code := s.Wait(signals); code != Done {
		return &ExitError{Code: code}
	}
	return nil
}
