package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/store/redistest"
)

// cluster is three daemons with one Redis, as behind a balancer.
type cluster struct {
	t      *testing.T
	server *redistest.Server
	nodes  []*daemon
	states []string
	flags  []string // of each node besides
}

func startCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, server: redistest.Start(t, args...)}
	c.join()
	return c
}

func (c *cluster) join() {
	c.t.Helper()
	c.nodes = make([]*daemon, 3)
	for i := range c.nodes {
		c.states = append(c.states, c.t.TempDir())
		c.start(i)
	}
}

func (c *cluster) start(i int) {
	c.t.Helper()
	c.nodes[i] = start(c.t, example(c.t, "hello"), c.states[i], append([]string{"app.py", "--store", c.server.URL()}, c.flags...)...)
}

// status is what each node answers to a client's request for a route.
func (c *cluster) status(ip string) []int {
	var all []int
	for _, d := range c.nodes {
		status, _ := d.from(ip).get("/2020")
		all = append(all, status)
	}
	return all
}

// within polls until all nodes answer the client so. How long that takes is for
// BenchmarkRedisBanKnownToAll, of package store.
func (c *cluster) within(what, ip string, want int) {
	c.t.Helper()
	began := time.Now()
	for {
		got := c.status(ip)
		took := time.Since(began)
		// Who was told often enough is refused before HTTP: status 0.
		if !slices.ContainsFunc(got, func(s int) bool { return s != want && (want != 403 || s != 0) }) {
			c.t.Logf("%s: after %v", what, took.Round(time.Millisecond))
			return
		}
		if took > patience {
			c.t.Fatalf("%s: after %v the nodes answer %v, want %d", what, took, got, want)
		}
	}
}

func (c *cluster) cli(i int, args ...string) {
	c.t.Helper()
	if out, err := c.nodes[i].cli(args...); err != nil {
		c.t.Fatalf("node %d: %v: %v: %s", i, args, err, out)
	}
}

// probes asks that many distinct unknown paths, of one node after the other.
func (c *cluster) probes(ip string, from, to int) {
	c.t.Helper()
	for n := from; n < to; n++ {
		c.nodes[n%3].from(ip).want(404, fmt.Sprintf("/probe-%d", n))
	}
}

func TestRedisClusterBansTogether(t *testing.T) {
	c := startCluster(t)
	c.nodes[0].from("127.0.3.1").want(404, "/.env")
	c.within("one's ban is refused by all", "127.0.3.1", 403)
	c.cli(1, "bans", "add", "127.0.3.2", "--for", "1h", "--reason", "by hand")
	c.within("a ban by hand is refused by all", "127.0.3.2", 403)
	c.cli(2, "bans", "remove", "127.0.3.1")
	c.within("an unban holds for all", "127.0.3.1", 200)
	c.cli(0, "bans", "remove", "127.0.3.2")
	c.within("an unban by hand holds for all", "127.0.3.2", 200)
}

// TestRedisClusterThreshold: a scanner that spreads its probes is banned after
// as many as one that doesn't; one fewer bans nobody.
func TestRedisClusterThreshold(t *testing.T) {
	c := startCluster(t)
	c.probes("127.0.3.3", 0, 4)
	for i, d := range c.nodes {
		d.await("it knows four pieces", func() bool {
			out, err := d.cli("why", "127.0.3.3", "--json")
			return err == nil && strings.Contains(out, `"score": 4`)
		})
		if status, _ := d.from("127.0.3.3").get("/2020"); status != 200 {
			t.Errorf("node %d refuses after 4 probes in all: %d", i, status)
		}
	}
	c.probes("127.0.3.3", 4, 5)
	c.within("the fifth probe in all bans", "127.0.3.3", 403)
	for i, d := range c.nodes {
		if got := d.bans(); !slices.Equal(got, []string{"127.0.3.3"}) {
			t.Errorf("node %d has the bans %v", i, got)
		}
	}
}

// TestRedisClusterRuleThreshold: an operator's rule counts what all instances
// see, and goes on to after one of them was killed.
func TestRedisClusterRuleThreshold(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flask2ban.yaml")
	if err := os.WriteFile(file, []byte(`rules:
  - name: six-pages
    match: {status: [200], routes: ["/<int:year>"]}
    maxretry: 6
    findtime: 10m
    action: block
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, server: redistest.Start(t), flags: []string{"--config", file}}
	c.join()
	const ip = "127.0.3.60"
	for n := range 5 {
		c.nodes[n%3].from(ip).want(200, "/2020")
	}
	for _, d := range c.nodes {
		d.await("it knows five matches", func() bool {
			out, err := d.cli("why", ip, "--json")
			return err == nil && strings.Contains(out, `"matches": 5`)
		})
	}
	c.nodes[0].cmd.Process.Signal(syscall.SIGKILL)
	<-c.nodes[0].done
	c.start(0)
	c.nodes[0].from(ip).want(200, "/2020") // the sixth
	c.within("the sixth page in all bans", ip, 403)
}

// TestRedisClusterKillEach: bans outlive kill -9 of each node in turn.
func TestRedisClusterKillEach(t *testing.T) {
	c := startCluster(t)
	for i := range c.nodes {
		ip := fmt.Sprintf("127.0.3.%d", 10+i)
		c.nodes[i].from(ip).want(404, "/.env")
		// The answer has come, so the ban is known beyond this process.
		c.nodes[i].cmd.Process.Signal(syscall.SIGKILL)
		<-c.nodes[i].done
		c.start(i)
		for n := range i + 1 {
			c.within(fmt.Sprintf("ban %d after the kill of node %d", n, i), fmt.Sprintf("127.0.3.%d", 10+n), 403)
		}
	}
	c.within("others are served", "127.0.3.20", 200)
}

// TestRedisClusterServerKilled: without Redis each decides alone, and when it
// is back, empty or with what it had, all know all.
func TestRedisClusterServerKilled(t *testing.T) {
	t.Run("empty", func(t *testing.T) { serverKilled(t) })
	t.Run("not empty", func(t *testing.T) { serverKilled(t, "--appendonly", "yes", "--appendfsync", "always") })
}

func serverKilled(t *testing.T, args ...string) {
	c := startCluster(t, args...)
	c.cli(0, "bans", "add", "127.0.3.30", "--for", "1h")
	c.cli(0, "bans", "add", "127.0.3.31", "--for", "1h")
	c.within("banned before", "127.0.3.31", 403)
	c.server.Kill()
	for i, d := range c.nodes {
		d.says("redis can't be used")
		ip := fmt.Sprintf("127.0.3.%d", 32+i)
		d.from(ip).want(404, "/.env")
		d.from(ip).want(403, "/2020")
		d.from("127.0.3.40").want(200, "/2020")
	}
	c.within("old bans hold", "127.0.3.31", 403)
	c.cli(1, "bans", "remove", "127.0.3.30")
	c.server.Run()
	for i := range c.nodes {
		c.within(fmt.Sprintf("the ban of node %d, made alone", i), fmt.Sprintf("127.0.3.%d", 32+i), 403)
	}
	c.within("a ban from before", "127.0.3.31", 403)
	c.within("an unban made alone", "127.0.3.30", 200)
	for i, d := range c.nodes {
		d.says("redis is back")
		log := d.out.String()
		if lost, back := strings.Count(log, "redis can't be used"), strings.Count(log, "redis is back"); lost != 1 || back != 1 {
			t.Errorf("node %d said %d times that redis is away, %d times that it is back", i, lost, back)
		}
	}
}

// TestRedisClusterStartsWithoutServer: a node that starts while Redis is away
// serves, and joins later.
func TestRedisClusterStartsWithoutServer(t *testing.T) {
	server := redistest.Start(t)
	server.Kill()
	d := start(t, example(t, "hello"), "", "app.py", "--store", server.URL())
	d.from("127.0.3.50").want(404, "/.env")
	d.from("127.0.3.50").want(403, "/2020")
	server.Run()
	d.says("redis is back")
	other := start(t, example(t, "hello"), "", "app.py", "--store", server.URL())
	other.await("it knows the ban", func() bool { return slices.Contains(other.bans(), "127.0.3.50") })
}

// TestRedisPasswordIsNotTold: not in the log, nor where a wrong one ends us.
func TestRedisPasswordIsNotTold(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "geheim")
	d := start(t, example(t, "hello"), "", "app.py", "--store", "redis://:geheim@"+server.Addr()+"/0")
	server.Kill()
	d.says("redis can't be used")
	status, err := d.cli("status", "--json")
	if err != nil {
		t.Fatalf("status: %v: %s", err, status)
	}
	if strings.Contains(d.out.String()+status, "geheim") {
		t.Errorf("the password is told: %s", d.out.String())
	}
}
