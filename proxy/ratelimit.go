package proxy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

// limited tells the client of the throttle that its request went through, by
// the fields of draft-ietf-httpapi-ratelimit-headers-10 (sections 3 and 4):
// the policy with its quota q in a window of w seconds, and of that r requests
// left, the next one in t seconds where there is none.
func limited(h http.Header, l ban.Limit) {
	if l.Policy == "" {
		return
	}
	quota, window := l.Quota, wholeSeconds(l.Window)
	if l.Window < time.Second { // shorter than the field can say: what fits a second
		quota = int(float64(l.Quota) * float64(time.Second) / float64(max(l.Window, 1)))
	}
	name := strconv.Quote(l.Policy)
	h.Set("RateLimit-Policy", name+";q="+strconv.Itoa(quota)+";w="+strconv.FormatInt(window, 10))
	state := name + ";r=" + strconv.Itoa(l.Remaining)
	if l.Remaining == 0 {
		state += ";t=" + strconv.FormatInt(wholeSeconds(l.Reset), 10)
	}
	h.Set("RateLimit", state)
}

// wholeSeconds rounds up, to at least 1.
func wholeSeconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }
