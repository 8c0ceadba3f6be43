package overview

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// maxTypes bounds the exceptions' types, as their metric does; the app's code
// chooses these names.
const maxTypes = 100

// OtherType stands for all types beyond the hundredth.
const OtherType = "other"

// Raised are the exceptions of one type.
type Raised struct {
	Type  string    `json:"type"`
	Count int       `json:"count"`
	First time.Time `json:"first"`
	// Last is the latest of them.
	Last Exception `json:"last"`
}

// Exception is one that the app did not handle.
type Exception struct {
	At        time.Time `json:"at"`
	Message   string    `json:"message"`
	Method    string    `json:"method,omitempty"`
	Path      string    `json:"path,omitempty"`
	Route     string    `json:"route,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
	Traceback string    `json:"traceback,omitempty"`
}

// Exceptions counts the app's exceptions by type, and keeps the last of each.
// The zero value is ready.
type Exceptions struct {
	mu    sync.Mutex
	types map[string]*Raised
}

// Add counts one.
func (x *Exceptions) Add(e app.Exception) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.types == nil {
		x.types = map[string]*Raised{}
	}
	name := e.Type
	if x.types[name] == nil && len(x.types) >= maxTypes {
		name = OtherType
	}
	r := x.types[name]
	if r == nil {
		r = &Raised{Type: name, First: e.At}
		x.types[name] = r
	}
	r.Count++
	r.Last = Exception{
		At: e.At, Message: e.Message, Method: e.Method, Path: clip(e.Path), Route: e.Route,
		RequestID: e.RequestID, Traceback: e.Traceback,
	}
}

// List returns the types, the one raised last first.
func (x *Exceptions) List() []Raised {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]Raised, 0, len(x.types))
	for _, r := range x.types {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Raised) int { return cmp.Or(b.Last.At.Compare(a.Last.At), cmp.Compare(a.Type, b.Type)) })
	return out
}
