package store

import (
	"context"
	"net/netip"
	"sync"

	"github.com/flask2ban/flask2ban/ban"
)

// memory keeps records as long as the process lives. They are kept encoded, so
// that nobody can change them from outside.
type memory struct {
	mu      sync.Mutex
	records map[netip.Prefix][]byte
}

var _ ban.Store = (*memory)(nil)

func openMemory(context.Context, string, options) (ban.Store, error) {
	return &memory{records: map[netip.Prefix][]byte{}}, nil
}

func (m *memory) Load(ctx context.Context, each func(ban.Record) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, data := range m.records {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := decode(data)
		if err != nil {
			return err
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Save(ctx context.Context, records []ban.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range records {
		if r.Empty() {
			delete(m.records, r.Client)
			continue
		}
		m.records[r.Client] = encode(nil, r)
	}
	return nil
}

func (m *memory) Close() error { return nil }
