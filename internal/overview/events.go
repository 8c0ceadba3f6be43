package overview

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxEvents are kept, with at most maxFields values of maxText bytes each:
	// 2 MB at worst.
	maxEvents = 300
	maxFields = 12
	maxText   = 512
)

// Event is one line of the daemon's log.
type Event struct {
	// ID grows with each event.
	ID int64     `json:"id"`
	At time.Time `json:"at"`
	// Level is "info", "warn" or "error".
	Level  string  `json:"level"`
	Text   string  `json:"text"`
	Fields []Field `json:"fields,omitempty"`
}

// Field is one value of an event, as text.
type Field struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Get is the value of a field, empty where there is none.
func (e Event) Get(key string) string {
	for _, f := range e.Fields {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// Events keeps the latest lines of a log. What the daemon tells its operator in
// the log, in one place, the page and the API so have too.
type Events struct {
	mu   sync.Mutex
	list []Event // oldest first
	last int64
}

// Recent returns the last n events, the latest first.
func (e *Events) Recent(n int) []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := slices.Clone(e.list[max(0, len(e.list)-n):])
	slices.Reverse(out)
	return out
}

func (e *Events) add(v Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	v.ID = e.last
	if len(e.list) >= maxEvents {
		e.list = append(e.list[:0], e.list[1:]...)
	}
	e.list = append(e.list, v)
}

// Tee returns a handler that gives all records to next, and keeps those of level
// info and above.
func (e *Events) Tee(next slog.Handler) slog.Handler { return &tee{next: next, events: e} }

// tee is a log handler that also writes to Events. Groups are written as dotted
// keys.
type tee struct {
	next   slog.Handler
	events *Events
	fields []Field
	group  string
}

var _ slog.Handler = (*tee)(nil)

// Enabled implements slog.Handler.
func (t *tee) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelInfo || t.next.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (t *tee) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		v := Event{At: r.Time.UTC().Round(0), Level: level(r.Level), Text: clip(r.Message), Fields: slices.Clone(t.fields)}
		r.Attrs(func(a slog.Attr) bool {
			v.Fields = appendField(v.Fields, t.group, a)
			return true
		})
		t.events.add(v)
	}
	if !t.next.Enabled(ctx, r.Level) {
		return nil
	}
	return t.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t *tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *t
	c.next, c.fields = t.next.WithAttrs(attrs), slices.Clone(t.fields)
	for _, a := range attrs {
		c.fields = appendField(c.fields, t.group, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (t *tee) WithGroup(name string) slog.Handler {
	c := *t
	c.next, c.group = t.next.WithGroup(name), t.group+name+"."
	return &c
}

// appendField leaves out what has no value.
func appendField(fields []Field, group string, a slog.Attr) []Field {
	v := a.Value.Resolve()
	if len(fields) >= maxFields || v.Kind() == slog.KindAny && v.Any() == nil {
		return fields
	}
	if text := clip(v.String()); text != "" {
		fields = append(fields, Field{clip(group + a.Key), text})
	}
	return fields
}

// clip bounds a text and makes a copy, so that it keeps no larger one alive.
func clip(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return strings.Clone(s)
}

func level(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warn"
	default:
		return "info"
	}
}
