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

// TestAtOtherHost: who came by another name has asked for what is there.
func TestAtOtherHost(t *testing.T) {
	byHost := mustTable(t, TableConfig{Project: &Project{Options: Options{HostMatching: true, StrictSlashes: true}, Routes: []Route{
		{Rule: "/cart", Host: "shop.example", Methods: getOnly, StrictSlashes: true},
		{Rule: "/item/<int:id>", Host: "<name>.shop.example", Methods: getOnly},
	}}})
	bySubdomain := mustTable(t, TableConfig{Project: &Project{Options: Options{ServerName: "shop.example", SubdomainMatching: true, StrictSlashes: true}, Routes: []Route{
		{Rule: "/cart", Methods: getOnly, StrictSlashes: true},
		{Rule: "/item/<int:id>", Subdomain: "api", Methods: getOnly},
	}}})
	for name, table := range map[string]*Table{"host": byHost, "subdomain": bySubdomain} {
		for target, want := range map[string]bool{
			"/cart": true, "/cart?x=1": true, "/c%61rt": true, "http://192.0.2.1/cart": true, "/item/7": true, "/cart/": false, "/item/x": false, "/admin": false,
		} {
			if got := table.Match("192.0.2.1", "GET", target).Kind; got == Found {
				t.Errorf("by %s: %s is found at a wrong host", name, target)
			}
			if got := table.AtOtherHost("GET", target); got != want {
				t.Errorf("by %s: %s at another host: %v, want %v", name, target, got, want)
			}
		}
		if why, want := table.Explain("192.0.2.1", "GET", "/cart").Why, "`/cart` is a route at another host of the app's, so it counts as soft"; why != want {
			t.Errorf("by %s: why %q, want %q", name, why, want)
		}
		if !table.AtOtherHost("POST", "/cart") {
			t.Errorf("by %s: another method is another matter", name)
		}
	}
	if emptyTable(t).AtOtherHost("GET", "/cart") {
		t.Error("an app that looks at no host has no other")
	}
}
