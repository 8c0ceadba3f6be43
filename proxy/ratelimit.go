package proxy

import (
	"strconv"
	"time"
)

// limited tells the client of the throttle that its request went through, by
// the fields of draft-ietf-httpapi-ratelimit-headers-10 (sections 3 and 4):
// the policy with its quota q in a window of w seconds, and of that r requests
// left, the next one in t seconds where there is none.
func (x *exchange) limited() {
	l := &x.decision.Limit
	if l.Policy == "" {
		return
	}
	quota, window := l.Quota, wholeSeconds(l.Window)
	if l.Window < time.Second { // shorter than the field can say: what fits a second
		quota = int(float64(l.Quota) * float64(time.Second) / float64(max(l.Window, 1)))
	}
	b := strconv.AppendQuote(x.scratch[:0], l.Policy)
	name := len(b)
	b = strconv.AppendInt(append(b, ";q="...), int64(quota), 10)
	b = strconv.AppendInt(append(b, ";w="...), window, 10)
	end := len(b)
	b = append(b, b[:name]...)
	b = strconv.AppendInt(append(b, ";r="...), int64(l.Remaining), 10)
	if l.Remaining == 0 {
		b = strconv.AppendInt(append(b, ";t="...), wholeSeconds(l.Reset), 10)
	}
	both := string(b) // one allocation
	x.limits = [...]string{both[:end], both[end:]}
	x.Header()["Ratelimit-Policy"], x.Header()["Ratelimit"] = x.limits[0:1:1], x.limits[1:2:2]
}

// wholeSeconds rounds up, to at least 1.
func wholeSeconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }
