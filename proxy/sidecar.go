package proxy

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// Hooked is an app that we spawned, with our hook in its process: its
// testimony stands in a header of its answers.
type Hooked struct{ *app.App }

// Testify implements App.
func (a Hooked) Testify(_ int, h http.Header) app.Witness { return a.Witness(h) }

// Again implements App.
func (a Hooked) Again(ctx context.Context, f *app.Flight, safe bool, cause error) error {
	return a.App.Again(ctx, f, safe, isUnsent(cause))
}

// Sidecar is an app that someone else runs. There is no hook in it, so its
// routing is known by the status of its answers only, and not where it answers
// unknown paths with something else than 404 (a login wall, a page of its
// own): what it says to a few random paths says nothing about others.
type Sidecar struct {
	upstream *url.URL
	client   *http.Client
	log      *slog.Logger
	reach    *reach
	// silent holds the statuses, 404 aside, that random paths get; nil
	// until they were asked.
	silent atomic.Pointer[map[int]bool]
}

// NewSidecar returns a Sidecar for the app at upstream. Serve must run for it
// to find the app, and to learn what that says to unknown paths. changed, which may
// be nil, is told of an app that does not accept connections, and with nil that it
// does again.
func NewSidecar(upstream *url.URL, log *slog.Logger, changed func(why error)) *Sidecar {
	s := &Sidecar{
		upstream: upstream,
		log:      log,
		reach:    newReach(withPort(upstream).Host, log),
		client: &http.Client{
			Timeout: 10 * time.Second,
			// As requests are forwarded: past any proxy of the environment,
			// whatever the app's certificate.
			Transport:     &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	s.reach.changed = changed
	return s
}

// Wait implements App: until it accepts connections.
func (s *Sidecar) Wait(ctx context.Context) error { return s.reach.wait(ctx) }

// Ready says why nothing can be forwarded now; nil where it can. It connects to
// the app to know, once a second at most.
func (s *Sidecar) Ready(ctx context.Context) error { return s.reach.ready(ctx) }

// Away says why nothing can be forwarded, as far as is known without connecting.
func (s *Sidecar) Away() error { return s.reach.known() }

// TLS implements App.
func (s *Sidecar) TLS() bool { return s.upstream.Scheme == "https" }

// Prepare implements App. There is no hook to prepare for.
func (s *Sidecar) Prepare(*http.Request, []string) {}

// Enter implements App. How the app is, is its keeper's business, and what it
// has begun, nobody says.
func (s *Sidecar) Enter(f *app.Flight) { f.Begins() }

// Leave implements App.
func (s *Sidecar) Leave(*app.Flight) {}

// Again implements App. Nobody can tell what an app of others has begun, but for
// what was not sent.
func (s *Sidecar) Again(ctx context.Context, _ *app.Flight, safe bool, cause error) error {
	if absent(cause) {
		s.reach.miss(cause)
	}
	if !safe && !isUnsent(cause) {
		return errNoProof
	}
	return s.reach.wait(ctx)
}

// errNoProof is why a request is not sent again to an app of others.
var errNoProof = errors.New("it may have begun")

// Testify implements App. What the status doesn't prove is left unsaid.
func (s *Sidecar) Testify(status int, _ http.Header) app.Witness {
	silent := s.silent.Load()
	switch {
	case silent == nil || (*silent)[status]:
		return app.Witness{}
	case status == http.StatusNotFound:
		return app.Witness{Present: true, Routing: app.NotFound}
	case status == http.StatusMethodNotAllowed:
		return app.Witness{Present: true, Routing: app.MethodNotAllowed}
	case status >= 200 && status < 400:
		return app.Witness{Present: true, Routing: app.Found}
	}
	return app.Witness{}
}

// How often and how many random paths are asked.
const (
	probeEvery = time.Hour
	probeRetry = 5 * time.Second
)

// Serve waits for the app where it is away, and asks random paths at once and
// hourly, until ctx ends.
func (s *Sidecar) Serve(ctx context.Context) error {
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { s.reach.watch(ctx) })
	for {
		next := probeEvery
		if s.Wait(ctx) != nil {
			return nil
		}
		if err := s.probe(ctx); err != nil {
			next = probeRetry
			s.log.Debug("the app did not answer; asking again", "upstream", s.upstream.String(), "error", err)
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// probe notes what random paths of several shapes get.
func (s *Sidecar) probe(ctx context.Context) error {
	silent := map[int]bool{}
	for _, shape := range []string{"/%s", "/%s/%s", "/%s.html", "/api/%s"} {
		status, err := s.ask(ctx, shape)
		if err != nil {
			return err
		}
		switch status {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return fmt.Errorf("status %d, which says nothing of its paths", status) // it starts, or is away
		case http.StatusNotFound:
		default:
			silent[status] = true
		}
	}
	if old := s.silent.Swap(&silent); len(silent) > 0 && (old == nil || len(*old) == 0) {
		s.log.Warn("the app answers unknown paths with something else than 404; answers like that are evidence of nothing",
			"statuses", fmt.Sprint(sortedKeys(silent)))
	}
	return nil
}

func (s *Sidecar) ask(ctx context.Context, shape string) (int, error) {
	target := *s.upstream
	target.Path = shapeWith(shape)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "flask2ban (asks what unknown paths get)")
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	return res.StatusCode, res.Body.Close()
}

func shapeWith(shape string) string {
	n := 0
	for i := range shape {
		if shape[i] == '%' {
			n++
		}
	}
	words := make([]any, n)
	for i := range words {
		words[i] = rand.Text()[:12]
	}
	return fmt.Sprintf(shape, words...)
}

func sortedKeys(m map[int]bool) []int {
	var keys []int
	for status := range 600 {
		if m[status] {
			keys = append(keys, status)
		}
	}
	return keys
}

// literals notes which unknown paths the app of a Sidecar answers, until
// enough clients without fault have asked for one.
type literals struct {
	mu   sync.Mutex
	seen map[string]map[string]bool // method and path → clients
}

// Bounds of learning from answers alone.
const (
	learnClients = 3
	maxLiterals  = 1000
	maxLiteral   = 512 // bytes of a path
)

// note adds a client's success and reports whether the path is now learned.
func (l *literals) note(method, path, client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(path) > maxLiteral {
		return false
	}
	key := method + " " + path
	clients := l.seen[key]
	if clients == nil {
		l.makeRoom()
		if l.seen == nil {
			l.seen = map[string]map[string]bool{}
		}
		clients = map[string]bool{}
		l.seen[key] = clients
	}
	if len(clients) >= learnClients {
		return false // learned before
	}
	clients[client] = true
	return len(clients) == learnClients
}

// makeRoom forgets any one path where there are too many (a learned one stays in
// the table):
// nobody can fill the places for good.
func (l *literals) makeRoom() {
	if len(l.seen) < maxLiterals {
		return
	}
	for key := range l.seen {
		delete(l.seen, key)
		return
	}
}
