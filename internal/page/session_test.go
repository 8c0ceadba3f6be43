package page_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestReadingNeedsPermission(t *testing.T) {
	s := newSite(t)
	s.readers = false
	b := s.browser()
	for _, path := range paths() {
		got := b.get(path)
		if path == "/signin" {
			if got.status != 200 || strings.Contains(got.body, "v1") {
				t.Errorf("the sign-in form tells something: %+v", got)
			}
			continue
		}
		if got.status != http.StatusSeeOther || got.header.Get("Location") != "/signin" {
			t.Errorf("%s: got %d %s", path, got.status, got.header.Get("Location"))
		}
	}
	if got := b.do("GET", "/live/now", nil, "Accept", "text/event-stream"); got.status != 401 {
		t.Errorf("live: %+v", got)
	}
	b.signIn()
	for _, path := range []string{"/", "/clients", "/events"} {
		if got := b.get(path); got.status != 200 {
			t.Errorf("signed in, %s: got %d", path, got.status)
		}
	}
}

func TestSignIn(t *testing.T) {
	s := newSite(t)
	code := s.page.NewCode()
	for _, secret := range []string{"", "nonsense", code + "x"} {
		if got := s.browser().do("POST", "/signin", url.Values{"secret": {secret}}); got.status != 403 || got.header.Get("Set-Cookie") != "" || !strings.Contains(got.body, "not valid") {
			t.Errorf("secret %q: %d, %v", secret, got.status, got.header)
		}
	}
	got := s.browser().do("POST", "/signin", url.Values{"secret": {code}}, "Origin", "http://evil.example")
	if got.status != 403 {
		t.Errorf("from another site: %d", got.status)
	}
	got = s.browser().do("POST", "/signin", url.Values{"secret": {code}})
	cookie := got.header.Get("Set-Cookie")
	if got.status != 303 || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, code) {
		t.Errorf("got %d, %s", got.status, cookie)
	}
	if got := s.browser().do("POST", "/signin", url.Values{"secret": {code}}); got.status != 403 {
		t.Error("a code signed in twice")
	}
	if got := s.browser().do("POST", "/signin", url.Values{"secret": {"the-token"}}); got.status != 303 {
		t.Errorf("the token: %+v", got)
	}
	old := s.page.NewCode()
	s.later(10 * time.Minute)
	if got := s.browser().do("POST", "/signin", url.Values{"secret": {old}}); got.status != 403 {
		t.Error("a code of ten minutes ago is good")
	}
}

// TestFailedSignInsAreBounded: who tries codes is told to wait; a good code is
// taken all the same, for others may share the address.
func TestFailedSignInsAreBounded(t *testing.T) {
	s := newSite(t)
	try := func(secret string) answer { return s.browser().do("POST", "/signin", url.Values{"secret": {secret}}) }
	for range 5 {
		if got := try("guess"); got.status != 403 {
			t.Fatalf("got %d, want 403", got.status)
		}
	}
	if got := try("guess"); got.status != 429 || got.header.Get("Retry-After") != "10" {
		t.Errorf("the sixth: %d, Retry-After %q, want 429, 10", got.status, got.header.Get("Retry-After"))
	}
	if got := try(s.page.NewCode()); got.status != 303 {
		t.Errorf("a good code: %d, want 303", got.status)
	}
	s.later(10 * time.Second)
	if got := try("guess"); got.status != 403 {
		t.Errorf("later: %d, want 403", got.status)
	}
}

// TestSecretsAreBounded: of many codes and sessions the latest are kept.
func TestSecretsAreBounded(t *testing.T) {
	s := newSite(t)
	first := s.page.NewCode()
	var last string
	for range 20 {
		s.later(time.Second)
		last = s.page.NewCode()
	}
	if got := s.browser().do("POST", "/signin", url.Values{"secret": {first}}); got.status != 403 {
		t.Error("the oldest of 21 codes is kept")
	}
	if got := s.browser().do("POST", "/signin", url.Values{"secret": {last}}); got.status != 303 {
		t.Error("the latest code is not")
	}
	oldest := s.browser()
	oldest.signIn()
	for range 64 {
		s.later(time.Second)
		s.browser().signIn()
	}
	if strings.Contains(oldest.get("/").body, "sign out") {
		t.Error("the oldest of 65 sessions is kept")
	}
}

func TestSessionsEnd(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	form := b.signIn()
	for _, bad := range []string{"", "nonsense"} {
		if got := b.do("POST", "/signout", url.Values{"csrf": {bad}}); got.status != 403 {
			t.Errorf("form %q: %d", bad, got.status)
		}
	}
	if got := b.do("POST", "/signout", url.Values{"csrf": {form}}, "Sec-Fetch-Site", "cross-site"); got.status != 403 {
		t.Errorf("from another site: %d", got.status)
	}
	if got := b.do("POST", "/signout", url.Values{"csrf": {form}}); got.status != 303 {
		t.Errorf("got %+v", got)
	}
	if strings.Contains(b.get("/").body, "sign out") {
		t.Error("still signed in")
	}
	b.signIn()
	s.later(12 * time.Hour)
	if strings.Contains(b.get("/").body, "sign out") {
		t.Error("signed in for more than 12 hours")
	}
}

// TestActionsNeedASession and a form of it, from this very page.
func TestActionsNeedASession(t *testing.T) {
	s := newSite(t)
	b, other := s.browser(), s.browser()
	form, foreign := b.signIn(), other.signIn()
	for _, path := range []string{"/actions/ban", "/actions/unban", "/actions/ignore", "/actions/mode"} {
		client := url.Values{"client": {"192.0.2.1"}, "mode": {"observe"}}
		with := func(form string) url.Values {
			v := url.Values{"csrf": {form}}
			for k := range client {
				v[k] = client[k]
			}
			return v
		}
		for what, got := range map[string]answer{
			"not signed in":           s.browser().do("POST", path, with(form)),
			"without a form":          b.do("POST", path, with("")),
			"form of another session": b.do("POST", path, with(foreign)),
			"from another site":       b.do("POST", path, with(form), "Sec-Fetch-Site", "cross-site"),
			"from another port":       b.do("POST", path, with(form), "Origin", "http://127.0.0.1:1"),
			"the wrong method":        b.do("GET", path, with(form)),
		} {
			if got.status != 401 && got.status != 403 && got.status != 405 {
				t.Errorf("%s, %s: got %d", path, what, got.status)
			}
		}
	}
	if got := s.calls(); got != "" {
		t.Errorf("something was done: %s", got)
	}
}

func TestActions(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	form := b.signIn()
	for _, v := range []struct {
		path string
		form url.Values
	}{
		{"ban", url.Values{"client": {"192.0.2.1"}, "duration": {"1h"}, "reason": {"scraper"}}},
		{"unban", url.Values{"client": {"192.0.2.1"}}},
		{"ignore", url.Values{"client": {"192.0.2.1"}}},
		{"ignore", url.Values{"client": {"192.0.2.1"}, "off": {"1"}}},
		{"mode", url.Values{"rule": {"slow"}, "mode": {"enforce"}}},
	} {
		v.form.Set("csrf", form)
		got := b.do("POST", "/actions/"+v.path, v.form, "HX-Request", "true", "Sec-Fetch-Site", "same-origin")
		if got.status != 200 || !strings.Contains(got.body, `<p class="ok">`) || strings.Contains(got.body, "<html") {
			t.Errorf("%s: %+v", v.path, got)
		}
	}
	want := "ban 192.0.2.1 1h scraper, unban 192.0.2.1, ignore 192.0.2.1 false, ignore 192.0.2.1 true, mode slow enforce"
	if got := s.calls(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	got := b.do("POST", "/actions/mode", url.Values{"csrf": {form}, "rule": {"none"}}, "HX-Request", "true")
	if got.status != 422 || !strings.Contains(got.body, `<p class="bad">There is no rule none</p>`) {
		t.Errorf("a refusal: %+v", got)
	}
}

// TestActionsWithoutScript lead back to their page, which says what came of it.
func TestActionsWithoutScript(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	form := b.signIn()
	got := b.do("POST", "/actions/unban", url.Values{"csrf": {form}, "client": {"192.0.2.1"}, "back": {"/bans?rows=7"}})
	if got.status != 303 || got.header.Get("Location") != "/bans?rows=7" {
		t.Fatalf("got %+v", got)
	}
	if body := b.get("/bans").body; !strings.Contains(body, "192.0.2.1 is unbanned.") {
		t.Error("the page does not say what was done")
	}
	if body := b.get("/bans").body; strings.Contains(body, "192.0.2.1 is unbanned.") {
		t.Error("it says so twice")
	}
	for _, back := range []string{"http://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "", "x\r\ny"} {
		got := b.do("POST", "/actions/unban", url.Values{"csrf": {form}, "client": {"192.0.2.1"}, "back": {back}})
		if got.header.Get("Location") != "/" {
			t.Errorf("back to %q: %s", back, got.header.Get("Location"))
		}
	}
}

// listen opens a stream and returns its next events by name.
func (b *browser) listen(ctx context.Context, path string) (next func() (name, data string)) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b.t.Fatalf("%s: %s %v", path, resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	return func() (name, data string) {
		for lines.Scan() {
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "event: "):
				name = line[len("event: "):]
			case strings.HasPrefix(line, "data: "):
				data += line[len("data: "):] + "\n"
			case line == "" && name != "":
				return name, data
			}
		}
		return "", ""
	}
}

func TestLive(t *testing.T) {
	s := newSite(t)
	b := s.browser()
	form := b.signIn()
	next := b.listen(t.Context(), "/live/bans")
	if name, data := next(); name != "head" || !strings.Contains(data, "sign out") {
		t.Errorf("first %s: %s", name, data)
	}
	if name, data := next(); name != "main" || !strings.Contains(data, "No bans are in force") {
		t.Errorf("then %s: %s", name, data)
	}
	// An action is seen at once, by every open page; its text is data.
	b.do("POST", "/actions/ban", url.Values{"csrf": {form}, "client": {"192.0.2.1"}, "reason": {hostile + "\nevent: head\ndata: x"}}, "HX-Request", "true")
	for {
		name, data := next()
		if name == "" {
			t.Fatal("the stream ended before it told of the ban")
		}
		if name == "main" && strings.Contains(data, "192.0.2.1") {
			if strings.Contains(data, "<script>") || !strings.Contains(data, "&lt;script&gt;") {
				t.Errorf("not escaped: %s", data)
			}
			break
		}
	}
	close(s.ending)
	for name := "x"; name != ""; {
		name, _ = next()
	}
}

func TestLiveSamples(t *testing.T) {
	s := newSite(t)
	next := s.browser().listen(t.Context(), "/live/client?client=192.0.2.1")
	if name, _ := next(); name != "head" {
		t.Errorf("a client's view: %s", name)
	}
	if got := s.browser().get("/live/client?client=x"); got.status != 404 {
		t.Errorf("no client: %d", got.status)
	}
	close(s.ending)
}

func TestStreamsAreBounded(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 32 {
		s.browser().listen(ctx, "/live/rules")
	}
	if got := s.browser().get("/live/rules"); got.status != 503 {
		t.Errorf("the 33rd: %d", got.status)
	}
	cancel()
	deadline := time.Now().Add(30 * time.Second)
	for {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", s.url+"/live/rules", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.browser().client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		resp.Body.Close()
		if resp.StatusCode == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("closed pages still count: %s", resp.Status))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestStreamEndsWithItsSession: a page that stays open after the sign-out, or
// beyond the session's time, shows nothing more.
func TestStreamEndsWithItsSession(t *testing.T) {
	for name, end := range map[string]func(*site, *browser, string){
		"signed out": func(s *site, b *browser, form string) { b.do("POST", "/signout", url.Values{"csrf": {form}}) },
		"over":       func(s *site, b *browser, form string) { s.later(12 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.readers = false
			b := s.browser()
			form := b.signIn()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			next := b.listen(ctx, "/live/rules")
			next()
			end(s, b, form)
			for name, data := next(); name != ""; name, data = next() {
				if strings.Contains(data, "read only") {
					t.Fatal("it goes on for nobody")
				}
			}
			if ctx.Err() != nil {
				t.Error("it goes on")
			}
		})
	}
}
