package proxy

import (
	"net/http"
	"strings"
)

// isSoft says whether a request carries a mark that something else than its
// sender's own will may have caused it. An image tag in a forum can make every
// reader ask for /.env here, and an app's own page can link to a missing
// script: neither must ban the reader.
//
// The marks are a Referer (RFC 9110 10.1.3; a foreign page, or the app's own
// with a broken link), an Origin (RFC 6454; a cross-site form or fetch), a
// Sec-Fetch-Site of another site and a Sec-Fetch-Dest of a sub-resource (W3C
// Fetch Metadata 2.1, 2.3), an Accept that names images, styles or media, and
// prefetching.
//
// A scanner can forge all of them. It then counts at the slower rate of soft
// evidence, no worse.
func isSoft(h http.Header) bool {
	for _, name := range markHeaders {
		if len(h[name]) > 0 && h[name][0] != "" && h[name][0] != "null" {
			return true
		}
	}
	if site := first(h, "Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
		return true
	}
	if dest := first(h, "Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return true
	}
	accept := first(h, "Accept")
	for _, kind := range subresourceAccepts {
		if strings.HasPrefix(accept, kind) {
			return true
		}
	}
	return false
}

// markHeaders mark a request as soft by being there.
var markHeaders = []string{"Referer", "Origin", "Sec-Purpose", "Purpose", "X-Moz"}

// subresourceAccepts are how browsers without Fetch Metadata begin the Accept
// of a sub-resource. Scripts say */*, as do scanners, so they are not here.
var subresourceAccepts = []string{"image/", "text/css", "font/", "application/font", "audio/", "video/"}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}
