package routes

import (
	"strings"
	"testing"
)

func TestReadTarget(t *testing.T) {
	legacy, modern := behaviour{}, behaviour{urllib: true}
	for _, c := range []struct {
		target    string
		server    server
		behaviour behaviour
		path      string
		query     string
		authority string
		bad       bool
	}{
		{"/a/b?c=d#e", serverWerkzeug, modern, "/a/b", "c=d", "", false},
		{"/a#b?c", serverWerkzeug, modern, "/a", "", "", false},
		{"/a?b?c", serverWerkzeug, modern, "/a", "b?c", "", false},
		{"//a//b", serverWerkzeug, modern, "/a//b", "", "", false},
		{"//a//b", serverGunicorn, modern, "//a//b", "", "", false},
		{"http://h:1/a?b", serverWerkzeug, modern, "/a", "b", "h:1", false},
		{"http://h:1/a?b", serverGunicorn, modern, "/a", "b", "", false},
		{"http://h", serverWerkzeug, modern, "", "", "h", false},
		{"h:80", serverWerkzeug, modern, "80", "", "", false},
		{"h:80", serverWerkzeug, legacy, "h:80", "", "", false},
		{"h:8x", serverWerkzeug, legacy, "8x", "", "", false},
		{"1h:x", serverWerkzeug, modern, "1h:x", "", "", false},
		{"a,b:x", serverWerkzeug, legacy, "x", "", "", false},
		{"a,b:x", serverWerkzeug, modern, "a,b:x", "", "", false},
		{"*", serverWerkzeug, modern, "*", "", "", false},
		{"", serverWerkzeug, modern, "HTTP/1.1", "", "", false},
		{"", serverGunicorn, modern, "", "", "", false},
		{" /a\t", serverWerkzeug, modern, "/a", "", "", false},
		{"/a b", serverWerkzeug, modern, "", "", "", true},
		{"/a b", serverGunicorn, modern, "", "", "", true},
		{"/a\xa0b", serverWerkzeug, modern, "", "", "", true},
		{"/a\tb", serverGunicorn, modern, "/ab", "", "", false},
		{"http://[::1]:80/", serverWerkzeug, modern, "/", "", "[::1]:80", false},
		{"http://[::1/", serverWerkzeug, legacy, "", "", "", true},
		{"http://x[::1]/", serverWerkzeug, modern, "", "", "", true},
		{"http://x[::1]/", serverWerkzeug, legacy, "/", "", "x[::1]", false},
		{"http://[::1]x/", serverWerkzeug, modern, "", "", "", true},
		{"http://\xbd/", serverWerkzeug, modern, "/", "", "\xbd", false},
		{"http://u:p@h/", serverWerkzeug, modern, "/", "", "u:p@h", false},
	} {
		var r request
		r.read(c.target, c.server, c.behaviour)
		if r.bad != c.bad {
			t.Errorf("%q (%v): bad %v", c.target, c.server, r.bad)
			continue
		}
		if !c.bad && (r.path != c.path || r.query != c.query || r.authority != c.authority) {
			t.Errorf("%q (%v): got path %q, query %q, authority %q", c.target, c.server, r.path, r.query, r.authority)
		}
	}
}

func TestLineLimits(t *testing.T) {
	for _, c := range []struct {
		server server
		length int
		want   bool
	}{
		{serverGunicorn, 4081, false}, // "GET " + 4081 + " HTTP/1.1" are 4,094 bytes
		{serverGunicorn, 4082, true},
		{serverWerkzeug, 65521, false},
		{serverWerkzeug, 65522, true},
	} {
		if got := lineTooLong(c.server, "GET", strings.Repeat("a", c.length)); got != c.want {
			t.Errorf("server %v, %d bytes: got %v", c.server, c.length, got)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		host    string
		domain  string
		refused bool
	}{
		{"no server name", Options{}, "www.example.com", "", false},
		{"default subdomain", Options{DefaultSubdomain: "www"}, "x.example.com", "www", false},
		{"subdomain", Options{SubdomainMatching: true, ServerName: "Example.com"}, "a.B.example.com", "a.b", false},
		{"the name itself", Options{SubdomainMatching: true, ServerName: "example.com"}, "example.com:80", "", false},
		{"another port", Options{SubdomainMatching: true, ServerName: "example.com"}, "example.com:81", "<invalid>", false},
		{"the port of the name", Options{SubdomainMatching: true, ServerName: "example.com:81"}, "s.example.com:81", "s", false},
		{"another name", Options{SubdomainMatching: true, ServerName: "example.com"}, "notexample.com", "<invalid>", false},
		{"empty labels", Options{SubdomainMatching: true, ServerName: "example.com"}, ".example.com", "", false},
		{"host matching", Options{HostMatching: true}, "WWW.Example.com:80", "www.example.com", false},
		{"host matching, odd characters", Options{HostMatching: true}, "a_b", "", false},
		{"host matching, odd characters before 3.1.7", Options{HostMatching: true, Werkzeug: "3.1.6"}, "a_b", "a_b", false},
		{"an empty label", Options{}, "a..b", "", true},
		{"an empty label before 2.3", Options{Werkzeug: "2.2.3"}, "a..b", "", false},
		{"a long label", Options{}, strings.Repeat("a", 64) + ".com", "", true},
		{"a long name", Options{}, strings.Repeat("a.", 60) + "com", "", false},
		{"a server name overrides", Options{ServerName: "example.com", SubdomainMatching: true}, "a..b", "<invalid>", false},
	} {
		h := newHosts(c.options, behaviourOf(c.options))
		if got := h.refused(c.host); got != c.refused {
			t.Errorf("%s: refused %v", c.name, got)
		}
		if got := h.domain(c.host); !c.refused && got != c.domain {
			t.Errorf("%s: got domain %q, want %q", c.name, got, c.domain)
		}
		if h.fixed && h.fixedDomain() != h.domain(c.host) {
			t.Errorf("%s: the fixed domain is %q", c.name, h.fixedDomain())
		}
	}
}

func TestJoinURL(t *testing.T) {
	for target, want := range map[string]string{
		"/b/": "http://h/b/", "new/7": "http://h/app/new/7", "../x": "http://h/x", "./x": "http://h/app/x", "//o/x": "http://o/x", "https://o/x": "https://o/x",
		"x/..": "http://h/app/", "../../../x": "http://h/x", "x?y=../z": "http://h/app/x?y=../z",
	} {
		if got := joinURL("http://h", "/app/", target); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

func TestQuoteURL(t *testing.T) {
	for _, c := range []struct {
		b          behaviour
		text, want string
	}{
		{behaviour{urllib: true}, "/a b/é;x=1@y:|+&%", "/a%20b/%C3%A9;x=1@y:%7C+&%25"},
		{behaviour{}, "/a b/é;x=1@y:|+&%", "/a%20b/%C3%A9;x%3D1%40y:|+%26%25"},
	} {
		if got := c.b.quotePath(c.text); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
