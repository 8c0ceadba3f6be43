package cmdline

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

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
