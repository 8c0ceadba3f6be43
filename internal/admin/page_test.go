package admin_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/state"
)

// tuner notes what it is asked for.
type tuner struct {
	ignored []string
	mode    map[string]string
}

func (f *tuner) Changed() state.Overrides { return state.Overrides{} }

func (f *tuner) Ignore(client netip.Prefix, off bool) error {
	if off {
		return errors.New("it is not ignored")
	}
	f.ignored = append(f.ignored, client.String())
	return nil
}

func (f *tuner) SetMode(rule, mode string) error {
	if rule == "none" {
		return errors.New("there is no rule none")
	}
	f.mode[rule] = mode
	return nil
}

func withPage(c *admin.Config) { c.Info.Page = "http://127.0.0.1:9180/" }

// TestWhoMaySeeThePage: on loopback everyone on the machine, from elsewhere who
// has signed in or has the token; what answers to another name, nobody.
func TestWhoMaySeeThePage(t *testing.T) {
	d := run(t, withPage)
	if got := request(t, "GET", d.local, "/", ""); got.status != 200 || !strings.Contains(got.body, "read only") {
		t.Errorf("on loopback: %+v", got)
	}
	if got := request(t, "GET", d.public, "/", ""); got.status != 303 || got.header.Get("Location") != "/signin" {
		t.Errorf("from anywhere: %+v", got)
	}
	if got := request(t, "GET", d.public, "/signin", ""); got.status != 200 || strings.Contains(got.body, "app.py") {
		t.Errorf("the sign-in form: %+v", got)
	}
	if got := request(t, "GET", d.public, "/clients", "", bearer(d.token)); got.status != 200 {
		t.Errorf("with the token: %d", got.status)
	}
	for _, path := range []string{"/", "/signin", "/assets/page.css", "/live/now"} {
		if got := request(t, "GET", d.local, path, "", host("evil.example")); got.status != 421 {
			t.Errorf("%s by another name: %d", path, got.status)
		}
	}
}

// signedIn is a browser's request after the one-time link.
func (d *daemon) signedIn(t *testing.T) (cookie string) {
	t.Helper()
	link, err := d.client.SignIn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	code, ok := strings.CutPrefix(link.URL, "http://127.0.0.1:9180/signin#")
	if !ok {
		t.Fatalf("got %s", link.URL)
	}
	got := request(t, "POST", d.public, "/signin", "secret="+code, form)
	cookie, _, _ = strings.Cut(got.header.Get("Set-Cookie"), ";")
	if got.status != 303 || cookie == "" {
		t.Fatalf("sign-in: %+v", got)
	}
	return cookie
}

func form(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }

func with(cookie string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Cookie", cookie) }
}

// secretOf is what the forms of a page carry.
func secretOf(t *testing.T, page string) string {
	t.Helper()
	_, after, ok := strings.Cut(page, `name="csrf" value="`)
	secret, _, _ := strings.Cut(after, `"`)
	if !ok {
		t.Fatalf("no form in %s", page)
	}
	return secret
}

func TestThePageActsAsTheAPIDoes(t *testing.T) {
	f := &tuner{mode: map[string]string{}}
	d := run(t, withPage, func(c *admin.Config) { c.Tuner = f })
	cookie := d.signedIn(t)
	secret := secretOf(t, request(t, "GET", d.public, "/bans", "", with(cookie)).body)
	act := func(path, body string) answer {
		t.Helper()
		return request(t, "POST", d.public, path, "csrf="+secret+"&"+body, form, with(cookie), func(r *http.Request) { r.Header.Set("HX-Request", "true") })
	}
	for _, tt := range []struct {
		path, body, want string
		status           int
	}{
		{"/actions/ban", "client=192.0.2.1&duration=1h&reason=test", "192.0.2.1 is banned until ", 200},
		{"/actions/ban", "client=nobody", "Client: &#34;nobody&#34; is not an IP address", 422},
		{"/actions/ban", "client=0.0.0.0/0", "too wide a range", 422},
		{"/actions/ban", "client=127.0.0.1", "never banned", 422},
		{"/actions/unban", "client=192.0.2.1", "192.0.2.1 is unbanned, and what was held against it forgotten.", 200},
		{"/actions/unban", "client=192.0.2.1", "192.0.2.1 is not banned", 422},
		{"/actions/ignore", "client=192.0.2.1", "192.0.2.1 is ignored", 200},
		{"/actions/ignore", "client=192.0.2.1&off=1", "It is not ignored", 422},
		{"/actions/ignore", "client=::/0", "too wide a range", 422},
		{"/actions/mode", "rule=slow&mode=observe", "Rule slow only observes.", 200},
		{"/actions/mode", "mode=enforce", "All judging is enforced.", 200},
		{"/actions/mode", "rule=none&mode=observe", "There is no rule none", 422},
	} {
		if got := act(tt.path, tt.body); got.status != tt.status || !strings.Contains(got.body, tt.want) {
			t.Errorf("%s %s: got %d %s, want %d %s", tt.path, tt.body, got.status, got.body, tt.status, tt.want)
		}
	}
	if len(f.ignored) != 1 || f.mode["slow"] != "observe" || f.mode[""] != "enforce" {
		t.Errorf("asked for %+v", f)
	}
	for _, want := range []string{"action=ban", "action=unban", "action=ignore", "action=mode"} {
		if !strings.Contains(d.logged(), want) {
			t.Errorf("the log has no %s", want)
		}
	}
	// A cookie is for the page alone: the API's changes need the token.
	if got := request(t, "DELETE", d.public, "/api/v1/bans/192.0.2.1", "", with(cookie)); got.status != 401 {
		t.Errorf("the API took a cookie: %+v", got)
	}
}

func TestTuningOverTheAPI(t *testing.T) {
	f := &tuner{mode: map[string]string{}}
	d := run(t, func(c *admin.Config) { c.Tuner = f })
	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{"/api/v1/mode", `{"rule": "slow", "mode": "observe"}`, 204},
		{"/api/v1/mode", `{"rule": "none", "mode": "observe"}`, 422},
		{"/api/v1/mode", `{`, 400},
		{"/api/v1/ignore", `{"client": "192.0.2.1"}`, 204},
		{"/api/v1/ignore", `{"client": "nobody"}`, 400},
		{"/api/v1/ignore", `{"clients": 1}`, 400},
	} {
		if got := request(t, "POST", d.local, tt.path, tt.body, bearer(d.token)); got.status != tt.status {
			t.Errorf("%s %s: got %+v, want %d", tt.path, tt.body, got, tt.status)
		}
		if got := request(t, "POST", d.local, tt.path, tt.body); got.status != 401 {
			t.Errorf("%s without the token: %d", tt.path, got.status)
		}
	}
	d = run(t)
	for _, path := range []string{"/api/v1/mode", "/api/v1/ignore"} {
		if got := request(t, "POST", d.local, path, `{"client": "192.0.2.1"}`, bearer(d.token)); got.status != 501 {
			t.Errorf("%s of a daemon that can't: %+v", path, got)
		}
	}
	if _, err := d.client.SignIn(t.Context()); err == nil || !strings.Contains(err.Error(), "start it with --admin") {
		t.Errorf("a link to no page: %v", err)
	}
}

// TestThePageLeavesWhenTheDaemonEnds: an open page would else hold up the end
// until its limit, and then be cut off.
func TestThePageLeavesWhenTheDaemonEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stop := bare(t, l, withPage)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequest("GET", "http://"+l.Addr().String()+"/live/now", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(got), "event: head\n") {
		t.Errorf("the stream was cut off: %v after %.80q", err, got)
	}
}
