package proxy

import (
	"net/http"
	"testing"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/routes"
)

// TestJudge is the verdict table of the design, row by row, and every pair
// that it does not name: those are evidence of nothing.
func TestJudge(t *testing.T) {
	t.Parallel()
	want := map[routes.Kind]map[Testimony]ban.Kind{
		routes.UnexpectedPath:   {Lacks: ban.UnexpectedPath},
		routes.UnexpectedMethod: {Refuses: ban.UnexpectedMethod},
		routes.BadValue:         {Lacks: ban.BadValue},
		routes.Honeypath:        {Lacks: ban.Honeypath, Silent: ban.Honeypath},
	}
	for kind := routes.Found; kind <= routes.Failed; kind++ {
		for said := Silent; said <= Refuses; said++ {
			if got := Judge(kind, said); got != want[kind][said] {
				t.Errorf("Judge(%v, %v) = %q, want %q", kind, said, got, want[kind][said])
			}
		}
	}
}

// TestSoftMarks holds what others can make a browser send, as browsers send
// it, against what a person or a program sends by its own will.
func TestSoftMarks(t *testing.T) {
	t.Parallel()
	const chromeNavigation = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
	tests := []struct {
		name string
		head map[string]string
		soft bool
	}{
		{"curl", map[string]string{"Accept": "*/*", "User-Agent": "curl/8"}, false},
		{"nothing at all", nil, false},
		{"link in a mail, opened in Chromium over https", map[string]string{"Accept": chromeNavigation, "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}, true},
		{"foreign image in Chromium", map[string]string{"Accept": "image/avif,image/webp,*/*;q=0.8", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Referer": "http://forum.example/"}, true},
		{"the same without Referer", map[string]string{"Accept": "image/avif,image/webp,*/*;q=0.8", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, true},
		{"link from another site with no-referrer", map[string]string{"Accept": chromeNavigation, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, true},
		{"own page's broken script", map[string]string{"Accept": "*/*", "Referer": "http://app.example/"}, true},
		{"own page's fetch() with no-referrer", map[string]string{"Accept": "*/*", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}, true},
		{"image in an old browser", map[string]string{"Accept": "image/webp,*/*"}, true},
		{"style in an old browser", map[string]string{"Accept": "text/css,*/*;q=0.1"}, true},
		{"cross-site form", map[string]string{"Accept": chromeNavigation, "Origin": "http://evil.example"}, true},
		{"prefetch", map[string]string{"Accept": "*/*", "Sec-Purpose": "prefetch"}, true},
		{"fetch() of a no-referrer page in Chromium over http", map[string]string{"Accept": "*/*", "Accept-Language": "en-US,en;q=0.9"}, true},
		{"sandboxed frame's form", map[string]string{"Accept": chromeNavigation, "Origin": "null"}, true},
		{"empty Referer", map[string]string{"Accept": "*/*", "Referer": ""}, false},
	}
	for _, tt := range tests {
		h := http.Header{}
		for k, v := range tt.head {
			h.Set(k, v)
		}
		if got := isSoft(h); got != tt.soft {
			t.Errorf("%s: soft = %v, want %v", tt.name, got, tt.soft)
		}
	}
}
