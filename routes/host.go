package routes

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// hostPattern is werkzeug.sansio.utils._host_re of 3.1.7 and later.
var hostPattern = regexp.MustCompile(`(?i)^(?:[a-z0-9.-]+|\[[a-f0-9]*:[a-f0-9.:]+\])(?::[0-9]+)?$`)

// invalidSubdomain is what Werkzeug matches with where the host is not below
// SERVER_NAME.
const invalidSubdomain = "<invalid>"

// hosts says how a table finds the domain that its rules' first part is matched
// with.
type hosts struct {
	options   Options
	behaviour behaviour
	server    string // SERVER_NAME as Werkzeug compares it; empty: the request's
	// fixed is set where the domain is the same for all requests.
	fixed bool
}

func newHosts(o Options, b behaviour) hosts {
	h := hosts{options: o, behaviour: b}
	h.server = strings.ToLower(o.ServerName)
	h.server = strings.TrimSuffix(h.server, ":80")
	if o.HostMatching && b.serverNameFree {
		h.server = ""
	}
	h.fixed = !o.HostMatching && (h.server == "" || h.ignoresHost())
	return h
}

// ignoresHost says that Flask forces the subdomain to the default one.
func (h *hosts) ignoresHost() bool {
	if h.options.SubdomainMatching {
		return false
	}
	return h.behaviour.serverNameFree || h.options.DefaultSubdomain != ""
}

// normal is werkzeug.sansio.utils.get_host for plain HTTP.
func (h *hosts) normal(host string) string {
	host = strings.TrimSuffix(host, ":80")
	if h.behaviour.hostChecked && !hostPattern.MatchString(host) {
		return ""
	}
	return strings.ToLower(latin1(host))
}

// name returns the server name that redirects are built with, and whether
// Werkzeug accepts it.
func (h *hosts) name(host string) (string, bool) {
	name := h.server
	if name == "" {
		name = h.normal(host)
	}
	return encodeIDNA(name, h.behaviour.urllib)
}

// refused says whether Werkzeug answers 400 for this host. It is on the hot
// path, so it first rules out every usual name.
func (h *hosts) refused(host string) bool {
	if h.server != "" || isUsualHost(host) {
		return false
	}
	_, ok := h.name(host)
	return !ok
}

// isUsualHost says that a host is short and has no empty label.
func isUsualHost(host string) bool {
	if len(host) >= 64 {
		return false
	}
	last := byte('.')
	for i := range len(host) {
		c := host[i]
		if c >= utf8.RuneSelf || c == '.' && last == '.' {
			return false
		}
		last = c
	}
	return true
}

// domain returns what the first part of the rules is matched with.
func (h *hosts) domain(host string) string {
	if h.options.HostMatching {
		name, _ := h.name(host)
		return name
	}
	return h.subdomain(host)
}

// fixedDomain is domain where it does not depend on the request.
func (h *hosts) fixedDomain() string {
	if h.ignoresHost() {
		return h.options.DefaultSubdomain
	}
	return ""
}

// subdomain is the first half of Werkzeug's Map.bind_to_environ after Flask's
// create_url_adapter.
func (h *hosts) subdomain(host string) string {
	if h.ignoresHost() {
		return h.options.DefaultSubdomain
	}
	if h.server == "" {
		return ""
	}
	return subdomainOf(h.normal(host), h.server)
}

func subdomainOf(current, server string) string {
	labels, base := strings.Split(current, "."), strings.Split(server, ".")
	cut := len(labels) - len(base)
	if cut < 0 || strings.Join(labels[cut:], ".") != server {
		return invalidSubdomain
	}
	var kept []string
	for _, label := range labels[:cut] {
		if label != "" {
			kept = append(kept, label)
		}
	}
	return strings.Join(kept, ".")
}

// AtOtherHost says that a path that no rule has at the host that was asked is a
// route at another host or subdomain of the app's. target is as for Match.
func (t *Table) AtOtherHost(method, target string) bool {
	if t.hosts.fixed {
		return false
	}
	path, mounted := t.unmount("/" + Path(target))
	if !mounted {
		return false
	}
	at := func(domain *state) bool {
		s := search{path: path, method: askedMethod(method)}
		return s.walk(domain, 0) != nil || s.other != nil || s.mismatched != nil
	}
	root := t.machine.root
	if root.slash != nil && at(root.slash) {
		return true
	}
	for _, domain := range root.literals {
		if at(domain) {
			return true
		}
	}
	return slices.ContainsFunc(root.dynamic, func(e *edge) bool { return !e.part.final && at(e.to) })
}

// encodeIDNA encodes a host name as Python's "idna" codec, label by label. The
// port is left alone.
func encodeIDNA(name string, strict bool) (string, bool) {
	host, port := name, ""
	if i := strings.IndexByte(name, ':'); i >= 0 {
		host, port = name[:i], name[i:]
	}
	if host == "" || isASCII(host) && !strict {
		return name, true
	}
	labels := hostLabels(host)
	for i, label := range labels {
		encoded, ok := encodeLabel(label)
		if !ok || encoded == "" && i < len(labels)-1 {
			return "", false
		}
		labels[i] = encoded
	}
	return strings.Join(labels, ".") + port, true
}

// hostLabels splits a name; an ASCII one keeps its empty labels.
func hostLabels(host string) []string {
	if isASCII(host) {
		return strings.Split(host, ".")
	}
	return strings.FieldsFunc(host, isLabelSeparator)
}

// isLabelSeparator knows the dots of RFC 3490, section 3.1.
func isLabelSeparator(r rune) bool {
	return r == '.' || r == '\u3002' || r == '\uff0e' || r == '\uff61'
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// maxLabel is the longest label of a host name (RFC 1035, section 2.3.4).
const maxLabel = 63

func encodeLabel(label string) (string, bool) {
	if isASCII(label) {
		return label, len(label) <= maxLabel
	}
	encoded, ok := punycode(strings.ToLower(label))
	encoded = "xn--" + encoded
	return encoded, ok && len(encoded) <= maxLabel
}

// BareHost is a Host header's value in lower case, without port, the brackets of
// an IPv6 address and the final dot of a full name.
func BareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
