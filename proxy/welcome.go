package proxy

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync"

	"github.com/flask2ban/flask2ban/routes"
)

// welcomes tells what an app has though its routing knows nothing of it from the one
// page that it has for everything. A 404 handler may serve files and pages, or send
// old addresses on to the new ones: each path has an answer of its own. A
// single-page app's frame or the way to a login is the same at every path.
// The zero value knows no answers.
type welcomes struct {
	mu    sync.Mutex
	paths map[uint64]uint64 // by an answer's shape, the path that had it first
	seed  maphash.Seed
}

// maxWelcomes bounds the shapes that are remembered.
const maxWelcomes = 4096

// common says whether another path had an answer that looks like x's. An answer
// without a length, a place or a tag looks like every such one.
func (w *welcomes) common(x *exchange) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paths == nil {
		w.paths, w.seed = map[uint64]uint64{}, maphash.MakeSeed()
	}
	shape := w.shape(x)
	path := maphash.String(w.seed, routes.Path(x.request.RequestURI))
	first, seen := w.paths[shape]
	if seen {
		return first != path
	}
	if len(w.paths) >= maxWelcomes {
		for any := range w.paths { // any one gives way
			delete(w.paths, any)
			break
		}
	}
	w.paths[shape] = path
	return false
}

// shape is a hash of what an answer's header says of its content: where it leads,
// without the query (a login's has the path that was asked for), its length, or
// its tag where it has one, which holds for parts and for what has not changed, too.
func (w *welcomes) shape(x *exchange) uint64 {
	header := x.writer.Header()
	place, _, _ := strings.Cut(first(header, "Location"), "?")
	tag := first(header, "Etag")
	if tag == "" {
		tag = strconv.Itoa(x.status) + " " + first(header, "Content-Length")
	}
	return maphash.String(w.seed, place+"\n"+tag)
}
