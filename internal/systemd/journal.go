package systemd

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"
)

// ErrorPriority begins a line of standard error that the journal is to keep as
// an error (sd-daemon(3)).
const ErrorPriority = "<3>"

// IsJournal says whether w is standard error and goes to the journal, which
// notes the time itself, and takes a line's priority from its beginning.
func IsJournal(w io.Writer) bool {
	if w != io.Writer(os.Stderr) {
		return false
	}
	yes, err := journal.StderrIsJournalStream()
	return yes && err == nil
}

// Prioritized begins each line of a text with a priority.
func Prioritized(priority, text string) string {
	return priority + strings.ReplaceAll(text, "\n", "\n"+priority)
}

// JournalHandler is a log handler for the journal: that of make, which writes
// each record by one call to the writer that it gets, with priorities.
func JournalHandler(w io.Writer, make func(io.Writer) slog.Handler) slog.Handler {
	to := &prioritized{to: w}
	return journalHandler{Handler: make(to), to: to}
}

type journalHandler struct {
	slog.Handler
	to *prioritized
}

// Handle implements slog.Handler.
func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.to.mu.Lock()
	defer h.to.mu.Unlock()
	h.to.priority = priorityOf(r.Level)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h journalHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// priorityOf is a level as syslog(3) has it.
func priorityOf(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return ErrorPriority
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// prioritized writes lines of one priority.
type prioritized struct {
	to       io.Writer
	mu       sync.Mutex // held while a record is written
	priority string
}

func (p *prioritized) Write(line []byte) (int, error) {
	n, err := p.to.Write(append([]byte(p.priority), line...))
	return max(0, n-len(p.priority)), err
}
