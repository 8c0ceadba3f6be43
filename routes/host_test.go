package routes

import "testing"

func TestBareHost(t *testing.T) {
	for host, want := range map[string]string{
		"":                 "",
		"example.org":      "example.org",
		"Example.ORG.:443": "example.org",
		"192.0.2.1:80":     "192.0.2.1",
		"[2001:DB8::1]:80": "2001:db8::1",
		"[::1]":            "::1",
		"example.org:":     "example.org",
	} {
		if got := BareHost(host); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}
