package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
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

// TestReportsThatOthersCaused: an app that echoes headers, as httpbin does, reports
// whatever a link says. Only what a person sent by his own will may ban him.
func TestReportsThatOthersCaused(t *testing.T) {
	t.Parallel()
	const image = "image/avif,image/webp,*/*;q=0.8"
	for _, tt := range []struct {
		name, method string
		head         []string
		foreign      bool
	}{
		{"curl", "GET", nil, false},
		{"a program with a password", "GET", []string{"Authorization", "Basic eDp5"}, false},
		{"a browser with a password", "GET", []string{"Authorization", "Basic eDp5", "Accept-Language", "de"}, false},
		{"our own form", "POST", []string{"Origin", "http://app.example", "Accept-Language", "de"}, false},
		{"our own form, with a Referer only", "POST", []string{"Referer", "http://app.example/login", "Accept-Language", "de"}, false},
		{"a form, and no word of where from", "POST", []string{"Accept-Language", "de"}, false},
		{"our own form that gets", "GET", []string{"Referer", "http://app.example/login", "Accept-Language", "de"}, false},
		{"a foreign form", "POST", []string{"Origin", "http://evil.example"}, true},
		{"a sandboxed form", "POST", []string{"Origin", "null"}, true},
		{"a foreign image over https", "GET", []string{"Sec-Fetch-Site", "cross-site"}, true},
		{"a foreign image over http, no-referrer", "GET", []string{"Accept", image, "Accept-Language", "de"}, true},
		{"a foreign frame over http, no-referrer", "GET", []string{"Accept-Language", "de"}, true},
		{"an image that somebody has put into our forum", "GET", []string{"Accept", image, "Referer", "http://app.example/forum", "Sec-Fetch-Site", "same-origin"}, true},
	} {
		r := httptest.NewRequest(tt.method, "http://app.example/x", nil)
		for i := 0; i < len(tt.head); i += 2 {
			r.Header.Set(tt.head[i], tt.head[i+1])
		}
		if got := isForeign(r); got != tt.foreign {
			t.Errorf("%s: foreign %v, want %v", tt.name, got, tt.foreign)
		}
	}
}

// TestOfficeLooksAround: an office program asks what each folder above a document
// is (as seen of Microsoft Office), for several documents.
func TestOfficeLooksAround(t *testing.T) {
	t.Parallel()
	g := newRig(t, flask, nil)
	for _, year := range []string{"2024", "2025", "2026"} {
		folder := "/user/" + year + "/reports"
		for _, ask := range [][2]string{
			{"OPTIONS", folder + "/"}, {"PROPFIND", folder}, {"PROPFIND", "/user/" + year + "/"}, {"PROPFIND", "/reports"}, {"OPTIONS", "/"}, {"GET", "/2020"},
		} {
			if w := g.do("192.0.2.1", ask[0], ask[1], "User-Agent", "Microsoft Office Protocol Discovery"); w.Code == http.StatusForbidden {
				t.Fatalf("%s %s: %d", ask[0], ask[1], w.Code)
			}
		}
	}
	for n := range 6 {
		g.do("192.0.2.2", "GET", fmt.Sprintf("/%d/reports", n))
	}
	if w := g.do("192.0.2.2", "GET", "/2020"); w.Code != http.StatusForbidden {
		t.Errorf("who asks for them with GET: %d, want 403", w.Code)
	}
}
