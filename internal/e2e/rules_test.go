package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const rulesFile = `
rules:
  - name: friends
    action: ignore
    match: {peers: 127.0.6.0/24}
  - name: unwanted
    action: block
    match: {peers: 127.0.7.0/24}
  - name: login
    action: block
    match: {routes: /login, methods: POST, status: 401}
    maxretry: 10
    findtime: 1m
    bantime: 1h
  - name: trap
    action: block
    match: {routes: /old-admin}
    bantime: 1d
  - name: api
    action: throttle
    match: {routes: "/api/items/<int:item>"}
    rate: 5/s
    burst: 5
  - name: slow
    action: throttle
    match: {routes: /slow}
    in_flight: 2
    per: rule
  - name: connections
    action: throttle
    match: {peers: 127.0.8.0/24}
    connections: 3
  - name: search
    action: throttle
    match: {routes: /search}
    rate: 1/m
    burst: 1
    mode: observe
`

// startRules runs the app with a configuration file and returns its path.
func startRules(t *testing.T, content string) (d *daemon, file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "flask2ban.yaml")
	writeFile(t, file, content)
	return start(t, dir, "", testApp(t, "rules.py"), "--config", file), file
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ruleReport is one entry of "flask2ban rules --json".
type ruleReport struct {
	Name, Action, Mode string
	Hits               int
	Would              int `json:"would_have_hits"`
	Bans               int
}

func (d *daemon) rules() map[string]ruleReport {
	d.t.Helper()
	out, err := d.cli("rules", "--json")
	if err != nil {
		d.t.Fatalf("rules: %v: %s", err, out)
	}
	var list []ruleReport
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	all := map[string]ruleReport{}
	for _, r := range list {
		all[r.Name] = r
	}
	return all
}

// TestRules has each kind of rule act in a real daemon.
func TestRules(t *testing.T) {
	d, _ := startRules(t, rulesFile)
	t.Run("brute force on login", func(t *testing.T) {
		c := d.from("127.0.1.30")
		for n := range 10 {
			if status, body := c.do("POST", "/login?password=guess", nil); status != 401 {
				t.Fatalf("attempt %d: %d %s", n+1, status, body)
			}
		}
		if body := c.want(403, "/"); !strings.Contains(body, "rule login: 10 matching requests within 1m0s") {
			t.Errorf("the page doesn't say why: %s", body)
		}
		out, err := d.cli("why", "127.0.1.30")
		if err != nil || !strings.Contains(out, "by rule login") {
			t.Errorf("why: %v\n%s", err, out)
		}
		for range 12 {
			if status, _ := c.get("/"); status != 403 {
				t.Fatalf("a rule that names routes refuses at accept: %d", status)
			}
		}
		if got := d.metric("flask2ban_refused_total", `rule="login"`); got != 13 {
			t.Errorf("%v refusals are counted, want 13", got)
		}
		if got := d.metric("flask2ban_bans_total", `rule="login"`); got != 1 {
			t.Errorf("%v bans are counted", got)
		}
	})
	t.Run("an honest login", func(t *testing.T) {
		c := d.from("127.0.1.31")
		for range 5 {
			c.do("POST", "/login?password=typo", nil)
		}
		if status, _ := c.do("POST", "/login?password=secret", nil); status != 200 {
			t.Errorf("status %d", status)
		}
	})
	t.Run("trap", func(t *testing.T) {
		c := d.from("127.0.1.32")
		c.want(403, "/old-admin")
		c.want(403, "/")
		if got := d.metric("flask2ban_bans_total", `rule="trap"`); got != 1 {
			t.Errorf("%v bans are counted", got)
		}
	})
	t.Run("blocked network", func(t *testing.T) {
		c := d.from("127.0.7.1")
		for range 10 {
			c.want(403, "/")
		}
		if status, _ := c.get("/"); status != 0 {
			t.Errorf("after ten pages: status %d, want the connection closed", status)
		}
		if got := d.metric("flask2ban_refused_total", `penalty="accept"`, `rule="unwanted"`); got < 1 {
			t.Errorf("%v refused at accept are counted", got)
		}
	})
	t.Run("ignored network", func(t *testing.T) {
		if out, err := d.cli("bans", "add", "127.0.6.9"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		c := d.from("127.0.6.9")
		for _, path := range []string{"/.env", "/wp-login.php", "/a", "/b", "/c", "/d"} {
			c.want(404, path)
		}
		c.want(200, "/")
	})
	t.Run("allowance", func(t *testing.T) { allowance(t, d) })
	t.Run("in flight", func(t *testing.T) { inFlight(t, d) })
	t.Run("connections", func(t *testing.T) { connections(t, d) })
	t.Run("observing rule", func(t *testing.T) {
		c := d.from("127.0.1.36")
		for range 4 {
			c.want(200, "/search")
		}
		if r := d.rules()["search"]; r.Hits != 0 || r.Would != 3 || r.Mode != "observe" {
			t.Errorf("%+v", r)
		}
	})
	rules := d.rules()
	if r := rules["login"]; r.Hits != 14 || r.Bans != 1 || r.Action != "block" {
		t.Errorf("login: %+v", r)
	}
	for _, name := range []string{"friends", "unwanted", "trap", "api", "slow", "connections"} {
		if rules[name].Hits == 0 {
			t.Errorf("no hits of %s: %+v", name, rules[name])
		}
	}
	out, err := d.cli("rules")
	if err != nil || !strings.Contains(out, "RULE") || !strings.Contains(out, "unexpected (built in)") {
		t.Errorf("%v: %s", err, out)
	}
}

// allowance: what comes faster waits, the rest is told when to come back.
func allowance(t *testing.T, d *daemon) {
	c := d.from("127.0.1.33")
	var mu sync.Mutex
	statuses := map[int]int{}
	var refused http.Header
	var group sync.WaitGroup
	const sent = 60 // more than are let through while they are sent, however slowly that goes
	for n := range sent {
		group.Go(func() {
			res, err := c.http.Get(fmt.Sprintf("%s/api/items/%d", c.base, n))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			io.Copy(io.Discard, res.Body)
			mu.Lock()
			defer mu.Unlock()
			statuses[res.StatusCode]++
			if res.StatusCode == http.StatusTooManyRequests {
				refused = res.Header
			}
		})
	}
	group.Wait()
	if statuses[200] < 9 || statuses[429] < 1 || statuses[200]+statuses[429] != sent {
		t.Fatalf("%v, want 5 at once, 4 waiters, and the rest sent away", statuses)
	}
	if got := refused.Get("RateLimit-Policy"); got != `"api";q=5;w=1` {
		t.Errorf("RateLimit-Policy: %s", got)
	}
	if got := refused.Get("RateLimit"); got != `"api";r=0;t=1` && got != `"api";r=0;t=2` { // with the waiters before it
		t.Errorf("RateLimit: %s", got)
	}
	if got := refused.Get("Retry-After"); got != "1" {
		t.Errorf("Retry-After: %s", got)
	}
	if got := d.metric("flask2ban_refused_total", `penalty="too_many"`, `rule="api"`); int(got) != statuses[429] {
		t.Errorf("%v refusals are counted, want %d", got, statuses[429])
	}
}

// inFlight: two slow requests at a time, whoever asks.
func inFlight(t *testing.T, d *daemon) {
	var group sync.WaitGroup
	for n := range 2 {
		c := d.from(fmt.Sprintf("127.0.1.%d", 40+n))
		group.Go(func() {
			if status, _ := c.get("/slow?hold=1"); status != 200 {
				t.Errorf("status %d", status)
			}
		})
	}
	d.await("two are in flight", func() bool { return d.metric("flask2ban_http_requests_in_flight") == 2 })
	third := d.from("127.0.1.42")
	if body := third.want(429, "/slow"); !strings.Contains(body, "rule slow") {
		t.Errorf("the page doesn't name the rule: %s", body)
	}
	third.want(200, "/let-go")
	group.Wait()
	third.want(200, "/slow")
}

// connections: three at a time; a closed one makes room.
func connections(t *testing.T, d *daemon) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.8.1")}, Timeout: patience}
	var open []net.Conn
	ask := func() (net.Conn, bool) {
		conn, err := dialer.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		n, _ := conn.Read(make([]byte, 12))
		return conn, n == 12
	}
	for n := range 3 {
		conn, ok := ask()
		defer conn.Close()
		if !ok {
			t.Fatalf("connection %d is closed", n+1)
		}
		open = append(open, conn)
	}
	if conn, ok := ask(); ok {
		t.Error("a fourth connection is served")
	} else {
		conn.Close()
	}
	open[0].Close()
	d.await("there is room again", func() bool {
		conn, ok := ask()
		conn.Close()
		return ok
	})
}

// TestRulesReloadOnChange: the file is read again when it changes, by writing
// or by an editor's renaming; a bad one leaves the old one in force.
func TestRulesReloadOnChange(t *testing.T) {
	d, file := startRules(t, rulesFile)
	c := d.from("127.0.1.50")
	for range 9 {
		c.do("POST", "/login?password=guess", nil)
	}
	d.from("127.0.1.51").want(403, "/old-admin")

	more := rulesFile + "  - name: fresh\n    action: block\n    match: {routes: /search}\n"
	next := file + "~"
	writeFile(t, next, more)
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	d.await("the renamed file is in force", func() bool { _, ok := d.rules()["fresh"]; return ok })
	d.from("127.0.1.52").want(403, "/search")
	d.from("127.0.1.51").want(403, "/") // the ban stays
	c.do("POST", "/login?password=guess", nil)
	c.want(403, "/") // and the counter of an unchanged rule

	writeFile(t, file, strings.Replace(more, "maxretry", "max_retry", 1))
	d.await("the bad file is told of", func() bool {
		return strings.Contains(d.out.String(), "old configuration stays in force") && strings.Contains(d.out.String(), `did you mean`)
	})
	d.says(file + ":12:5: rules[2].max_retry: unknown key")
	d.from("127.0.1.53").want(403, "/search")

	writeFile(t, file, rulesFile)
	d.await("the old rules are back", func() bool { _, ok := d.rules()["fresh"]; return !ok })
	d.from("127.0.1.54").want(200, "/search")
	if bans := d.bans(); !slices.Contains(bans, "127.0.1.50") || !slices.Contains(bans, "127.0.1.51") {
		t.Errorf("bans: %v", bans)
	}
	reloads := func() int { return strings.Count(d.out.String(), "configuration reloaded") }
	d.await("both reloads are told of", func() bool { return reloads() >= 2 })
	if n := reloads(); n != 2 {
		t.Errorf("reloaded %d times, want 2", n)
	}
}

// TestRulesOfRoutesThatAreNotThere: a slip in a route is told of.
func TestRulesOfRoutesThatAreNotThere(t *testing.T) {
	d, _ := startRules(t, "rules: [{name: typo, action: throttle, rate: 1, match: {routes: /logn}}]\n")
	d.await("the slip is told of", func() bool {
		return strings.Contains(d.out.String(), "a rule names a route that the app does not have") && strings.Contains(d.out.String(), "route=/logn")
	})
	d.from("127.0.1.1").want(200, "/")
}

// TestRulesInTheAPI has the same words as the command.
func TestRulesInTheAPI(t *testing.T) {
	d, _ := startRules(t, rulesFile)
	res, err := http.Get("http://" + d.admin + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	var api, cli any
	out, err := d.cli("rules", "--json")
	if err != nil {
		t.Fatal(err)
	}
	if json.Unmarshal(body, &api) != nil || json.Unmarshal([]byte(out), &cli) != nil || fmt.Sprint(api) != fmt.Sprint(cli) {
		t.Errorf("API: %s\ncommand: %s", body, out)
	}
	if want := `{"name":"friends","action":"ignore","mode":"enforce","hits":0,"would_have_hits":0,"bans":0,"clients":0}`; !strings.Contains(string(body), want) {
		t.Errorf("no %s in %s", want, body)
	}
}
