package proxy

import (
	"net/http"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

func TestRateLimitFields(t *testing.T) {
	for _, c := range []struct {
		limit         ban.Limit
		policy, state string
	}{
		{ban.Limit{}, "", ""},
		{ban.Limit{Policy: "api", Quota: 50, Window: 5 * time.Second, Remaining: 49}, `"api";q=50;w=5`, `"api";r=49`},
		{ban.Limit{Policy: "api", Quota: 50, Window: 4500 * time.Millisecond, Reset: 20 * time.Millisecond}, `"api";q=50;w=5`, `"api";r=0;t=1`},
		{ban.Limit{Policy: "suspect", Quota: 5, Window: 5 * time.Second, Reset: 1500 * time.Millisecond}, `"suspect";q=5;w=5`, `"suspect";r=0;t=2`},
		// A window shorter than a second can't be said: one that fits it is.
		{ban.Limit{Policy: "fast", Quota: 1, Window: 10 * time.Millisecond, Remaining: 1}, `"fast";q=100;w=1`, `"fast";r=1`},
	} {
		h := http.Header{}
		x := &exchange{writer: &reusedWriter{header: h}, decision: ban.Decision{Limit: c.limit}}
		x.limited()
		if got := h.Get("RateLimit-Policy"); got != c.policy {
			t.Errorf("%+v: RateLimit-Policy %s, want %s", c.limit, got, c.policy)
		}
		if got := h.Get("RateLimit"); got != c.state {
			t.Errorf("%+v: RateLimit %s, want %s", c.limit, got, c.state)
		}
	}
}
