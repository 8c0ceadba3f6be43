package e2e

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// endless reads an answer that goes on for ever.
type endless struct {
	t    *testing.T
	body *bufio.Reader
}

// openEndless begins to read an answer.
func openEndless(t *testing.T, c *http.Client, url string) *endless {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v %v", url, res, err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return &endless{t, bufio.NewReader(res.Body)}
}

// goesOn reads some more.
func (f *endless) goesOn(who string) {
	f.t.Helper()
	for range 3 {
		if _, err := f.body.ReadString('\n'); err != nil {
			f.t.Errorf("%s's stream ended: %v", who, err)
			return
		}
	}
}

// ends reads to the end, and says how long that took.
func (f *endless) ends(who string) {
	f.t.Helper()
	began := time.Now()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, f.body)
		ended <- err
	}()
	select {
	case err := <-ended:
		f.t.Logf("%s's answer ended after %s: %v", who, time.Since(began).Round(time.Millisecond), err)
	case <-time.After(time.Minute):
		f.t.Errorf("%s's answer goes on", who)
	}
}

// forever is a client without a bound on its answers.
func (d *daemon) forever(ip string) *http.Client {
	c := *d.from(ip).http
	c.Timeout = 0
	return &c
}

// TestAnswersOfBannedClientsEnd: streams and downloads of a client that is
// banned, by a person or by its own requests, end at once; nobody else's do.
func TestAnswersOfBannedClientsEnd(t *testing.T) {
	p := startPosts(t, "werkzeug", "--h2c")
	base := "http://" + p.addr
	good := openEndless(t, p.forever("127.0.25.1"), base+"/events")
	manual := openEndless(t, p.forever("127.0.25.2"), base+"/events")
	silent := openEndless(t, p.forever("127.0.25.2"), base+"/events?every=5")
	prober := openEndless(t, p.forever("127.0.25.3"), base+"/events")
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.25.4")}}
	only2 := new(http.Protocols)
	only2.SetUnencryptedHTTP2(true)
	second := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, Protocols: only2}}
	multiplexed := openEndless(t, second, base+"/events")
	good.goesOn("the good client")
	prober.goesOn("the prober before it probes")

	// One that takes nothing of its download, so that we wait for it to.
	stuck, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.25.2")}}).Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer stuck.Close()
	io.WriteString(stuck, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
	p.await("the download has begun", func() bool { return p.ran()["flood"] == 1 })

	if out, err := p.cli("bans", "add", "127.0.25.2"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	manual.ends("the client that a person has banned")
	silent.ends("its idle stream")
	(&endless{t, bufio.NewReader(stuck)}).ends("its download")
	p.from("127.0.25.3").want(404, "/.env")
	prober.ends("the prober")
	p.from("127.0.25.4").want(404, "/.env")
	multiplexed.ends("the prober over HTTP/2")
	good.goesOn("the good client")
	if n := p.metric("flask2ban_refused_total", `penalty="close"`); n != 5 {
		t.Errorf("%v answers counted as closed, want 5", n)
	}
}

// TestObservedBansEndNothing.
func TestObservedBansEndNothing(t *testing.T) {
	p := startPosts(t, "werkzeug", "--mode", "observe")
	stream := openEndless(t, p.forever("127.0.26.1"), "http://"+p.addr+"/events")
	p.from("127.0.26.1").want(404, "/.env")
	if bans := p.bans(); len(bans) != 1 || !strings.HasPrefix(bans[0], "127.0.26.1") {
		t.Fatalf("bans: %v", bans)
	}
	for range 5 { // more than two looks
		stream.goesOn("a client that is banned in observe mode")
	}
}
