package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/flask2ban/flask2ban/internal/overview"
)

// Info identifies a daemon.
type Info = overview.Info

// Status is the answer to GET /api/v1/status.
type Status = overview.Status

// RouteCounts sums up the table.
type RouteCounts = overview.RouteCounts

func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	send(w, http.StatusOK, s.overview.Status())
	return nil
}

const (
	// defaultLimit is how many entries each list of an overview has where the
	// caller doesn't say, mostLimit the most that it may say.
	defaultLimit = 20
	mostLimit    = 1000
)

// overviewNow answers GET /api/v1/overview?limit=20.
func (s *Server) overviewNow(w http.ResponseWriter, r *http.Request) error {
	limit := defaultLimit
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > mostLimit {
			return refuse(http.StatusBadRequest, "limit %q: write a number from 0 to %d", text, mostLimit)
		}
		limit = n
	}
	send(w, http.StatusOK, s.overview.Overview(limit))
	return nil
}

// historyOf answers GET /api/v1/history?since=2026-01-02T03:04:05Z.
func (s *Server) historyOf(w http.ResponseWriter, r *http.Request) error {
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return refuse(http.StatusBadRequest, "since %q: write a time such as 2026-01-02T03:04:05Z", text)
		}
	}
	send(w, http.StatusOK, s.overview.History(since))
	return nil
}
