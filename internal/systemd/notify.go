// Package systemd is what a daemon says to systemd and gets from it: readiness
// and the watchdog (sd_notify(3)), sockets (sd_listen_fds(3)), and the unit that
// starts it.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// beat is how often the state is looked at.
const beat = 500 * time.Millisecond

// Notifier speaks to the service manager, if there is one: $NOTIFY_SOCKET names
// its socket. It may be used by several goroutines.
type Notifier struct {
	// Log is told once where the manager can't be reached.
	Log *slog.Logger

	mu     sync.Mutex
	failed bool
	passed bool // another process is the service
}

// Health is how a daemon is, as the manager is to know it.
type Health struct {
	// Ready says that the service does what it is for. The manager's start
	// job ends with the first true one; the watchdog is fed only while it is
	// true or Handled is.
	Ready bool
	// Handled says that we do what can be done until it is ready.
	Handled bool
	// Status is a line for "systemctl status".
	Status string
}

// Serve tells of the daemon's health until ctx ends, and then that it stops.
func (n *Notifier) Serve(ctx context.Context, health func() Health) error {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.Log.Warn("the watchdog is not fed: $WATCHDOG_USEC can't be understood", "error", err)
	}
	every := beat
	if watchdog > 0 {
		every = min(every, watchdog/3)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var told teller
	for {
		n.send(told.news(health(), watchdog > 0))
		select {
		case <-ctx.Done():
			n.send([]string{daemon.SdNotifyStopping, "STATUS=ending"})
			return nil
		case <-tick.C:
		}
	}
}

// teller remembers what was told.
type teller struct {
	ready  bool
	status string
}

// news is what the manager must hear now.
func (t *teller) news(h Health, watchdog bool) []string {
	var lines []string
	if h.Ready && !t.ready {
		t.ready = true
		lines = append(lines, daemon.SdNotifyReady)
	}
	if status := oneLine(h.Status); status != t.status {
		t.status = status
		lines = append(lines, "STATUS="+status)
	}
	if watchdog && (h.Ready || h.Handled) {
		lines = append(lines, daemon.SdNotifyWatchdog)
	}
	return lines
}

// oneLine keeps a text from being taken for another message.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// Reload tells that f reloads the configuration or the app, while it runs.
func (n *Notifier) Reload(f func() error) error {
	n.send([]string{daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec()})
	defer n.send([]string{daemon.SdNotifyReady})
	return f()
}

// Successor tells that another process is the service from now on. It is the
// last word.
func (n *Notifier) Successor(pid int) {
	if Watched() {
		n.send([]string{fmt.Sprintf("MAINPID=%d", pid)})
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.passed = true
}

// Watched says whether there is a manager that hears us, and to which another
// process can be named as the service: not where we are a container's first,
// with whose end the container ends.
func Watched() bool { return os.Getenv("NOTIFY_SOCKET") != "" && os.Getpid() != 1 }

func (n *Notifier) send(lines []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(lines) == 0 || n.passed {
		return
	}
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	if err != nil && !n.failed {
		n.Log.Warn("systemd can't be told how the service is", "error", err)
	}
	n.failed = err != nil
}

// Sockets are the listening sockets that systemd has opened for us (socket
// activation), in the order of its unit; none where it has not.
func Sockets() []*os.File { return activation.Files(true) }
