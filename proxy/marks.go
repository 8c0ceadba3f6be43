package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/flask2ban/flask2ban/routes"
)

// isSoft says whether a request carries a mark that something else than its
// sender's own will may have caused it. An image tag in a forum can make every
// reader ask for /.env here, and an app's own page can link to a missing
// script: neither must ban the reader.
//
// The marks are a Referer (RFC 9110 10.1.3; a foreign page, or the app's own
// with a broken link), an Origin (RFC 6454; a cross-site form or fetch), any
// Fetch Metadata (W3C Fetch Metadata 2), an Accept that names images, styles or
// media, and prefetching. Over plain HTTP browsers send no Fetch Metadata, and a
// page can suppress Referer and Origin; but it can't keep a browser from
// sending Accept-Language (RFC 9110 12.5.4), which tools and scanners seldom do.
//
// A scanner can forge all of them. It then counts at the slower rate of soft
// evidence.
func isSoft(h http.Header) bool {
	for _, name := range markHeaders {
		if first(h, name) != "" {
			return true
		}
	}
	return AcceptsSubresource(first(h, "Accept"))
}

// AcceptsSubresource says whether an Accept is one with which browsers ask for a
// part of a page.
func AcceptsSubresource(accept string) bool {
	return slices.ContainsFunc(subresourceAccepts, func(kind string) bool { return strings.HasPrefix(accept, kind) })
}

// MarkHeaders are the headers that mark a request as soft by being there.
func MarkHeaders() []string { return slices.Clone(markHeaders) }

// markHeaders mark a request as soft by being there.
var markHeaders = []string{
	"Referer", "Origin", "Accept-Language", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest",
	"Sec-Purpose", "Purpose", "X-Moz",
}

// subresourceAccepts are how browsers without Fetch Metadata begin the Accept
// of a sub-resource. Scripts say */*, as do scanners, so they are not here.
var subresourceAccepts = []string{"image/", "text/css", "font/", "application/font", "audio/", "video/"}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// isForeign says whether a page of another site made the browser send a
// request: what the app then reports is not its reader's doing.
func isForeign(r *http.Request) bool {
	if site := first(r.Header, "Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	for _, name := range []string{"Origin", "Referer"} {
		from := first(r.Header, name)
		if from == "" {
			continue
		}
		if u, err := url.Parse(from); err != nil || routes.BareHost(u.Host) != routes.BareHost(r.Host) {
			return true // "null" as well
		}
	}
	return false
}
