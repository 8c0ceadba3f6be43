package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// posts sends a form and returns the status.
func (c *client) posts(target, form string) int {
	c.t.Helper()
	status, _ := c.do("POST", target, strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
	return status
}

// TestExampleLogin: examples/login blocks who guesses passwords, by what the app
// reports and by a rule on the status, and nobody who mistypes.
func TestExampleLogin(t *testing.T) {
	d := start(t, example(t, "login"), t.TempDir(), "app.py", "--config", "flask2ban.yaml")
	person := d.from("127.0.7.1")
	for range 4 {
		if got := person.posts("/login", "name=ada&password=typo"); got != 401 {
			t.Fatalf("a mistyped password: %d", got)
		}
	}
	if got := person.posts("/login", "name=ada&password=correct+horse+battery+staple"); got != 200 {
		t.Errorf("the right password after four typos: %d", got)
	}
	for ip, target := range map[string]string{"127.0.7.2": "/login", "127.0.7.3": "/token"} {
		guesser := d.from(ip)
		for i := range 10 {
			if got := guesser.posts(target, fmt.Sprintf("name=ada&password=%d", i)); got != 401 {
				t.Fatalf("%s, guess %d: %d", target, i+1, got)
			}
		}
		if got := guesser.posts(target, "name=ada&password=x"); got != 403 {
			t.Errorf("%s, guess 11: %d, want 403", target, got)
		}
	}
	if out, err := d.cli("why", "127.0.7.2"); err != nil || !strings.Contains(out, "10 login_failed") {
		t.Errorf("why: %v\n%s", err, out)
	}
	if out, err := d.cli("why", "127.0.7.3"); err != nil || !strings.Contains(out, "rule token: 10 matching requests within 1m0s") {
		t.Errorf("why: %v\n%s", err, out)
	}
	person.want(200, "/")
}
