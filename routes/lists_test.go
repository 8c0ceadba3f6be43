package routes

import (
	"bufio"
	"compress/gzip"
	"os"
	"strings"
	"testing"
)

// emptyTable is the table of an app without routes, with the default lists.
func emptyTable(t testing.TB) *Table {
	return mustTable(t, TableConfig{Project: &Project{Complete: true}, Lists: DefaultLists()})
}

func TestListedPaths(t *testing.T) {
	table := emptyTable(t)
	for want, targets := range map[Kind][]string{
		Honeypath: {
			"/.env", "/.ENV", "/.env.production", "/api/.env", "/.env~", "/.git/config", "/.git/HEAD", "/app/.git/config", "/.git", "/.git/",
			"/.aws/credentials", "/.ssh/id_rsa", "/backup/id_rsa", "/.svn/entries", "/.htpasswd", "/wp-login.php", "/blog/wp-login.php",
			"/wp-login.php?action=register", "/%77p-login.php", "//wp-login.php", "/wp-content/plugins/hello/x.php", "/wp-content/plugins/a/readme.txt",
			"/wp-includes/x.php", "/wp-admin/setup-config.php", "/phpmyadmin/", "/phpMyAdmin/index.php", "/adminer.php", "/adminer-4.7.8.php",
			"/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", "/lib/phpunit/src/Util/PHP/eval-stdin.php", "/c99.php", "/uploads/r57.php", "/alfa-rex.php",
			"/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/..;/..;/etc/passwd", "/../etc/passwd%00.jpg", "/cgi-bin/.%2e/.%2e/bin/sh",
			"/boaform/admin/formLogin", "/HNAP1/", "/GponForm/diag_Form", "/_ignition/execute-solution", "/actuator/heapdump", "/manager/html",
			"/wp-config.php.bak", "/wordpress/wp-admin/", "/wp-json/wp/v2/users/1", "/.git/x.png", "http://example.com/.env",
		},
		Benign: {
			"/favicon.ico", "/favicon.ico?v=2", "/robots.txt", "/apple-touch-icon.png", "/apple-touch-icon-120x120-precomposed.png", "/.well-known/acme-challenge/abc",
			"/.well-known/security.txt", "/.well-known/", "/sitemap.xml", "/sitemap_index.xml", "/sitemap-posts.xml.gz", "/ads.txt", "/app.js.map", "/a/b/site.min.css.map",
			"/img/missing.PNG", "/js/jquery-3.js", "/undefined", "/blog/null", "/[object%20Object]", "/%5Bobject%20Object%5D", "/feed", "/feed/", "/rss.xml", "/feeds/all.atom",
			"/blog/post/feed.atom", "/blog/feed/", "/blog/rss", "/blog/rss/feed.xml", "/blog/index.rdf", "/news/atom.xml", "/feed.json",
			"/generate_204", "/_vti_bin/owssvr.dll", "/google0123456789abcdef.html", "/autodiscover/autodiscover.xml", "/wpad.dat", "/sw.js", "/static/env.production.js",
		},
		UnexpectedPath: {
			"/admin", "/admin/", "/administrator/", "/login", "/login.php", "/api", "/api/v1/users", "/console", "/index.php", "/index.html.bak", "/backup.zip", "/old.bak",
			"/wp-admin/", "/wp-admin/admin-ajax.php", "/xmlrpc.php", "/wp-cron.php", "/wp-content/uploads/2015/", "/wp-content/themes/x/timthumb.php", "/actuator/health",
			"/owa/", "/owa/auth/logon.aspx", "/remote/login", "/+CSCOE+/logon.html", "/cgi-bin/", "/downloads/setup-1.0.exe", "/files/dump.sql.gz", "/git/config", "/env",
			"/environment", "/.environments", "/man/etc/passwd", "/wiki/passwd", "/docs/aws/credentials", "/shell", "/blog/c99-compiler", "/repo.git/info/refs", "/user/.gitignore",
			"/package.json", "/composer.json", "/log.php", "/phpmyadmin-tips", "/vendor/", "/a..b/etc/passwd", "/", "/.", "/..", "/wp-login",
		},
	} {
		for _, target := range targets {
			if got := table.Match("example.com", "GET", target); got.Kind != want {
				t.Errorf("%s: got %v, want %v", target, got.Kind, want)
			}
		}
	}
}

func lines(t testing.TB, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for s := bufio.NewScanner(z); s.Scan(); {
		out = append(out, s.Text())
	}
	return out
}

// TestNoPersonHitsAHoneypath is the list's licence to exist: of all that the
// people and crawlers of a real site's log asked for, nothing is listed.
func TestNoPersonHitsAHoneypath(t *testing.T) {
	table := emptyTable(t)
	clients, hitting := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, line := range lines(t, "testdata/access_targets.tsv.gz") {
		f := strings.Split(line, "\t")
		id, class, target := f[0], f[1], f[3]
		if clients[class] == nil {
			clients[class], hitting[class] = map[string]bool{}, map[string]bool{}
		}
		clients[class][id] = true
		if !table.Listed(target) {
			continue
		}
		hitting[class][id] = true
		if class != "attacker" && class != "badbot" {
			t.Errorf("%s client %s asked for the honeypath %s", class, id, target)
		}
	}
	for class, all := range clients {
		t.Logf("%s: %d of %d clients hit a honeypath", class, len(hitting[class]), len(all))
	}
	if len(hitting["attacker"]) == 0 {
		t.Error("no attacker hits a honeypath: the log or the list is not what it was")
	}
}

func TestShareOfProbesThatAreHoneypaths(t *testing.T) {
	table := emptyTable(t)
	kinds := map[Kind]int{}
	probes := lines(t, "testdata/probes.txt.gz")
	for _, target := range probes {
		kinds[table.Match("example.com", "GET", target).Kind]++
	}
	t.Logf("%d probes: %d honeypaths (%.1f %%), %d unexpected paths, %d benign, %d bad requests",
		len(probes), kinds[Honeypath], 100*float64(kinds[Honeypath])/float64(len(probes)), kinds[UnexpectedPath], kinds[Benign], kinds[BadRequest])
	if share := float64(kinds[Honeypath]) / float64(len(probes)); share < 0.12 {
		t.Errorf("only %.1f %% of the probes are honeypaths", 100*share)
	}
	if share := float64(kinds[Benign]) / float64(len(probes)); share > 0.06 {
		t.Errorf("%.1f %% of the probes are benign", 100*share)
	}
}

func TestRoutesGoBeforeLists(t *testing.T) {
	get := []string{"GET", "HEAD", "OPTIONS"}
	p := &Project{Complete: true, Routes: []Route{
		{Rule: "/wp-login.php", Methods: get, Endpoint: "trap"},
		{Rule: "/pages/<slug>", Methods: get, Endpoint: "page"},
		{Rule: "/.git/<path:p>", Methods: get, Endpoint: "git"},
	}}
	table := mustTable(t, TableConfig{Project: p, Lists: DefaultLists()})
	for _, c := range []struct {
		method, target string
		want           Kind
	}{
		{"GET", "/wp-login.php", Found},
		{"POST", "/wp-login.php", UnexpectedMethod},
		{"GET", "/blog/wp-login.php", Honeypath},
		{"GET", "/pages/wp-login.php", Found},
		{"GET", "/.git/config", Found},
		{"GET", "/pages/a/.git/config", Honeypath},
		{"GET", "/.env", Honeypath},
	} {
		if got := table.Match("h", c.method, c.target); got.Kind != c.want {
			t.Errorf("%s %s: got %v, want %v", c.method, c.target, got.Kind, c.want)
		}
	}
	if !table.Listed("/pages/wp-login.php?x=1") || table.Listed("/pages/x") {
		t.Error("Listed must say what the list says, whatever the routes")
	}
}

func TestListsCanBeChanged(t *testing.T) {
	lists := DefaultLists()
	lists.Honeypaths = append(lists.Honeypaths, "/trap/**", "!/.env", "/Secret*.txt")
	lists.Benign = append(lists.Benign, "/phpmyadmin/**")
	table := mustTable(t, TableConfig{Project: &Project{}, Lists: lists})
	for target, want := range map[string]Kind{
		"/trap/x": Honeypath, "/trap": Honeypath, "/trapx": UnexpectedPath, "/.env": UnexpectedPath, "/x/.env": Honeypath,
		"/secret-1.txt": Honeypath, "/a/secret-1.txt": UnexpectedPath, "/phpmyadmin/": Benign,
	} {
		if got := table.Match("h", "GET", target); got.Kind != want {
			t.Errorf("%s: got %v, want %v", target, got.Kind, want)
		}
	}
	off := mustTable(t, TableConfig{Project: &Project{}})
	for _, target := range []string{"/.env", "/favicon.ico"} {
		if got := off.Match("h", "GET", target); got.Kind != UnexpectedPath {
			t.Errorf("without lists %s is %v", target, got.Kind)
		}
	}
}

func TestBadPatternsAreNamed(t *testing.T) {
	for pattern, want := range map[string]string{
		"admin":        `new table: list honeypaths: path pattern "admin": it must begin with / or **/`,
		"/*/x*":        `new table: list honeypaths: path pattern "/*/x*": only one star, and not at the start of the last segment`,
		"/a*b*":        `new table: list honeypaths: path pattern "/a*b*": only one star, and not at the start of the last segment`,
		"**/":          `new table: list honeypaths: path pattern "**/": a name must have between 1 and 63 bytes`,
		"/" + long(64): `new table: list honeypaths: path pattern "/` + long(64) + `": a name must have between 1 and 63 bytes`,
	} {
		_, err := NewTable(TableConfig{Project: &Project{}, Lists: Lists{Honeypaths: []string{pattern}}})
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// TestDefaultListsAreWhole guards the embedded files.
func TestDefaultListsAreWhole(t *testing.T) {
	l := DefaultLists()
	if len(l.Benign) < 70 || len(l.Honeypaths) < 300 {
		t.Errorf("got %d benign and %d honeypath patterns", len(l.Benign), len(l.Honeypaths))
	}
	for _, p := range append(l.Benign, l.Honeypaths...) {
		if p != strings.ToLower(p) {
			t.Errorf("%s is not in lower case", p)
		}
	}
}
