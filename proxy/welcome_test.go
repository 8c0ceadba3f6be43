package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// elsewhere is an app with pages, old addresses and a frame that its routing does
// not know: they come from its 404 handler.
func elsewhere(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Routing", "lacks")
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, "/pages/"):
		body := strings.Repeat(p, 3+len(p))
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		io.WriteString(w, body)
	case strings.HasPrefix(p, "/tagged/"):
		w.Header().Set("Etag", `"`+p+`"`)
		w.WriteHeader(http.StatusNotModified)
	case strings.HasPrefix(p, "/old/"):
		w.Header().Set("Location", "/pages/"+p[len("/old/"):])
		w.WriteHeader(http.StatusMovedPermanently)
	case strings.HasPrefix(p, "/wall/"):
		w.Header().Set("Location", "/login?next="+p)
		w.WriteHeader(http.StatusFound)
	case strings.HasPrefix(p, "/stream/"):
		w.Header().Set("Transfer-Encoding", "chunked")
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
	default:
		io.WriteString(w, "<div id=app>")
	}
}

// TestWhatRoutingDoesNotKnow: whoever reads what a 404 handler serves at each path,
// a program that follows a site map, is no scanner; whoever gets the same answer at
// each path found nothing.
func TestWhatRoutingDoesNotKnow(t *testing.T) {
	t.Parallel()
	g := newRig(t, elsewhere, nil)
	for n, tt := range []struct {
		folder string
		banned bool
	}{{"/pages/", false}, {"/tagged/", false}, {"/old/", false}, {"/wall/", true}, {"/frame/", true}, {"/stream/", true}} {
		client := fmt.Sprintf("192.0.2.%d", n+1)
		refused := 0
		for i := range 60 {
			for range 2 { // as pages are read again
				if w := g.do(client, "GET", tt.folder+strings.Repeat("a", i)); w.Code == http.StatusForbidden || w.Code == http.StatusTooManyRequests {
					refused++
				}
			}
		}
		if banned := refused > 0; banned != tt.banned {
			t.Errorf("%s: %d of 120 requests refused, want any: %v", tt.folder, refused, tt.banned)
		}
	}
}

// TestWelcomesAreBounded forgets one answer for each new one once there are many.
func TestWelcomesAreBounded(t *testing.T) {
	t.Parallel()
	g := newRig(t, elsewhere, nil)
	for i := range maxWelcomes + 100 {
		g.do("192.0.2.1", "GET", fmt.Sprintf("/tagged/%d", i))
	}
	if got := len(g.handler.welcomes.paths); got != maxWelcomes {
		t.Errorf("%d answers are remembered, want %d", got, maxWelcomes)
	}
}

// TestFilesBeforeRouting: an app whose files come from before its routing is asked for
// a suspect's unknown paths, too, once one of them was seen.
func TestFilesBeforeRouting(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/site.css" || r.URL.Path == "/paper.pdf" {
			io.WriteString(w, "a file")
			return
		}
		flask(w, r)
	}, nil)
	g.tables.confirmed = true
	for _, target := range []string{"/a", "/b", "/c", "/site.css"} {
		g.do("192.0.2.1", "GET", target)
	}
	if w := g.do("192.0.2.1", "GET", "/paper.pdf"); w.Code != http.StatusOK {
		t.Errorf("a suspect's file: %d, want 200", w.Code)
	}
}
