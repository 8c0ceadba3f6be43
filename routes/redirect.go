package routes

import (
	"strings"
)

// adapter is what Werkzeug's MapAdapter knows of one request, for building the
// URL of a redirect.
type adapter struct {
	table     *Table
	name      string // the server name
	subdomain string
	query     string
	websocket bool
}

func (a *adapter) scheme() string {
	if a.websocket {
		return "ws"
	}
	return "http"
}

// hostOf is MapAdapter.get_host for a domain part.
func (a *adapter) hostOf(domain string) string {
	if a.table.options.HostMatching {
		return domain
	}
	if domain != "" {
		return domain + "." + a.name
	}
	return a.name
}

// ownHost is MapAdapter.get_host(None).
func (a *adapter) ownHost() string {
	if a.table.options.HostMatching {
		return a.name
	}
	return a.hostOf(a.subdomain)
}

// location returns where decide's redirect leads; empty where only the app
// knows.
func (a *adapter) location(s *search, r *rule) string {
	switch {
	case s.needsSlash:
		return a.redirectURL(a.ownHost(), a.table.behaviour.quotePath(s.path+"/"))
	case s.merged:
		return a.redirectURL(a.ownHost(), a.table.behaviour.quotePath(s.path))
	case r.route.Alias && !a.table.options.NoRedirectDefaults:
		return a.aliasURL(s, r)
	}
	if len(r.defaultsFrom) > 0 {
		if better := a.table.betterDefault(s, r); better != nil {
			domain, path := a.table.build(better, r.viewArgs(s))
			return a.redirectURL(a.hostOf(domain), path)
		}
	}
	return a.redirectTo(s, r)
}

// redirectURL is MapAdapter.make_redirect_url.
func (a *adapter) redirectURL(host, path string) string {
	prefix := strings.Trim(a.table.options.Prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	url := a.scheme() + "://" + host + "/" + prefix + strings.TrimLeft(path, "/")
	return url + a.suffix()
}

func (a *adapter) suffix() string {
	if a.query == "" {
		return ""
	}
	return "?" + a.query
}

// aliasURL is MapAdapter.make_alias_redirect_url.
func (a *adapter) aliasURL(s *search, r *rule) string {
	values := r.viewArgs(s)
	target := a.canonical(s, r, values)
	if target == nil {
		return ""
	}
	domain, path := a.table.build(target, values)
	return a.scheme() + "://" + a.hostOf(domain) + a.table.options.Prefix + "/" + strings.TrimLeft(path, "/") + a.suffix()
}

// canonical is MapAdapter._partial_build: the rule that a URL of this endpoint
// is built with.
func (a *adapter) canonical(s *search, r *rule, values map[string]string) *rule {
	var first *rule
	for _, candidate := range a.table.byEndpoint[r.route.Endpoint] {
		if !candidate.methods.has(s.method) || !candidate.suits(r, values) {
			continue
		}
		domain, _ := a.table.build(candidate, values)
		if !a.table.options.HostMatching || domain == a.name {
			return candidate
		}
		if first == nil {
			first = candidate
		}
	}
	return first
}

// suits is Rule.suitable_for without the method.
func (r *rule) suits(from *rule, values map[string]string) bool {
	for name := range r.arguments {
		_, given := values[name]
		_, isDefault := r.route.Defaults[name]
		if !given && !isDefault {
			return false
		}
	}
	return r.defaultsEqual(from, values)
}

// redirectTo follows a rule's own redirect_to.
func (a *adapter) redirectTo(s *search, r *rule) string {
	target := r.route.RedirectTo
	if target == callableRedirect {
		return ""
	}
	values := r.viewArgs(s)
	for _, v := range r.variables {
		target = strings.ReplaceAll(target, "<"+v.name+">", a.table.quoteBy(v.converter, values[v.name]))
	}
	host := a.name
	if a.subdomain != "" {
		host = a.subdomain + "." + a.name
	}
	return joinURL(a.scheme()+"://"+host, a.table.options.Prefix+"/", target)
}

// callableRedirect stands for a redirect_to that the app computes.
const callableRedirect = "(callable)"

// joinURL is urljoin for a base that ends in a slash.
func joinURL(origin, base, target string) string {
	scheme, _, _ := strings.Cut(origin, ":")
	switch {
	case strings.Contains(target, "://"):
		return target
	case strings.HasPrefix(target, "//"):
		return scheme + ":" + target
	case strings.HasPrefix(target, "/"):
		return origin + removeDots(target)
	}
	return origin + removeDots(base+target)
}

// removeDots removes dot segments (RFC 3986, section 5.2.4).
func removeDots(path string) string {
	path, query, found := strings.Cut(path, "?")
	var out []string
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		switch segment {
		case ".", "..":
			if segment == ".." && len(out) > 1 {
				out = out[:len(out)-1]
			}
			if i == len(segments)-1 {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	path = strings.Join(out, "/")
	if found {
		path += "?" + query
	}
	return path
}

// viewArgs returns the raw texts by the names under which the view gets their
// values, the rule's defaults included.
func (r *rule) viewArgs(s *search) map[string]string {
	values := s.values()
	out := r.named(values)
	for i, v := range r.variables {
		if i < len(values) && !values[i].present {
			out[v.name] = defaultText(nil)
		}
	}
	for name, value := range r.route.Defaults {
		out[name] = defaultText(value)
	}
	return out
}

// build is Rule.build: the domain and path of a rule for raw values.
func (t *Table) build(r *rule, values map[string]string) (domain, path string) {
	return t.buildTrace(r, r.domainTrace, values), t.buildTrace(r, r.pathTrace, values)
}

func (t *Table) buildTrace(r *rule, trace []element, values map[string]string) string {
	var out strings.Builder
	for _, e := range trace {
		if e.variable == nil {
			out.WriteString(t.behaviour.quoteLiteral(e.literal))
			continue
		}
		value, ok := values[e.variable.name]
		if fixed, isDefault := r.route.Defaults[e.variable.name]; isDefault || !ok {
			value = defaultText(fixed)
		}
		out.WriteString(t.quoteBy(e.variable.converter, value))
	}
	return out.String()
}

// quoteBy is the converter's to_url of a raw text.
func (t *Table) quoteBy(c *converter, raw string) string {
	if c.quote != nil {
		return c.quote(raw)
	}
	return t.behaviour.quoteValue(raw)
}

// The characters that stay as they are besides letters, digits and -._~: since
// 2.3 those of a URL's path segments (WHATWG), before that Werkzeug's own.
const (
	segmentSafe = "!$&'()*+,/:;=@"
	legacySafe  = "$!'()*+,;/:"
)

func (b behaviour) quotePath(path string) string    { return quoteURL(path, b.safe("|")) }
func (b behaviour) quoteLiteral(text string) string { return quoteURL(text, b.safe("|")) }
func (b behaviour) quoteValue(text string) string   { return quoteURL(text, b.safe("")) }

func (b behaviour) safe(legacyExtra string) string {
	if b.urllib {
		return segmentSafe
	}
	return legacySafe + legacyExtra
}

func quoteURL(text, safe string) string {
	const upperHex = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		if isLetterOrDigit(c) || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(safe, c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(upperHex[c>>4])
		out.WriteByte(upperHex[c&15])
	}
	return out.String()
}
