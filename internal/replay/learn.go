package replay

import (
	"hash/maphash"
	"net/http"
	"strings"
	"sync"

	"github.com/flask2ban/flask2ban/routes"
)

// learned is the table that a log itself gives: what was answered with 2xx or
// 3xx is there, exactly, and nothing is concluded from it for other paths.
// Paths on the honeypath list are never learned, as in the proxy; that they
// were answered is testimony enough.
type learned struct {
	// bare is a table without routes: it knows the lists and bad requests.
	bare *routes.Table
	seed maphash.Seed

	mu    sync.RWMutex
	paths map[uint64]methods // by the path's hash
}

// methods is a set of them, GET and HEAD being one.
type methods uint16

// methodBits are the methods told apart; others are one.
var methodBits = map[string]methods{
	http.MethodGet: 1, http.MethodHead: 1, http.MethodPost: 2, http.MethodPut: 4,
	http.MethodPatch: 8, http.MethodDelete: 16,
	http.MethodOptions: 0, // every route answers it
}

const otherMethod methods = 32

func bitOf(method string) methods {
	if bit, ok := methodBits[method]; ok {
		return bit
	}
	return otherMethod
}

func newLearned(lists routes.Lists) (*learned, error) {
	bare, err := routes.NewTable(routes.TableConfig{Project: &routes.Project{Complete: true}, Lists: lists})
	if err != nil {
		return nil, err
	}
	return &learned{bare: bare, seed: maphash.MakeSeed(), paths: map[uint64]methods{}}, nil
}

// Match implements Table.
func (l *learned) Match(host, method, target string) routes.Verdict {
	v := l.bare.Match(host, method, target)
	if v.Kind != routes.UnexpectedPath && v.Kind != routes.Benign {
		return v
	}
	l.mu.RLock()
	have, ok := l.paths[l.hash(target)]
	l.mu.RUnlock()
	bit := bitOf(method)
	switch {
	case !ok:
		return v
	case have&bit == bit:
		return routes.Verdict{Kind: routes.Found}
	}
	return routes.Verdict{Kind: routes.UnexpectedMethod}
}

// Listed implements Table.
func (l *learned) Listed(target string) bool { return l.bare.Listed(target) }

// learn takes what a request's answer says.
func (l *learned) learn(r *record) {
	if !answered(r.status) || r.verdict.Kind != routes.UnexpectedPath && r.verdict.Kind != routes.UnexpectedMethod && r.verdict.Kind != routes.Benign {
		return
	}
	if bitOf(r.method) == 0 {
		return // OPTIONS: a CORS handler answers everywhere
	}
	h := l.hash(r.target)
	l.mu.Lock()
	l.paths[h] |= bitOf(r.method)
	l.mu.Unlock()
}

func (l *learned) hash(target string) uint64 {
	if strings.IndexByte(target, '%') < 0 {
		path, _, _ := strings.Cut(target, "?")
		if len(path) > 1 && path[0] == '/' && path[1] != '/' && plainASCII(path) {
			return maphash.String(l.seed, path) // what routes.Path would return
		}
	}
	return maphash.String(l.seed, routes.Path(target))
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// answered says that a status means that the app has something there.
func answered(status int) bool {
	return status >= 200 && status < 400 || status == http.StatusSwitchingProtocols
}
