package admin

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/flask2ban/flask2ban/ban"
)

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // fails when the caller has left
	return nil
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			return refuse(http.StatusServiceUnavailable, "not ready: %v", err)
		}
	}
	return s.health(w, r)
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Metrics == nil {
		return refuse(http.StatusNotFound, "this daemon keeps no metrics")
	}
	s.cfg.Metrics.ServeHTTP(w, r)
	return nil
}

func (s *Server) routes(w http.ResponseWriter, _ *http.Request) error {
	if s.cfg.Project == nil {
		return refuse(http.StatusNotFound, "this daemon knows no routes")
	}
	w.Header().Set("Content-Type", "application/json")
	_ = s.cfg.Project().WriteJSON(w) // fails when the caller has left
	return nil
}

func (s *Server) rules(w http.ResponseWriter, _ *http.Request) error {
	send(w, http.StatusOK, s.cfg.Engine.Rules())
	return nil
}

func (s *Server) bans(w http.ResponseWriter, _ *http.Request) error {
	bans := s.cfg.Engine.Bans(s.cfg.Now())
	if bans == nil {
		bans = []ban.Ban{} // a list, never null
	}
	send(w, http.StatusOK, bans)
	return nil
}

func (s *Server) why(w http.ResponseWriter, r *http.Request) error {
	client, err := parseClient(r.PathValue("client"))
	if err != nil {
		return err
	}
	send(w, http.StatusOK, s.cfg.Engine.Why(s.cfg.Now(), client))
	return nil
}

// Reloaded is the answer to POST /api/v1/reload.
type Reloaded struct {
	// NeedRestart are the settings whose values in the file are not those in
	// force, as only a start applies them.
	NeedRestart []string `json:"need_restart"`
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Reload == nil {
		return refuse(http.StatusNotImplemented, "this daemon has no configuration file to read again: start it with --config FILE")
	}
	waiting, err := s.cfg.Reload(r.Context())
	s.audit(r, "reload", err)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	send(w, http.StatusOK, Reloaded{NeedRestart: append([]string{}, waiting...)})
	return nil
}

func (s *Server) restart(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Restart == nil {
		return refuse(http.StatusNotImplemented, "the app is run by someone else: restart it there")
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // as long as the app takes to start
	err := s.cfg.Restart(r.Context())
	s.audit(r, "restart", err)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "the app was not replaced: %v", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// unknown answers where no endpoint matched, and tells a wrong method from a
// wrong path.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) error {
	var all, allowed []string
	for _, e := range s.lines {
		method, _, ok := strings.Cut(e.pattern, " ")
		if !ok {
			continue
		}
		all = append(all, e.pattern)
		if s.serves(r, method) && !slices.Contains(allowed, method) {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return refuse(http.StatusNotFound, "no %s here; there is %s", r.URL.Path, strings.Join(all, ", "))
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return refuse(http.StatusMethodNotAllowed, "%s is not possible here; %s is", r.Method, strings.Join(allowed, ", "))
}

// serves says whether there is an endpoint for the request's path and another
// method. The mux would also offer to redirect to what lies below the path.
func (s *Server) serves(r *http.Request, method string) bool {
	other := r.Clone(r.Context())
	other.Method = method
	_, pattern := s.mux.Handler(other)
	fixed, _, _ := strings.Cut(pattern, "{")
	return strings.HasPrefix(method+" "+r.URL.Path, fixed) && fixed != "/"
}

// parseClient reads an address or CIDR; the engine widens it to what it
// counts as one client.
func parseClient(text string) (netip.Prefix, error) {
	p, err := ban.ParseClient(text)
	if err != nil {
		return p, refuse(http.StatusBadRequest, "client: %v", err)
	}
	return p, nil
}

// decode reads exactly one JSON object of known fields.
func decode(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the object")
		}
	}
	var large *http.MaxBytesError
	if err == nil || errors.As(err, &large) {
		return err
	}
	return refuse(http.StatusBadRequest,
		`body: %v; send {"client": "192.0.2.1", "duration": "1h", "reason": "..."}`, strings.TrimPrefix(err.Error(), "json: "))
}

// audit writes one line for an action of an operator, done or not: err says why.
func (s *Server) audit(r *http.Request, action string, err error, args ...any) {
	args = append([]any{"action", action, "who", callerOf(r).String()}, args...)
	if err != nil {
		args = append(args, "error", err)
	}
	s.cfg.Log.Info("operator action", args...)
	s.cfg.Audit.Info("operator action", args...)
}
