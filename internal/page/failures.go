package page

import (
	"net"
	"net/http"
	"sync"
	"time"

	limits "golang.org/x/time/rate"
)

// Bounds of failed sign-ins. A code can't be guessed; what is bounded is the work
// and the log that trying costs.
const (
	failuresBurst = 5
	failuresEvery = 10 * time.Second
	// maxFailures bounds the addresses that are remembered.
	maxFailures = 1000
)

// failures are the sign-ins that failed lately, by address. The zero value is
// ready.
type failures struct {
	mu   sync.Mutex
	from map[string]*limits.Limiter
}

// count notes one more, and says whether the address has had too many.
func (f *failures) count(now time.Time, r *http.Request) (tooMany bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	limiter := f.from[host]
	if limiter == nil {
		if f.from == nil || len(f.from) >= maxFailures {
			f.from = map[string]*limits.Limiter{}
		}
		limiter = limits.NewLimiter(limits.Every(failuresEvery), failuresBurst)
		f.from[host] = limiter
	}
	return !limiter.AllowN(now, 1)
}
