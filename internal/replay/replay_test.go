package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/routes"
)

// entry is one line of a test's log.
type entry struct {
	second  int // after at
	client  string
	target  string
	status  int
	referer string
}

func (e entry) String() string {
	if e.referer == "" {
		e.referer = "-"
	}
	when := at.Add(time.Duration(e.second) * time.Second).Format("02/Jan/2006:15:04:05 -0700")
	return fmt.Sprintf(`%s - - [%s] "GET %s HTTP/1.1" %d 5 "%s" "test"`+"\n", e.client, when, e.target, e.status, e.referer)
}

func logOf(entries ...entry) string {
	var b strings.Builder
	for _, e := range entries {
		b.WriteString(e.String())
	}
	return b.String()
}

// scan is a client that asks n missing pages, one a second.
func scan(client string, from, n, status int) []entry {
	var out []entry
	for i := range n {
		out = append(out, entry{second: from + i, client: client, target: fmt.Sprintf("/missing-%d", i), status: status})
	}
	return out
}

// replayed runs a replay of texts, each a log.
func replayed(t *testing.T, c Config, texts ...string) *Report {
	t.Helper()
	for i, text := range texts {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("access.log.%d", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Logs = append(c.Logs, path)
	}
	if c.Clients == nil {
		c.Clients = resolver(t, clientip.Config{})
	}
	c.Lists = routes.DefaultLists()
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func hello(t *testing.T) *routes.Table { return site(t, "/", "/about", "/user/<name>", "/<int:year>") }

func bannedClients(r *Report) []string {
	var out []string
	for _, b := range r.Banned {
		out = append(out, b.Client)
	}
	return out
}

// TestRealLog holds the promises on a real log whose clients are labelled: no
// human and no crawler is banned, and those who probe are.
func TestRealLog(t *testing.T) {
	r, err := Run(t.Context(), Config{
		Logs: []string{"testdata/access_mixed.log.gz"}, Lists: routes.DefaultLists(), Clients: resolver(t, clientip.Config{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Lines != 10_000 || r.Skipped != 0 || r.Clients != 1753 || r.Requests != 10_000 {
		t.Errorf("read %d lines, skipped %d, %d clients, %d requests", r.Lines, r.Skipped, r.Clients, r.Requests)
	}
	labels, all := classes(t), map[string]int{}
	for _, class := range labels {
		all[class]++
	}
	banned, asked, refused := map[string]int{}, map[string]int{}, map[string]int{}
	for _, b := range r.Banned {
		class := labels[b.Client]
		banned[class]++
		asked[class] += b.Requests
		refused[class] += b.Refused
	}
	for class, n := range all {
		t.Logf("%-9s %4d clients, %2d banned; these asked %3d times, %3d refused", class, n, banned[class], asked[class], refused[class])
	}
	for _, class := range []string{"human", "crawler", "other"} {
		if banned[class] != 0 {
			t.Errorf("%d of class %s were banned", banned[class], class)
		}
	}
	if banned["attacker"] < 17 || 2*refused["attacker"] < asked["attacker"] {
		t.Errorf("%d attackers banned, %d of their %d requests refused", banned["attacker"], refused["attacker"], asked["attacker"])
	}
}

func classes(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("testdata/access_mixed.labels.tsv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		out[fields[0]] = fields[1]
	}
	return out
}

func TestBan(t *testing.T) {
	entries := scan("192.0.2.1", 0, 40, 404)
	entries = append(entries, entry{second: 3, client: "198.51.100.1", target: "/", status: 200}, entry{second: 41, client: "198.51.100.1", target: "/user/a", status: 404})
	r := replayed(t, Config{Table: hello(t)}, logOf(entries...))
	var got bytes.Buffer
	if err := r.WriteJSON(&got); err != nil {
		t.Fatal(err)
	}
	want := `{"lines":42,"skipped":0,"clients":2,"banned":[{"client":"192.0.2.1","first_ban":"2015-05-17T10:05:07Z","bans":1,` +
		`"requests":40,"refused":35,"score":5,"rule":"unexpected","known_share":0}]}` + "\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	if b := r.Banned[0]; b.After != 35 || b.Wrong || len(b.Evidence) != 5 || b.Evidence[4].Path != "/missing-4" || b.Agent != "test" {
		t.Errorf("got %+v", b)
	}
}

// TestBansGrow: a scanner that comes back after its ban is banned for longer.
func TestBansGrow(t *testing.T) {
	var entries []entry
	for visit := range 4 {
		entries = append(entries, scan("192.0.2.1", visit*700, 6, 404)...) // 11:40 minutes apart
	}
	r := replayed(t, Config{Table: hello(t)}, logOf(entries...))
	// Banned for 10 minutes by the first visit and for 20 by the second, so
	// that the third is refused whole; the fourth bans again.
	if b := r.Banned[0]; b.Bans != 3 || b.Refused != 1+1+6+1 {
		t.Errorf("got %d bans and %d refused", b.Bans, b.Refused)
	}
}

// TestNoBan lists what must ban nobody.
func TestNoBan(t *testing.T) {
	many := func(n int, target func(i int) string, status int, referer string) []entry {
		var out []entry
		for i := range n {
			out = append(out, entry{i, "192.0.2.1", target(i), status, referer})
		}
		return out
	}
	numbered := func(format string) func(int) string { return func(i int) string { return fmt.Sprintf(format, i) } }
	always := func(s string) func(int) string { return func(int) string { return s } }
	for name, entries := range map[string][]entry{
		"missing records":            many(50, numbered("/user/%d"), 404, ""),
		"the app has what we lack":   many(50, numbered("/ext/%d"), 200, ""),
		"a login wall":               many(50, numbered("/x%d"), 302, ""),
		"one broken bookmark":        many(50, always("/gone"), 404, ""),
		"broken links of our own":    many(29, numbered("/img/%d.png"), 404, "http://app/"),
		"an embedded honeypath":      many(3, always("/.env"), 404, "http://forum/"),
		"touch icons and well-knows": many(20, numbered("/apple-touch-icon-%dx120.png"), 404, ""),
		"errors of the app":          many(50, numbered("/user/%d"), 500, ""),
		"time-outs":                  many(50, numbered("/x%d"), 499, ""),
		"other servers' refusals":    many(50, numbered("/x%d"), 403, ""),
		"slow":                       {{0, "192.0.2.1", "/a", 404, ""}, {300, "192.0.2.1", "/b", 404, ""}, {700, "192.0.2.1", "/c", 404, ""}, {1100, "192.0.2.1", "/d", 404, ""}, {1500, "192.0.2.1", "/e", 404, ""}, {1900, "192.0.2.1", "/f", 404, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if r := replayed(t, Config{Table: hello(t)}, logOf(entries...)); len(r.Banned) > 0 {
				t.Errorf("banned: %+v", r.Banned)
			}
		})
	}
}

func TestHoneypathBansAtOnce(t *testing.T) {
	r := replayed(t, Config{Table: hello(t)}, logOf(entry{0, "192.0.2.1", "/.env", 404, ""}, entry{1, "192.0.2.1", "/", 200, ""}))
	if len(r.Banned) != 1 || r.Banned[0].Refused != 1 || r.Banned[0].KnownShare != 0.5 {
		t.Errorf("got %+v", r.Banned)
	}
}

// TestSoft404: an app that answers everything with its front page says nothing
// by it; scanners show that, and are banned by the honeypaths that follow.
func TestSoft404(t *testing.T) {
	var entries []entry
	for i, path := range []string{"/.env", "/wp-login.php", "/.git/config", "/phpinfo.php", "/.aws/credentials", "/.git/HEAD", "/.svn/entries"} {
		entries = append(entries, entry{i, fmt.Sprintf("192.0.2.%d", i), path, 200, ""})
	}
	r := replayed(t, Config{Table: hello(t)}, logOf(entries...))
	if diff := cmp.Diff([]string{"192.0.2.4", "192.0.2.5", "192.0.2.6"}, bannedClients(r)); diff != "" {
		t.Error(diff)
	}
	if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], "Unknown paths get 200 here") {
		t.Errorf("got notes %q", r.Notes)
	}
}

func TestLearn(t *testing.T) {
	entries := append(scan("192.0.2.9", 0, 6, 404),
		entry{10, "192.0.2.1", "/shop", 200, ""}, entry{11, "192.0.2.1", "/old", 301, ""}, entry{12, "192.0.2.1", "/wp-login.php", 200, ""},
		entry{13, "192.0.2.2", "/shop?x=1", 404, ""}, entry{14, "192.0.2.2", "/%73hop", 404, ""})
	r := replayed(t, Config{}, logOf(entries...))
	if r.Learned != 2 {
		t.Errorf("learned %d paths; want /shop and /old, and no honeypath", r.Learned)
	}
	if diff := cmp.Diff([]string{"192.0.2.9"}, bannedClients(r)); diff != "" {
		t.Error(diff)
	}
	if n := r.Evidence[0].N; n != 5 {
		t.Errorf("%d pieces of evidence, want the scanner's 5: what was once answered is none", n)
	}
}

func TestLearnedTable(t *testing.T) {
	l, err := newLearned(routes.DefaultLists())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []record{
		{method: "GET", target: "/a?q=1", status: 200}, {method: "POST", target: "/form", status: 303},
		{method: "GET", target: "/caf%C3%A9", status: 200}, {method: "OPTIONS", target: "/cors", status: 204},
		{method: "GET", target: "/lost", status: 404}, {method: "GET", target: "/.env", status: 200},
	} {
		r.verdict = l.Match("localhost", r.method, r.target)
		l.learn(&r)
	}
	for _, tt := range []struct {
		method, target string
		want           routes.Kind
	}{
		{"GET", "/a", routes.Found}, {"HEAD", "/a", routes.Found}, {"OPTIONS", "/a", routes.Found}, {"GET", "/%61", routes.Found},
		{"POST", "/a", routes.UnexpectedMethod}, {"GET", "/a/", routes.UnexpectedPath}, {"GET", "/A", routes.UnexpectedPath},
		{"POST", "/form", routes.Found}, {"GET", "/form", routes.UnexpectedMethod}, {"GET", "/caf%c3%a9", routes.Found},
		{"GET", "/cors", routes.UnexpectedPath}, {"GET", "/lost", routes.UnexpectedPath},
		{"GET", "/.env", routes.Honeypath}, {"GET", "/favicon.ico", routes.Benign},
	} {
		if got := l.Match("localhost", tt.method, tt.target).Kind; got != tt.want {
			t.Errorf("%s %s: got %v, want %v", tt.method, tt.target, got, tt.want)
		}
	}
}

// TestLiterals: what three clients got though the table lacks it is the app's.
func TestLiterals(t *testing.T) {
	var entries []entry
	for i := range 3 {
		entries = append(entries, entry{i, fmt.Sprintf("192.0.2.%d", i), "/plugin", 200, ""})
	}
	r := replayed(t, Config{Table: hello(t)}, logOf(append(entries, entry{5, "192.0.2.9", "/plugin", 404, ""})...))
	if len(r.Evidence) != 0 || len(r.Notes) != 2 || !strings.HasPrefix(r.Notes[1], "1 paths were answered that the table lacks") {
		t.Errorf("evidence %v, notes %q", r.Evidence, r.Notes)
	}
}

// TestOrder: rotated logs in any order, logs of two servers, packed logs and
// the standard input all give what one log in order gives.
func TestOrder(t *testing.T) {
	var entries []entry
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 6000 {
		client := fmt.Sprintf("192.0.2.%d", rng.IntN(200))
		entries = append(entries, entry{i * 3, client, fmt.Sprintf("/x%d", rng.IntN(4000)), 404, ""})
		entries = append(entries, entry{i*3 + 1, client, "/about", 200, ""})
	}
	want := summary(replayed(t, Config{Table: hello(t)}, logOf(entries...)))
	if len(want.Banned) < 10 {
		t.Fatalf("only %d banned", len(want.Banned))
	}
	rotated := []string{logOf(entries[8000:]...), logOf(entries[:3000]...), logOf(entries[3000:8000]...)}
	var servers [2]strings.Builder
	for _, e := range entries {
		servers[rng.IntN(2)].WriteString(e.String())
	}
	for name, c := range map[string]struct {
		config Config
		texts  []string
	}{
		"rotated":     {Config{}, rotated},
		"two servers": {Config{}, []string{servers[0].String(), servers[1].String()}},
		"gzip, zstd":  {Config{}, []string{packGzip(t, rotated[0]), packZstd(t, rotated[1]), rotated[2]}},
		"stdin":       {Config{Logs: []string{"-"}, Stdin: strings.NewReader(logOf(entries...))}, nil},
		"stdin, gzip": {Config{Logs: []string{"-"}, Stdin: strings.NewReader(packGzip(t, logOf(entries...)))}, nil},
		"CRLF":        {Config{}, []string{strings.ReplaceAll(logOf(entries...), "\n", "\r\n")}},
		"no last end": {Config{}, []string{strings.TrimSuffix(logOf(entries...), "\n")}},
		"a sweep":     {Config{Sweep: []Setting{{"maxretry=3", ban.Config{MaxRetry: 3}}, {"maxretry=50", ban.Config{MaxRetry: 50}}}}, rotated},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Table = hello(t)
			got := replayed(t, c.config, c.texts...)
			if diff := cmp.Diff(want, summary(got)); diff != "" {
				t.Error(diff)
			}
			if name == "a sweep" {
				checkSweep(t, got)
			}
		})
	}
}

func checkSweep(t *testing.T, r *Report) {
	t.Helper()
	if len(r.Sweep) != 3 || !r.Sweep[0].Rehearsed || r.Sweep[0].Clients != len(r.Banned) ||
		r.Sweep[1].Clients <= r.Sweep[0].Clients || r.Sweep[2].Clients != 0 {
		t.Errorf("got %+v", r.Sweep)
	}
}

// summary is what must not depend on how the logs came.
func summary(r *Report) reportJSON {
	var b bytes.Buffer
	_ = r.WriteJSON(&b) // to memory
	var out reportJSON
	_ = json.Unmarshal(b.Bytes(), &out) // what was just written
	out.Sweep = nil
	return out
}

func packGzip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	// Two members, as of two rotations put together.
	for _, part := range []string{text[:len(text)/2], text[len(text)/2:]} {
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(part))
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func packZstd(t *testing.T, text string) string {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(z.EncodeAll([]byte(text), nil))
}

// TestBadLogs: nothing in a log is fatal.
func TestBadLogs(t *testing.T) {
	good := entry{0, "192.0.2.1", "/about", 200, ""}.String()
	t.Run("garbage", func(t *testing.T) {
		r := replayed(t, Config{Table: hello(t)}, "x\n"+good+"\n\n\x00\xff\n"+good+`{"a":`+"\n")
		if r.Lines != 5 || r.Skipped != 3 || r.Requests != 2 || len(r.Logs[0].Skips) != 3 {
			t.Fatalf("got %+v", r)
		}
		want := []Skip{{1, "x", errShape.Error()}, {3, "\x00\xff", errShape.Error()}, {5, `{"a":`, errJSON.Error()}}
		if diff := cmp.Diff(want, r.Logs[0].Skips); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a line without end", func(t *testing.T) {
		r := replayed(t, Config{Table: hello(t)}, good+strings.Repeat("x", 3*maxLine)+"\n"+good)
		if r.Requests != 2 || r.Skipped != 1 || r.Logs[0].Skips[0].Why != errLong.Error() {
			t.Errorf("got %d requests, %d skipped", r.Requests, r.Skipped)
		}
	})
	t.Run("only that", func(t *testing.T) {
		r := replayed(t, Config{Table: hello(t)}, strings.Repeat("x", 3*maxLine))
		if r.Requests != 0 || r.Skipped != 1 {
			t.Errorf("got %d requests, %d skipped", r.Requests, r.Skipped)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		packed := packGzip(t, strings.Repeat(good, 5000))
		r := replayed(t, Config{Table: hello(t)}, packed[:len(packed)-20])
		if r.Requests < 2500 || r.Logs[0].Err == nil {
			t.Errorf("got %d requests, error %v", r.Requests, r.Logs[0].Err)
		}
	})
	t.Run("no gzip after all", func(t *testing.T) {
		r := replayed(t, Config{Table: hello(t)}, "\x1f\x8bgarbage", good)
		if r.Requests != 1 || r.Logs[0].Err == nil {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("empty", func(t *testing.T) {
		r := replayed(t, Config{}, "", "\n\n")
		if r.Lines != 0 || r.Requests != 0 || !r.First.IsZero() {
			t.Errorf("got %+v", r)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	packed := filepath.Join(dir, "a.gz")
	if err := os.WriteFile(packed, []byte(packGzip(t, "x\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		config Config
		want   string
	}{
		{Config{Logs: []string{"no.log"}}, "stat no.log: no such file or directory"},
		{Config{Logs: []string{dir}}, dir + " is a directory; name the logs in it"},
		{Config{Logs: []string{packed}, Follow: true}, packed + " is compressed: it can't be followed; leave -f out"},
	} {
		tt.config.Clients = resolver(t, clientip.Config{})
		if _, err := Run(t.Context(), tt.config); err == nil || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// TestWhoAsked: identity is that of the proxy.
func TestWhoAsked(t *testing.T) {
	line := func(addr, forwarded string) string {
		return fmt.Sprintf(`%s - - [17/May/2015:10:05:03 +0000] "GET /.env HTTP/1.1" 404 5 "-" "-" "%s"`+"\n", addr, forwarded)
	}
	trusted := clientip.Config{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, tt := range map[string]struct {
		line   string
		client clientip.Config
		header string
		want   []string
	}{
		"behind a trusted proxy":       {line("10.0.0.1", "6.6.6.6, 192.0.2.1"), trusted, "X-Forwarded-For", []string{"192.0.2.1"}},
		"forged, no proxy between":     {line("192.0.2.2", "6.6.6.6"), trusted, "X-Forwarded-For", []string{"192.0.2.2"}},
		"nobody trusted":               {line("192.0.2.3", "6.6.6.6"), clientip.Config{}, "", []string{"192.0.2.3"}},
		"a private address":            {line("10.0.0.1", "-"), clientip.Config{}, "", nil},
		"a private address, wanted":    {line("10.0.0.1", "-"), clientip.Config{Private: true}, "", []string{"10.0.0.1"}},
		"ignored":                      {line("192.0.2.4", "-"), clientip.Config{Ignore: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, "", nil},
		"the loopback address":         {line("127.0.0.1", "-"), clientip.Config{}, "", nil},
		"a network of IPv6":            {line("2001:db8::1", "-"), clientip.Config{}, "", []string{"2001:db8::/64"}},
		"IPv4 within IPv6":             {line("::ffff:192.0.2.5", "-"), clientip.Config{}, "", []string{"192.0.2.5"}},
		"no address: on a Unix socket": {line("-", "-"), clientip.Config{}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := replayed(t, Config{Table: hello(t), Clients: resolver(t, tt.client), Header: tt.header}, tt.line)
			if r.Skipped > 0 {
				t.Errorf("skipped: %+v", r.Logs)
			}
			if diff := cmp.Diff(tt.want, bannedClients(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNotes(t *testing.T) {
	home := entry{0, "127.0.0.1", "/about", 200, ""}.String()
	private := entry{0, "10.1.1.1", "/about", 200, ""}.String()
	blind := `192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /about HTTP/1.1" 200 5` + "\n"
	back := entry{7200, "192.0.2.1", "/about", 200, ""}.String() + entry{0, "192.0.2.1", "/about", 200, ""}.String()
	for name, tt := range map[string]struct {
		text  string
		table *routes.Table
		want  string
	}{
		"own address": {home, hello(t), "1 of 1 requests came from addresses that are never banned"},
		"private":     {private, hello(t), "1 of 1 requests came from private addresses"},
		"no Referer":  {blind, hello(t), "1 lines show no Referer"},
		"backwards":   {back, hello(t), "The log's time went back 1 times"},
		"another app": {strings.Repeat(entry{0, "192.0.2.1", "/blog", 200, ""}.String(), 3), hello(t), "3 of 3 requests were answered though the table lacks them"},
		"a crawler": {strings.ReplaceAll(logOf(scan("66.249.73.135", 0, 5, 404)...), "\"test\"", "\"Mozilla/5.0 (compatible; Googlebot/2.1)\""), hello(t),
			"1 of the banned call themselves search engines' crawlers (66.249.73.135)"},
		"catch-all": {back[:len(back)/2], site(t, "/<path:p>"), "The app has a route for every path, /<path:p>"},
	} {
		t.Run(name, func(t *testing.T) {
			r := replayed(t, Config{Table: tt.table}, tt.text)
			if len(r.Notes) != 1 || !strings.HasPrefix(r.Notes[0], tt.want) {
				t.Errorf("got %q", r.Notes)
			}
		})
	}
}

func TestUnused(t *testing.T) {
	r := replayed(t, Config{Table: hello(t)}, logOf(
		entry{0, "192.0.2.1", "/user/alice", 200, ""}, entry{1, "192.0.2.1", "/2020", 404, ""}, entry{2, "192.0.2.1", "/", 200, ""}))
	var got []string
	for _, u := range r.Unused {
		got = append(got, u.Rule)
	}
	if diff := cmp.Diff([]string{"/about", "/<int:year>"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestCrawler: one that mostly finds its pages is not banned for the links that
// have died, though no Referer excuses them; one that finds nothing is.
func TestCrawler(t *testing.T) {
	// The engine's record of good conduct tells routes apart by a sketch of 16
	// bits, so there are enough of them here.
	table := site(t, "/a/<x>", "/b/<x>", "/c/<x>", "/d/<x>", "/e/<x>", "/f/<x>", "/g/<x>", "/h/<x>")
	var entries []entry
	for i := range 200 { // a page a second, each 20th gone
		e := entry{i, "66.249.73.135", fmt.Sprintf("/%c/%d", 'a'+i%8, i), 200, ""}
		if i%20 == 19 {
			e.target, e.status = fmt.Sprintf("/old/%d", i), 404
		}
		entries = append(entries, e)
	}
	if r := replayed(t, Config{Table: table}, logOf(entries[:150]...)); len(r.Banned) > 0 {
		t.Errorf("after 7 dead links in 150: %+v", r.Banned)
	}
	r := replayed(t, Config{Table: table}, logOf(entries...))
	if len(r.Banned) != 1 || !r.Banned[0].Wrong || !r.Banned[0].FirstBan.Equal(at.Add(159*time.Second)) {
		t.Errorf("the eighth within findtime is past 1.5 × maxretry, and the report calls that likely wrong; got %+v", r.Banned)
	}
}

// TestFollow: bans are told of as the log grows, over its rotation and when it
// is cut off.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	write := func(flag int, entries []entry) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flag, 0o600)
		if err == nil {
			_, err = f.WriteString(logOf(entries...))
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
	}
	write(os.O_APPEND, scan("192.0.2.1", 0, 5, 404))
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	steps := []func(){
		func() { write(os.O_APPEND, scan("192.0.2.2", 10, 5, 404)) },
		func() {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Error(err)
			}
			write(os.O_EXCL, scan("192.0.2.3", 20, 9, 404))
		},
		func() {
			write(os.O_TRUNC, scan("192.0.2.4", 30, 5, 404)[:4])
			write(os.O_APPEND, scan("192.0.2.4", 30, 6, 404)[4:])
		},
		stop,
	}
	var n atomic.Int32
	r, err := Run(ctx, Config{
		Logs: []string{path}, Follow: true, Table: hello(t), Clients: resolver(t, clientip.Config{}),
		Banned: func(e Event) {
			if want := fmt.Sprintf("192.0.2.%d", n.Load()+1); e.Ban.Client.Addr().String() != want || e.Again || e.Path != "/missing-4" {
				t.Errorf("got %+v, want a ban of %s", e, want)
			}
			steps[n.Add(1)-1]()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Banned) != 4 {
		t.Errorf("got %v", bannedClients(r))
	}
}

// TestFollowLearns: with --learn, what is answered from now on is learned too.
func TestFollowLearns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	first := logOf(append([]entry{{0, "192.0.2.8", "/new", 200, ""}}, scan("192.0.2.1", 1, 5, 404)...)...)
	if err := os.WriteFile(path, []byte(first), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	r, err := Run(ctx, Config{
		Logs: []string{path}, Follow: true, Lists: routes.DefaultLists(), Clients: resolver(t, clientip.Config{}),
		Banned: func(Event) { stop() },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Banned) != 1 || r.Learned != 1 {
		t.Errorf("banned %v, learned %d", bannedClients(r), r.Learned)
	}
}

func TestProgress(t *testing.T) {
	var last Progress
	r := replayed(t, Config{Progress: func(p Progress) { last = p }}, logOf(scan("192.0.2.1", 0, 100, 404)...))
	if last.Pass != 2 || last.Passes != 2 || last.Lines != 100 || last.Read != last.Size || last.Size == 0 || r.Lines != 100 {
		t.Errorf("got %+v", last)
	}
}

// TestMemory: what a scanner invents is bounded.
func TestMemory(t *testing.T) {
	var p paths
	for i := range 3 * mostPaths {
		p.add(&ban.Evidence{Kind: ban.UnexpectedPath, Path: fmt.Sprintf("/%d", i)}, 1, uint32(i))
		p.add(&ban.Evidence{Kind: ban.UnexpectedPath, Path: "/often"}, 1, uint32(i))
	}
	if len(p.seen) > mostPaths || p.forgotten == 0 || p.costliest()[0].path != "/often" || p.costliest()[0].times != 3*mostPaths {
		t.Errorf("%d paths, %d forgotten, first %+v", len(p.seen), p.forgotten, p.costliest()[0])
	}
	var l timeline
	for i := range 10_000 {
		l.at(at.Add(time.Duration(i)*time.Hour)).known++
	}
	l.at(at.Add(150*365*24*time.Hour)).known++
	l.at(at.Add(-time.Hour)).known++
	n := 0
	for _, p := range l.parts {
		n += p.known
	}
	if n != 10_002 || len(l.parts) > timelineParts {
		t.Errorf("%d counted in %d parts", n, len(l.parts))
	}
}

func TestClock(t *testing.T) {
	var c clock
	for _, tt := range []struct{ t, want time.Duration }{
		{time.Hour, time.Hour}, {time.Hour - slack, time.Hour}, {2 * time.Hour, 2 * time.Hour}, {time.Hour, time.Hour}, {time.Hour + 1, time.Hour + 1},
	} {
		if got := c.at(int64(tt.t)); got.UnixNano() != int64(tt.want) {
			t.Errorf("%v: got %v", tt.t, got)
		}
	}
	if c.backward != 1 {
		t.Errorf("went back %d times", c.backward)
	}
}
