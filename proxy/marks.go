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

// looksAround says that a method asks what may be done with a URL, as office
// programs and WebDAV clients do with each folder above the document that a
// person opens (MS-OCPROTO; RFC 4918 9.1). Scanners learn little by these.
func looksAround(method string) bool {
	return method == http.MethodOptions || method == "PROPFIND"
}

// isForeign says whether a page of another site may have made the browser send a
// request, or an image of a page of ours that others write in: what the app then
// reports is not its reader's doing.
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
	return isBareRead(r) && (AcceptsSubresource(first(r.Header, "Accept")) || isSilenced(r.Header))
}

// isBareRead says that a request has neither a body nor credentials of HTTP's own,
// as any link can make one.
func isBareRead(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && first(r.Header, "Authorization") == ""
}

// isSilenced says that a browser does not tell what made it ask: a person typed the
// address, or a page over plain HTTP has told it to be silent (Referrer-Policy).
func isSilenced(h http.Header) bool {
	return first(h, "Accept-Language") != "" && first(h, "Sec-Fetch-Site") == "" && first(h, "Origin") == "" && first(h, "Referer") == ""
}
