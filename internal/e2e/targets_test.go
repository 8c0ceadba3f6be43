package e2e

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// oddTargets are request targets that a proxy and the app behind it are apt to
// read differently.
func oddTargets() []string {
	all := []string{
		"/", "//", "///", "/?", "/??", "/?a", "/?a=b?c", "/;", "/;a", "/.", "/..", "/./", "/../", "/%2e", "/%2E%2e", "/%2f", "/%2F%2F", "/%5c", `/\`,
		"/about", "/about/", "/about//", "//about", "///about", "/./about", "/../about", "/x/../about", "/about/.", "/about/..", "/about/../about", "/%2e/about", "/%2e%2e/about",
		"/x/%2e%2e/about", "/about%2f", "/%2fabout", "/%61bout", "/%41bout", "/About", "/ABOUT", "/about?", "/about?x=%zz", "/about?x=%00", "/about?\xff", "/about;", "/about;x=1",
		"/about%3b", "/about%3fx", "/about%23x", "/about#x", "/about#", "/about%20", "/%20about", "/about%00", "/about%00.html", "/%00about", "/about%0a", "/about%0d%0a", "/about%09", "/about+", "/about.", "/about%2e", "/about%25",
		"/about%2561", "/%2561bout", "/%252e%252e/about", "/about%c2%a0", "/about%e2%80%8b", "/about%ff", "/about\xff", "/ab%6Fut", `/about\`, "/about%5c", "/about|", "/about\"", "/about<>", "/about{}", "/about^", "/about`", "/about'", "/about~", "/about$", "/about&a=b", "/about,", "/about:80", "/about@x", "/about=", "/about!", "/about*", "/about()",
		"/a/b", "/a//b", "//a/b", "/a/./b", "/a/../a/b", "/a%2fb", "/a%2Fb", "/a%252fb", `/a\b`, "/a%5cb", "/a/b/", "/a/b//", "/a/%2e/b", "/a/b;c", "/a;c/b", "/a/b%2f",
		"/tree", "/tree/", "/tree//", "//tree/", "/tree?x", "/tree?", "/tree/.", "/tree/./", "/tree%2f", "/tree/leaf", "/tree//leaf", "/tree/leaf?a=b&c", "/tree;x", "/tree/;x", "/tree/%20", "/Tree",
		"/semi;colon", "/semi%3bcolon", "/semi%3Bcolon", "/semi;", "/semi", "/semi;colon;x", "/semi%253bcolon",
		"/two%20words", "/two+words", "/two%2520words", "/two%20%20words", "/two%09words", "/two%c2%a0words", "/two%20words%20",
		"/%c3%bcber", "/%C3%BCber", "/u%cc%88ber", "/\xc3\xbcber", "/u\xcc\x88ber", "/%fcber", "/\xfcber", "/%c3%83%c2%bcber", "/%25c3%25bcber", "/%c3%9cber", "/%u00fcber",
		"/per%25cent", "/per%2525cent", "/per%ce%nt", "/per%cent", "/per%", "/per%2", "/per%zz", "/100%", "/search/100%",
		"/plus+plus", "/plus%2bplus", "/plus%2Bplus", "/plus%20plus", "/plus plus",
		"http://app.example/about", "HTTP://app.example/about", "https://app.example/about", "http://app.example", "http://app.example/?x", "http://other.example/nothing", "http://app.example//about", "http://app.example:80/a/b", "ftp://app.example/about", "about", "*", "?x", "",
	}
	for _, rule := range []string{"/search/", "/user/", "/page/", "/minus/", "/float/", "/uuid/", "/kind/", "/file/", "/v/", "/pair/"} {
		for _, value := range []string{
			"", "x", "1", "01", "-1", "+1", "1.0", "1.", ".5", "-0.0", "1e3", "%31", "%d9%a1", "1%20", "1_0", "inf", "cat", "Cat", "c%61t", "en", "%C3%A9", "e%cc%81", "a-b", "a%2db", "a--b", "-",
			".", "..", "%2e%2e", "../x", "x/../y", "a/b", "a%2fb", "a%252fb", "a//b", "/x", "%2fx", "x/", "x%2f", "%00", "x%00", "%0a", "x%0a", "%0d%0ax", "%20", "%ff", "\xff", "\xc3\xa9", "%ed%a0%80", "%f0%9f%98%80", "%c0%af",
			"a;b", "a%3bb", "a;b/c", `a\b`, "a%5cb", "a?b", "a%3fb", "?", "a#b", "a%23b", "a|b", "a\"b", "%25", "%2500", "%252e%252e", "a+b", "a%2bb", "~x", "%7ex", "a:b", "a@b", "a,b", "a=b&c", "'", "(x)", "*", "<x>", "{x}", "[x]", "^", "`",
			"123e4567-e89b-12d3-a456-426614174000", "123E4567-E89B-12D3-A456-426614174000", "123e4567e89b12d3a456426614174000", "99999999999999999999999", "x.txt", "%2e.txt", "x%2etxt",
		} {
			all = append(all, rule+value)
		}
	}
	for _, n := range []int{500, 2000, 4080, 4090, 4200, 9000} {
		all = append(all, "/search/"+strings.Repeat("a", n), "/search/"+strings.Repeat("%61", n/3), "/nothing/"+strings.Repeat("a/", n/2), "/about?"+strings.Repeat("q", n))
	}
	return append(all, "/x.txt", "/.txt", "/x%2etxt", "/a/x.txt", "/%2ftxt", "/x.TXT", "/..txt", "/%2e%2e.txt", "/x.txt/", "/x.txt%00", "/\xff.txt")
}

// oursInFlasksWords is a verdict as the test's app names it.
func oursInFlasksWords(e explained) string {
	switch e.Verdict {
	case "route":
		return e.Rule
	case "redirect":
		return "RequestRedirect"
	case "unexpected_method":
		return "MethodNotAllowed"
	case "unexpected_path", "honeypath", "benign", "bad_value":
		return "NotFound"
	}
	return e.Verdict
}

type explained struct{ Target, Verdict, Rule string }

// explainAll asks flask2ban explain for each target.
func explainAll(t *testing.T, args []string, targets []string) []explained {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append(append([]string{"explain"}, args...), "--host", "app.example", "-")...)
	var in bytes.Buffer
	for _, target := range targets {
		fmt.Fprintf(&in, "GET %s\n", target)
	}
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []explained
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var e explained
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	if len(all) != len(targets) {
		t.Fatalf("%d verdicts for %d targets", len(all), len(targets))
	}
	return all
}

// rawTarget sends a target as it is from an address, and returns what the app's
// routing made of it; where the app did not see it, our answer's status.
func rawTarget(t *testing.T, from, addr, target string) string {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n", target)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%q: %v", target, err)
		return ""
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	said := res.Header.Get("X-Routing")
	if rule, err := hex.DecodeString(said); err == nil && said != "" {
		return string(rule)
	}
	if said == "" {
		return fmt.Sprint("status ", res.StatusCode)
	}
	return said
}

// knownDifference says why a target may mean something else to the app than to
// flask2ban explain, which is told of no server; empty where it must not.
func knownDifference(target, server, app string) string {
	refused := app == "status 400"
	switch {
	case target == "http://app.example":
		return "net/http makes the empty path of an absolute form /, which Werkzeug would redirect to"
	case refused && badEscape.MatchString(target):
		return "net/http refuses a percent that is no escape; Werkzeug takes it as it is"
	case refused && strings.Contains(target, " "):
		return "a blank ends the target, and so the request line is malformed"
	case refused && (target == "" || target == "about" || target == "?x"):
		return "net/http refuses a target that neither begins with a slash nor is a URL"
	case refused && server == "gunicorn" && len(target) > 4000:
		return "gunicorn refuses request lines beyond 4,094 bytes, Werkzeug's server doesn't"
	}
	return ""
}

var badEscape = regexp.MustCompile(`^[^?]*%([^0-9a-fA-F]|$|[0-9a-fA-F]([^0-9a-fA-F]|$))`)

// sendTargets sends each target from the address that from gives it, and
// returns what the app's routing made of them.
func sendTargets(t *testing.T, d *daemon, targets []string, from func(i int) string) []string {
	t.Helper()
	said := make([]string, len(targets))
	var next atomic.Int32
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(targets); i = int(next.Add(1)) - 1 {
				said[i] = rawTarget(t, from(i), d.addr, targets[i])
			}
		})
	}
	group.Wait()
	return said
}

// TestTargetsAsTheAppSeesThem: what the table says of a target is what Flask's
// routing makes of it behind us, with both servers; and nothing that the app
// has is ever held against who asks for it.
func TestTargetsAsTheAppSeesThem(t *testing.T) {
	app := testApp(t, "targets.py")
	tests := map[string][]string{
		"Werkzeug": {app},
		"gunicorn": {"targets:app", "--", "gunicorn", "--threads", "8", "targets:app"},
	}
	targets := oddTargets()
	ours := explainAll(t, []string{app}, targets)
	for server, args := range tests {
		t.Run(server, func(t *testing.T) {
			d := start(t, filepath.Dir(app), "", args...)
			// An address for each: none is throttled or banned for the others' paths.
			said := sendTargets(t, d, targets, func(i int) string { return fmt.Sprintf("127.3.%d.%d", i/250, i%250+1) })
			var good []string
			known := map[string]int{}
			for i, target := range targets {
				table := oursInFlasksWords(ours[i])
				if said[i] != "NotFound" {
					good = append(good, target)
				}
				if said[i] == table {
					continue
				}
				reason := knownDifference(target, server, said[i])
				if reason == "" {
					t.Errorf("%.80q: the app says %s, the table %s (%s)", target, said[i], table, ours[i].Verdict)
				}
				known[reason]++
			}
			t.Logf("%d targets, known differences: %v", len(targets), known)
			if len(good) < 100 || len(good) > len(targets)*9/10 {
				t.Errorf("the app has %d of %d targets", len(good), len(targets))
			}
			before := d.metric("flask2ban_evidence_total")
			if before == 0 {
				t.Error("paths that the app doesn't have gave no evidence")
			}
			sendTargets(t, d, good, func(int) string { return "127.3.255.1" })
			if after := d.metric("flask2ban_evidence_total"); after != before {
				t.Errorf("%v pieces of evidence for what the app has, or never saw", after-before)
			}
		})
	}
}
