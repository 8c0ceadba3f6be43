package admin

import (
	"net/http"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/routes"
)

// Status is the answer to GET /api/v1/status.
type Status struct {
	Info
	// UptimeSeconds counts from Started.
	UptimeSeconds float64 `json:"uptime_seconds"`
	// Ready says that requests are forwarded; NotReady why not.
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready,omitempty"`
	// Instance is how the app is; null in a sidecar.
	Instance *app.State  `json:"instance"`
	Routes   RouteCounts `json:"routes"`
	Judging  ban.Stats   `json:"judging"`
}

// RouteCounts sums up the table.
type RouteCounts struct {
	Static     int `json:"static"`
	Runtime    int `json:"runtime"`
	Learned    int `json:"learned"`
	Unresolved int `json:"unresolved"`
	// Complete says that a path which is not in the table is not in the app.
	Complete bool `json:"complete"`
	// CatchAll is the rule, if any, that makes every path valid, so that
	// paths are no evidence.
	CatchAll string `json:"catch_all,omitempty"`
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	now := s.cfg.Now()
	st := Status{
		Info:          s.cfg.Info,
		UptimeSeconds: now.Sub(s.cfg.Info.Started).Round(time.Millisecond).Seconds(),
		Ready:         true,
		Judging:       s.cfg.Engine.Stats(now),
	}
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			st.Ready, st.NotReady = false, err.Error()
		}
	}
	if s.cfg.AppState != nil {
		state := s.cfg.AppState()
		st.Instance = &state
	}
	if s.cfg.Table != nil {
		st.Routes = countRoutes(s.cfg.Table())
	}
	send(w, http.StatusOK, st)
	return nil
}

func countRoutes(t *routes.Table) RouteCounts {
	c := RouteCounts{Unresolved: len(t.Unresolved()), Complete: t.Complete()}
	if all := t.CatchAll(); all != nil {
		c.CatchAll = all.Rule
	}
	for _, r := range t.Routes() {
		switch r.Source {
		case routes.Static:
			c.Static++
		case routes.Runtime:
			c.Runtime++
		case routes.Learned:
			c.Learned++
		}
	}
	return c
}
