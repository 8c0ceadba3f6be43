package replay

import (
	"cmp"
	"slices"
	"strings"

	"github.com/flask2ban/flask2ban/ban"
)

// paths counts the evidence by path. Scanners invent paths without end, so
// when there are too many those that cost least are forgotten.
type paths struct {
	seen map[string]*pathCost
	// forgotten is how many were, at least once.
	forgotten int
}

// pathCost is what one path cost clients.
type pathCost struct {
	path   string
	kind   ban.Kind
	weight float64
	times  int
	soft   int
	// clients are the first few who asked for it.
	clients []uint32
}

const (
	mostPaths = 20_000
	// someClients is up to how many of a path's clients are counted.
	someClients = 100
)

// add notes a counted piece of evidence.
func (p *paths) add(v *ban.Evidence, weight float64, client uint32) {
	c := p.seen[v.Path]
	if c == nil {
		if len(p.seen) >= mostPaths {
			p.forget()
		}
		if p.seen == nil {
			p.seen = map[string]*pathCost{}
		}
		c = &pathCost{path: strings.Clone(v.Path), kind: v.Kind}
		p.seen[c.path] = c
	}
	c.times++
	c.weight += weight
	if v.Soft {
		c.soft++
	}
	if len(c.clients) < someClients && !slices.Contains(c.clients, client) {
		c.clients = append(c.clients, client)
	}
}

// forget drops half of the paths.
func (p *paths) forget() {
	sorted := p.costliest()
	for _, c := range sorted[len(sorted)/2:] {
		delete(p.seen, c.path)
	}
	p.forgotten += len(sorted) - len(sorted)/2
}

// costliest returns all, those of the most evidence first.
func (p *paths) costliest() []*pathCost {
	sorted := make([]*pathCost, 0, len(p.seen))
	for _, c := range p.seen {
		sorted = append(sorted, c)
	}
	slices.SortFunc(sorted, func(a, b *pathCost) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(b.times, a.times), strings.Compare(a.path, b.path))
	})
	return sorted
}
