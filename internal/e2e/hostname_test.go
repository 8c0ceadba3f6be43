package e2e

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/flask2ban/flask2ban/internal/hostname"
)

// zone answers for the names of some clients, by question.
type zone map[string]reply

// reply is the records of an answer, and how long it takes.
type reply struct {
	records []string
	delay   time.Duration
	held    <-chan struct{} // until it is closed there is no answer; nil holds none
}

// ServeDNS implements dns.Handler.
func (z zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	answer, ok := z[q.Question[0].Name+" "+dns.TypeToString[q.Question[0].Qtype]]
	if !ok {
		m.Rcode = dns.RcodeNameError
		w.WriteMsg(m)
		return
	}
	for _, record := range answer.records {
		rr, err := dns.NewRR(record)
		if err != nil {
			m.Rcode = dns.RcodeServerFailure
			break
		}
		m.Answer = append(m.Answer, rr)
	}
	timer := time.NewTimer(answer.delay)
	defer timer.Stop()
	<-timer.C
	if answer.held != nil {
		<-answer.held
	}
	w.WriteMsg(m)
}

// set gives a client a PTR record, and the name an address.
func (z zone) set(client, name, address string, delay time.Duration) {
	reverse, _ := dns.ReverseAddr(client)
	z[reverse+" PTR"] = reply{records: []string{fmt.Sprintf("%s 300 PTR %s", reverse, name)}, delay: delay}
	z[name+" A"] = reply{records: []string{fmt.Sprintf("%s 300 A %s", name, address)}, delay: delay}
}

// setLate is set, with four other names before this one of which nothing is
// heard until release: each takes the two seconds that a question has, so that
// the name is known eight seconds after it was asked for, or as soon as all is
// released.
func (z zone) setLate(client, name string) (release func()) {
	z.set(client, name, client, 0)
	held := make(chan struct{})
	reverse, _ := dns.ReverseAddr(client)
	var names []string
	for n := range 4 {
		other := fmt.Sprintf("held-%d.%s", n, name)
		z[other+" A"] = reply{held: held}
		names = append(names, fmt.Sprintf("%s 300 PTR %s", reverse, other))
	}
	z[reverse+" PTR"] = reply{records: append(names, z[reverse+" PTR"].records...)}
	return sync.OnceFunc(func() { close(held) })
}

func (z zone) serve(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: z}
	ended := make(chan struct{})
	ready := make(chan struct{})
	server.NotifyStartedFunc = func() { close(ready) }
	go func() { defer close(ended); server.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { server.Shutdown(); <-ended })
	return conn.LocalAddr().String()
}

// patienceIsOver returns when a look-up that began before is no longer waited for.
func patienceIsOver(d *daemon) {
	began := time.Now()
	d.await("patience is over", func() bool { return time.Since(began) > hostname.DefaultPatience })
}

// TestIgnoredHostName: a crawler by its confirmed name is never refused, one
// that only has such a PTR record is, and a name that comes late undoes the
// block.
func TestIgnoredHostName(t *testing.T) {
	z := zone{}
	z.set("127.0.6.1", "crawl-1.googlebot.test.", "127.0.6.1", 0)
	z.set("127.0.6.2", "crawl-2.googlebot.test.", "66.249.66.1", 0)
	release := z.setLate("127.0.6.3", "crawl-3.googlebot.test.")
	resolver := z.serve(t)
	t.Cleanup(release) // before the server's end, which waits for its answers
	d := start(t, example(t, "hello"), "", "app.py", "--ignore", ".googlebot.test", "--resolver", resolver)

	crawler := d.from("127.0.6.1")
	crawler.want(404, "/.env")
	for n := range 12 {
		crawler.want(404, fmt.Sprintf("/gone/%d", n))
	}
	crawler.want(200, "/")

	impostor := d.from("127.0.6.2")
	impostor.want(404, "/.env")
	n := 0
	d.await("the impostor is refused", func() bool {
		n++
		status, _ := impostor.get(fmt.Sprintf("/backup/%d", n))
		return status == 403
	})
	if n > 10 {
		t.Errorf("the impostor was served %d probes", n)
	}

	late := d.from("127.0.6.3")
	asked := time.Now()
	late.want(404, "/.env")
	if status, _ := late.get("/"); status != 200 && time.Since(asked) < hostname.DefaultPatience {
		t.Errorf("a client whose name is looked up gets %d", status)
	}
	patienceIsOver(d)
	late.get("/wp-login.php")
	late.want(403, "/")
	release()
	d.await("the late name undoes the block", func() bool {
		status, _ := late.get("/")
		return status == 200
	})
	d.says("unbanned: the client's host name is on the ignore list")
	if bans := d.bans(); !slices.Equal(bans, []string{"127.0.6.2"}) {
		t.Errorf("banned %v, want the impostor alone", bans)
	}
}

// TestSearchEngine: with no configuration, a search engine's crawler whose name
// proves it may ask for an old site's pages for ever. Whoever only calls himself
// one is refused, and so is a crawler that a person bans.
func TestSearchEngine(t *testing.T) {
	const bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
	z := zone{}
	z.set("127.0.6.11", "crawl-11.googlebot.com.", "127.0.6.11", 300*time.Millisecond)
	z.set("127.0.6.12", "crawl-12.googlebot.com.", "66.249.66.1", 0)
	release := z.setLate("127.0.6.13", "crawl-13.googlebot.com.")
	resolver := z.serve(t)
	t.Cleanup(release)
	d := start(t, example(t, "hello"), "", "app.py", "--resolver", resolver)

	crawler := d.from("127.0.6.11")
	crawler.want(404, "/wp-content/uploads/2019/old.jpg", "User-Agent", bot)
	for n := range 4 {
		crawler.want(404, fmt.Sprintf("/gone/first/%d", n), "User-Agent", bot)
	}
	d.await("its name is known", func() bool {
		out, err := d.cli("why", "127.0.6.11")
		return err == nil && strings.Contains(out, "127.0.6.11 is normal: nothing against it")
	})
	for n := range 40 {
		crawler.want(404, fmt.Sprintf("/gone/%d", n), "User-Agent", bot)
	}
	crawler.want(404, "/wp-login.php", "User-Agent", bot)
	crawler.want(200, "/", "User-Agent", bot)

	impostor := d.from("127.0.6.12")
	n := 0
	d.await("the impostor is refused", func() bool {
		n++
		status, _ := impostor.get(fmt.Sprintf("/backup/%d", n), "User-Agent", bot)
		return status == 403
	})
	if n > 12 {
		t.Errorf("the impostor was served %d probes", n)
	}

	late := d.from("127.0.6.13")
	late.want(404, "/.env", "User-Agent", bot)
	patienceIsOver(d)
	late.want(404, "/wp-login.php", "User-Agent", bot)
	late.want(403, "/", "User-Agent", bot)
	release()
	d.await("the late name undoes the block", func() bool {
		status, _ := late.get("/", "User-Agent", bot)
		return status == 200
	})
	if bans := d.bans(); !slices.Equal(bans, []string{"127.0.6.12"}) {
		t.Errorf("banned %v, want the impostor alone", bans)
	}
	if out, err := d.cli("bans", "add", "127.0.6.11"); err != nil {
		t.Fatalf("a ban by hand: %v: %s", err, out)
	}
	crawler.want(403, "/", "User-Agent", bot)
}
