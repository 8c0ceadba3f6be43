package replay

import (
	"hash/maphash"
	"net/http"
	"slices"
	"strings"

	"github.com/flask2ban/flask2ban/routes"
)

// softWatch finds out from the log itself whether the app answers unknown paths
// with something else than 404: a login wall that redirects everything, a
// page of its own with status 200. Such an answer says nothing, neither that
// the app has the path nor that it lacks it.
//
// The proxy asks random paths itself. Here the scanners have: what they get for
// paths off the honeypath list, and for such as look random, is what unknown
// paths get. The risk is an app whose real paths look random and that the
// table lacks; silence about them is the lenient side.
type softWatch struct {
	seed           maphash.Seed
	listed, random sketches
}

// sketches count paths by the status that they got.
type sketches map[int]*pathSketch

func (s sketches) n(status int) int {
	if p := s[status]; p != nil {
		return p.n
	}
	return 0
}

func (s sketches) add(status int, hash uint64) {
	p := s[status]
	if p == nil {
		p = new(pathSketch)
		s[status] = p
	}
	p.add(hash)
}

func newSoftWatch() softWatch {
	return softWatch{seed: maphash.MakeSeed(), listed: sketches{}, random: sketches{}}
}

const (
	// softEnough is how many different paths must have got a status, softShare
	// how many times as many as got 404.
	softEnough = 5
	softShare  = 9
)

// pathSketch counts different paths: the first few by their hashes.
type pathSketch struct {
	n      int
	hashes [64]uint64
}

func (p *pathSketch) add(hash uint64) {
	for _, h := range p.hashes[:min(p.n, len(p.hashes))] {
		if h == hash {
			return
		}
	}
	if p.n < len(p.hashes) {
		p.hashes[p.n] = hash
		p.n++
	}
}

// silent notes the answer to a path that the table lacks, and says whether
// answers like it say nothing.
func (w *softWatch) silent(kind routes.Kind, target string, status int) bool {
	by := w.random
	switch {
	case status < 200 || status >= 400 && status != http.StatusNotFound:
		return false
	case kind == routes.Honeypath:
		by = w.listed
	case kind != routes.UnexpectedPath:
		return false
	case !looksRandom(target):
		return status != http.StatusNotFound &&
			soft(w.listed.n(status)+w.random.n(status), w.listed.n(http.StatusNotFound)+w.random.n(http.StatusNotFound))
	}
	by.add(status, maphash.String(w.seed, routes.Path(target)))
	return status != http.StatusNotFound && soft(by.n(status), by.n(http.StatusNotFound))
}

// known are the statuses, 404 aside, that unknown paths get.
func (w *softWatch) known() []int {
	var out []int
	for _, by := range []sketches{w.listed, w.random} {
		for status := range by {
			if status != http.StatusNotFound && soft(by.n(status), by.n(http.StatusNotFound)) && !slices.Contains(out, status) {
				out = append(out, status)
			}
		}
	}
	slices.Sort(out)
	return out
}

func soft(got, lacking int) bool { return got >= softEnough && got >= softShare*lacking }

// looksRandom says that the last part of a path is one that nobody linked to:
// long, of letters and digits in disorder, with no extension.
func looksRandom(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	word := path[strings.LastIndexByte(path, '/')+1:]
	if len(word) < 10 {
		return false
	}
	changes := 0
	for i := range len(word) {
		c := word[i]
		digit := c >= '0' && c <= '9'
		if letter := c|0x20 >= 'a' && c|0x20 <= 'z'; !letter && !digit {
			return false
		}
		if i > 0 && digit != (word[i-1] >= '0' && word[i-1] <= '9') {
			changes++
		}
	}
	return changes >= 3
}
