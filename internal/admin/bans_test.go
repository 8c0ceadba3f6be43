package admin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
)

// TestListHasTheShapeOfTheDesign compares with DESIGN section 8, word for
// word; what a ban has beyond it may follow.
func TestListHasTheShapeOfTheDesign(t *testing.T) {
	d := run(t)
	if got := request(t, "GET", d.local, "/api/v1/bans", ""); got.body != "[]\n" {
		t.Errorf("no bans: %s", got.body)
	}
	d.add(t, "192.0.2.1", time.Hour)
	got := request(t, "GET", d.local, "/api/v1/bans", "")
	want := `[{"client":"192.0.2.1","since":"2026-01-02T03:04:05Z","until":"2026-01-02T04:04:05Z","rule":"operator","reason":"test","penalty":"reject","count":1`
	if got.status != 200 || !strings.HasPrefix(got.body, want) {
		t.Errorf("got  %s\nwant %s...", got.body, want)
	}
}

func TestBanOverTCP(t *testing.T) {
	d := run(t)
	got := request(t, "POST", d.local, "/api/v1/bans", `{"client": "192.0.2.1", "duration": "1h", "reason": "fills our forms"}`, bearer(d.token))
	want := `{"client":"192.0.2.1","since":"2026-01-02T03:04:05Z","until":"2026-01-02T04:04:05Z","rule":"operator","reason":"fills our forms"`
	if got.status != 201 || !strings.HasPrefix(got.body, want) {
		t.Errorf("got  %+v\nwant %s...", got, want)
	}
	if loc := got.header.Get("Location"); loc != "/api/v1/bans/192.0.2.1" {
		t.Errorf("Location is %s", loc)
	}
	if b, ok := d.engine.Banned(start, addr("192.0.2.1")); !ok || b.Reason != "fills our forms" {
		t.Errorf("the engine has %+v, %v", b, ok)
	}
}

func TestBanDurations(t *testing.T) {
	d := run(t)
	for text, want := range map[string]time.Duration{
		"": time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour,
	} {
		b, err := d.client.Ban(t.Context(), admin.Order{Client: "192.0.2.1", Duration: text})
		if err != nil || b.Until.Sub(start) != want {
			t.Errorf("%q: got %v, %v; want %v", text, b.Until.Sub(start), err, want)
		}
	}
	until := start.Add(17 * time.Minute)
	b, err := d.client.Ban(t.Context(), admin.Order{Client: "192.0.2.1", Duration: "1h", Until: until})
	if err != nil || !b.Until.Equal(until) {
		t.Errorf("until: got %v, %v", b.Until, err)
	}
}

func TestBanWidensToTheClient(t *testing.T) {
	d := run(t)
	for given, want := range map[string]string{
		"2001:db8::7":        "2001:db8::/64",
		"::ffff:192.0.2.9":   "192.0.2.9",
		"198.51.100.7/24":    "198.51.100.0/24",
		"2001:db8:1:2::7/48": "2001:db8:1::/48",
	} {
		b, err := d.client.Ban(t.Context(), admin.Order{Client: given})
		if err != nil || ban.FormatClient(b.Client) != want {
			t.Errorf("%s: got %v, %v; want %s", given, b.Client, err, want)
		}
	}
}

func TestBadOrders(t *testing.T) {
	d := run(t)
	const send = `; send {"client": "192.0.2.1", "duration": "1h", "reason": "..."}`
	for _, tt := range []struct {
		body   string
		status int
		want   string
	}{
		{``, 400, `body: EOF` + send},
		{`[]`, 400, `body: cannot unmarshal array into Go value of type admin.Order` + send},
		{`{"client": "192.0.2.1", "until_when": 3}`, 400, `body: unknown field "until_when"` + send},
		{`{"client": "192.0.2.1"} {}`, 400, `body: there is more after the object` + send},
		{`{}`, 400, `client: "" is not an IP address or CIDR such as 192.0.2.1 or 2001:db8::/64`},
		{`{"client": "example.org"}`, 400, `client: "example.org" is not an IP address or CIDR such as 192.0.2.1 or 2001:db8::/64`},
		{`{"client": "0.0.0.0/0"}`, 400, `client 0.0.0.0/0 is too wide a range: ban at most an IPv4 /8 or an IPv6 /16`},
		{`{"client": "::/0"}`, 400, `client ::/0 is too wide a range: ban at most an IPv4 /8 or an IPv6 /16`},
		{`{"client": "192.0.2.1", "duration": "soon"}`, 400, `duration "soon": write 90s, 30m, 12h, 7d or 2w, at most ten years`},
		{`{"client": "192.0.2.1", "duration": "-1h"}`, 400, `duration "-1h": write 90s, 30m, 12h, 7d or 2w, at most ten years`},
		{`{"client": "192.0.2.1", "duration": "9999w"}`, 400, `duration "9999w": write 90s, 30m, 12h, 7d or 2w, at most ten years`},
		{`{"client": "192.0.2.1", "until": "2025-01-01T00:00:00Z"}`, 400, `until 2025-01-01T00:00:00Z: this is not within the next ten years`},
		{`{"client": "192.0.2.1", "reason": "a\nb"}`, 400, `reason: at most 200 characters, in one line`},
		{`{"client": "192.0.2.1", "reason": "` + strings.Repeat("x", 201) + `"}`, 400, `reason: at most 200 characters, in one line`},
		{`{"client": "127.0.0.1"}`, 409, `ban of 127.0.0.1: it is this machine, a trusted proxy or on the ignore list, and never banned`},
		{`{"client": "10.0.0.1"}`, 409, `ban of 10.0.0.1: a private or CDN address stands for many people; declare it with --trusted-proxy, or give --ban-private where such addresses are people`},
		{`{"reason": "` + strings.Repeat("x", 1<<20) + `"}`, 413, `body is larger than 65536 bytes`},
	} {
		got := request(t, "POST", d.local, "/api/v1/bans", tt.body, bearer(d.token))
		var body struct{ Error string }
		if err := json.Unmarshal([]byte(got.body), &body); err != nil {
			t.Errorf("%.60s: answer is %s", tt.body, got.body)
		}
		if got.status != tt.status || body.Error != tt.want {
			t.Errorf("%.60s:\ngot  %d %s\nwant %d %s", tt.body, got.status, body.Error, tt.status, tt.want)
		}
	}
	if bans := d.engine.Bans(start); len(bans) != 0 {
		t.Errorf("bans were made: %v", bans)
	}
}

func TestUnban(t *testing.T) {
	d := run(t)
	for _, client := range []string{"192.0.2.1", "198.51.100.0/24", "2001:db8::/64", "2001:db8:1::/48"} {
		d.add(t, client, time.Hour)
		got, err := d.client.Unban(t.Context(), client, false)
		if err != nil || got.Removed == nil || ban.FormatClient(got.Removed.Client) != client || got.Still != nil {
			t.Errorf("%s: %+v, %v", client, got, err)
		}
	}
	if bans := d.engine.Bans(start); len(bans) != 0 {
		t.Errorf("left: %v", bans)
	}
}

// TestUnbanPaths takes a CIDR with its slash escaped and as it is.
func TestUnbanPaths(t *testing.T) {
	d := run(t)
	for _, path := range []string{escape("198.51.100.0/24"), "198.51.100.0/24", escape("198.51.100.77/24")} {
		d.add(t, "198.51.100.0/24", time.Hour)
		got := request(t, "DELETE", d.local, "/api/v1/bans/"+path, "", bearer(d.token))
		want := `{"removed":{"client":"198.51.100.0/24","since":"2026-01-02T03:04:05Z"`
		if got.status != 200 || !strings.HasPrefix(got.body, want) {
			t.Errorf("%s: got %+v", path, got)
		}
	}
}

func TestUnbanSaysWhatStands(t *testing.T) {
	d := run(t)
	d.add(t, "192.0.2.1", time.Hour)
	d.add(t, "192.0.2.0/24", 2*time.Hour)
	got, err := d.client.Unban(t.Context(), "192.0.2.1", false)
	if err != nil || got.Still == nil || got.Still.Client.String() != "192.0.2.0/24" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = d.client.Unban(t.Context(), "192.0.2.1", false)
	want := "192.0.2.1 has no ban of its own, but is part of 192.0.2.0/24, which is banned: remove that"
	if err == nil || err.Error() != want || !errors.Is(err, admin.ErrNotFound) {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = d.client.Unban(t.Context(), "203.0.113.1", false)
	want = "203.0.113.1 is not banned, and nothing is held against it"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = d.client.Unban(t.Context(), "nobody", false)
	want = `client: "nobody" is not an IP address or CIDR such as 192.0.2.1 or 2001:db8::/64`
	if err == nil || err.Error() != want || errors.Is(err, admin.ErrNotFound) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestUnbanTellsOfTheGrace, also where a client was only a suspect.
func TestUnbanTellsOfTheGrace(t *testing.T) {
	d := run(t)
	d.add(t, "192.0.2.1", time.Hour)
	got, err := d.client.Unban(t.Context(), "192.0.2.1", false)
	if want := start.Add(ban.DefaultFindTime); err != nil || !got.Grace.Equal(want) || got.Forgiven {
		t.Errorf("got %+v, %v; want a grace until %v", got, err, want)
	}
	client, _ := ban.ParseClient("192.0.2.9")
	d.engine.Observe(start, ban.Observation{Client: client, Evidence: &ban.Evidence{Kind: ban.UnexpectedPath, Path: "/x"}})
	got, err = d.client.Unban(t.Context(), "192.0.2.9", false)
	if err != nil || got.Removed != nil || !got.Forgiven || got.Grace.IsZero() {
		t.Errorf("a score alone: %+v, %v", got, err)
	}
}

// TestUnbanTellsWhatLiesInside: who removes a network wants to know who in it
// goes on to be banned.
func TestUnbanTellsWhatLiesInside(t *testing.T) {
	d := run(t)
	for _, client := range []string{"192.0.2.0", "192.0.2.1", "192.0.2.128/25", "198.51.100.1"} {
		d.add(t, client, time.Hour)
	}
	_, err := d.client.Unban(t.Context(), "192.0.2.0/24", false)
	want := "192.0.2.0/24 itself is not banned, but 192.0.2.0, 192.0.2.1, 192.0.2.128/25 inside it: remove it with --inside (in the API ?inside=true) to end these"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	d.add(t, "192.0.2.0/24", time.Hour)
	got, err := d.client.Unban(t.Context(), "192.0.2.0/24", false)
	if err != nil || got.InsideCount != 3 || len(got.Inside) != 3 || got.InsideEnded || got.Still != nil || len(d.engine.Bans(start)) != 4 {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = d.client.Unban(t.Context(), "192.0.2.0/24", true)
	if err != nil || got.Removed != nil || !got.InsideEnded || len(d.engine.Bans(start)) != 1 {
		t.Errorf("got %+v, %v; %v are left", got, err, d.engine.Bans(start))
	}
	if got := request(t, "DELETE", d.local, "/api/v1/bans/192.0.2.1?inside=maybe", "", bearer(d.token)); got.status != 400 {
		t.Errorf("got %+v", got)
	}
}

// TestActionsAreAudited wants one line for each action, with who did it.
func TestActionsAreAudited(t *testing.T) {
	d := run(t)
	if _, err := d.client.Ban(t.Context(), admin.Order{Client: "192.0.2.1", Reason: "say \"no\""}); err != nil {
		t.Fatal(err)
	}
	request(t, "DELETE", d.local, "/api/v1/bans/192.0.2.1", "", bearer(d.token))
	request(t, "DELETE", d.local, "/api/v1/bans/192.0.2.1", "", bearer("guess"))
	request(t, "POST", d.local, "/api/v1/bans", `{"client": "127.0.0.1"}`, bearer(d.token))
	log := d.logged()
	for _, want := range []string{
		fmt.Sprintf(`msg="operator action" action=ban who="unix uid %d pid %d`, os.Geteuid(), os.Getpid()),
		`client=192.0.2.1/32 until=2026-01-02T04:04:05.000Z reason="say \"no\""`,
		`msg="operator action" action=unban who="tcp 127.0.0.1:`,
		`client=192.0.2.1/32 was_banned=true`,
		`msg="operator refused" method=DELETE path=/api/v1/bans/192.0.2.1 who="tcp 127.0.0.1:`,
		`action=ban who="tcp 127.0.0.1:`,
		`error="ban of 127.0.0.1: it is this machine`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("no %s in\n%s", want, log)
		}
	}
	if strings.Contains(log, d.token) || strings.Contains(log, "guess") {
		t.Error("a token is in the log")
	}
}

func TestWhyOfAClient(t *testing.T) {
	d := run(t)
	for i := range 5 {
		client, _ := ban.ParseClient("192.0.2.7")
		d.engine.Observe(start, ban.Observation{Client: client, Status: 404, Evidence: &ban.Evidence{
			Kind: ban.UnexpectedPath, Path: fmt.Sprintf("/probe%d", i), Method: "GET", Verdict: "unexpected_path",
		}})
	}
	raw := request(t, "GET", d.local, "/api/v1/clients/192.0.2.7", "")
	if raw.status != 200 || !strings.Contains(raw.body, `"/probe4"`) {
		t.Errorf("got %+v", raw)
	}
	if _, err := d.client.Why(t.Context(), "192.0.2.7"); err != nil {
		t.Error(err)
	}
	if got := request(t, "GET", d.local, "/api/v1/clients/nobody", ""); got.status != 400 {
		t.Errorf("no address: %+v", got)
	}
}
