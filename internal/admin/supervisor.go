package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// Supervised is what a daemon that only keeps an app alive tells and does.
type Supervised struct {
	// Info is constant while the daemon runs.
	Info Info
	// State tells how the app is, Events what happened to it, oldest first.
	State  func() app.State
	Events func() []app.Event
	// Addr is where the app listens; empty before it does.
	Addr func() string
	// Logs writes the last lines of the app's output and, where follow is
	// set, what comes until ctx ends.
	Logs func(ctx context.Context, w io.Writer, lines int, follow bool) error
	// Restart replaces the app's instance, and returns when the new one
	// serves, or why it does not.
	Restart func(context.Context) error
	// Stop begins the end of the daemon.
	Stop func()
	// Log gets one line for each action of an operator; nil: slog.Default.
	Log *slog.Logger
}

// SupervisedStatus is the answer to GET /api/v1/status of such a daemon.
type SupervisedStatus struct {
	Info
	UptimeSeconds float64   `json:"uptime_seconds"`
	Ready         bool      `json:"ready"`
	Instance      app.State `json:"instance"`
	// Events is what happened to the app, the latest first, as flask2ban's
	// status has it.
	Events []app.Event `json:"events"`
}

// NewSupervised makes the API of a daemon that judges nobody, for its Unix
// socket: nobody has the token that TCP would need.
func NewSupervised(c Supervised) *Server {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Server{
		cfg: Config{Log: c.Log, Audit: slog.New(slog.DiscardHandler), Now: time.Now, Info: c.Info},
		mux: http.NewServeMux(), hosts: newHosts(nil),
	}
	s.cfg.Ready = func() error {
		if st := c.State(); st.Name != app.Ready {
			return fmt.Errorf("the app is %s", st.Name)
		}
		return nil
	}
	s.offer([]endpoint{
		{"GET /healthz", open, s.health},
		{"GET /readyz", open, s.ready},
		{"GET " + statusPath, read, c.status},
		{"GET " + logsPath, read, c.logs},
		{"POST " + restartPath, change, s.audited("restart", c.restart)},
		{"POST " + stopPath, change, s.audited("stop", c.stop)},
	})
	return s
}

func (s *Server) audited(action string, serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		s.audit(r, action, nil)
		return serve(w, r)
	}
}

func (c *Supervised) status(w http.ResponseWriter, _ *http.Request) error {
	st := SupervisedStatus{
		Info: c.Info, UptimeSeconds: time.Since(c.Info.Started).Round(time.Millisecond).Seconds(),
		Instance: c.State(), Events: slices.Clone(c.Events()),
	}
	slices.Reverse(st.Events)
	st.Ready = st.Instance.Name == app.Ready
	if addr := c.Addr(); addr != "" {
		st.Listen = []string{addr}
	}
	send(w, http.StatusOK, st)
	return nil
}

// logs sends the app's output as it is.
func (c *Supervised) logs(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	lines, err := strconv.Atoi(query.Get("lines"))
	if err != nil || lines < 0 {
		return refuse(http.StatusBadRequest, "lines %q: write a number", query.Get("lines"))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	out := http.NewResponseController(w)
	_ = out.SetWriteDeadline(time.Time{})                                       // it may take as long as the reader likes
	_ = c.Logs(r.Context(), flushing{w, out}, lines, query.Get("follow") != "") // fails when the caller has left
	return nil
}

// flushing sends each line as it comes.
type flushing struct {
	w   io.Writer
	out *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	if err == nil {
		err = f.out.Flush()
	}
	return n, err
}

func (c *Supervised) restart(w http.ResponseWriter, r *http.Request) error {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	if err := c.Restart(r.Context()); err != nil {
		return refuse(http.StatusUnprocessableEntity, "the app was not restarted: %v", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *Supervised) stop(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusNoContent)
	c.Stop()
	return nil
}

const (
	logsPath    = "/api/v1/logs"
	restartPath = "/api/v1/restart"
	stopPath    = "/api/v1/stop"
)

// Supervised tells how a daemon is that judges nobody.
func (c *Client) Supervised(ctx context.Context) (st SupervisedStatus, err error) {
	return st, c.call(ctx, http.MethodGet, statusPath, nil, &st)
}

// Logs writes the last lines of the app's output to w and, where follow is set,
// what comes, until ctx or the daemon ends.
func (c *Client) Logs(ctx context.Context, w io.Writer, lines int, follow bool) error {
	query := url.Values{"lines": {strconv.Itoa(lines)}}
	if follow {
		query.Set("follow", "1")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://flask2ban"+logsPath+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	patient := *c.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return problem(resp)
	}
	if _, err = io.Copy(w, resp.Body); err != nil && ctx.Err() == nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// Restart replaces the app's instance and returns when the new one serves.
func (c *Client) Restart(ctx context.Context) error {
	patient := Client{dir: c.dir, http: &http.Client{Transport: c.http.Transport}}
	return patient.call(ctx, http.MethodPost, restartPath, nil, nil)
}

// Stop begins the daemon's end.
func (c *Client) Stop(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, stopPath, nil, nil)
}
