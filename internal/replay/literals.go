package replay

import (
	"hash/maphash"
	"slices"

	"github.com/flask2ban/flask2ban/routes"
)

// literals are the paths that the app answered though the table lacks them:
// after some clients without fault had one, it is learned (as in
// proxy/sidecar.go, with the same bounds).
type literals struct {
	seed maphash.Seed
	seen map[uint64][]uint32 // method and path → clients
	done map[uint64]bool
}

const (
	learnClients = 3
	maxLiterals  = 1000
)

func (l *literals) hash(r *record) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	_, _ = h.WriteString(r.method)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(routes.Path(r.target))
	return h.Sum64()
}

// has says that the path was learned.
func (l *literals) has(r *record) bool { return len(l.done) > 0 && l.done[l.hash(r)] }

// note adds a client's success.
func (l *literals) note(r *record, client uint32) {
	key := l.hash(r)
	clients := l.seen[key]
	if clients == nil && len(l.seen) >= maxLiterals || slices.Contains(clients, client) || len(clients) >= learnClients {
		return
	}
	if l.seen == nil {
		l.seen, l.done = map[uint64][]uint32{}, map[uint64]bool{}
	}
	l.seen[key] = append(clients, client)
	if len(l.seen[key]) == learnClients {
		l.done[key] = true
	}
}
