// Package store keeps the ban engine's records: in memory, in a file (bbolt),
// or in Redis. One conformance suite holds for all of them.
package store

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/flask2ban/flask2ban/ban"
)

// Option changes how a store is opened.
type Option func(*options)

type options struct {
	dir string
	log *slog.Logger
}

// WithLog says where a store tells what an operator must know, such as a
// corrupt file that was moved aside (default: slog.Default).
func WithLog(log *slog.Logger) Option { return func(o *options) { o.log = log } }

// backend is one line of the table of stores.
type backend struct {
	// name is what --store says; with a trailing "://" it is a URL's scheme.
	name string
	open func(ctx context.Context, spec string, o options) (ban.Store, error)
	doc  string
}

func backends() []backend {
	return []backend{
		{"bolt", openBolt, "a file in the state directory; survives restarts and crashes"},
		{"memory", openMemory, "nothing is kept beyond the process"},
		{"redis://", openRedis, "Redis or Valkey, shared by several instances"},
		{"rediss://", openRedis, "the same with TLS"},
		{"unix://", openRedis, "the same over a Unix socket: unix://:password@/path?db=0"},
	}
}

// Names returns what can be given as a store, for help texts.
func Names() []string {
	var names []string
	for _, b := range backends() {
		names = append(names, b.name)
	}
	return names
}

// Open opens the store that spec names; empty means bolt. Dir is the state
// directory, which must exist. The errors are for the person who wrote spec.
func Open(ctx context.Context, spec, dir string, opts ...Option) (ban.Store, error) {
	o := options{dir: dir, log: slog.Default()}
	for _, option := range opts {
		option(&o)
	}
	if spec == "" {
		spec = "bolt"
	}
	all := backends()
	i := slices.IndexFunc(all, func(b backend) bool {
		return spec == b.name || strings.HasSuffix(b.name, "://") && strings.HasPrefix(spec, b.name)
	})
	if i < 0 {
		return nil, fmt.Errorf("store %q: unknown; use one of %s", redacted(spec), strings.Join(Names(), ", "))
	}
	return all[i].open(ctx, spec, o)
}
