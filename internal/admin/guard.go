package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// access is what an endpoint asks of the caller.
type access uint8

const (
	// open endpoints are for probes and scrapers: no secret, no change.
	open access = iota
	// read endpoints tell about clients: free where only this machine can ask.
	read
	// change endpoints act: always with permission.
	change
)

// maxBody bounds a request's body; the largest sensible one is a ban.
const maxBody = 64 << 10

// apiError is an error with its HTTP status.
type apiError struct {
	code int
	text string
}

func (e *apiError) Error() string { return e.text }

func refuse(code int, format string, args ...any) error {
	return &apiError{code, fmt.Sprintf(format, args...)}
}

// guard stands before every endpoint: Host, permission, size of the body.
func (s *Server) guard(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := callerOf(r)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := s.permit(from, e.access, r)
		if err == nil {
			err = e.serve(w, r)
		}
		if err != nil {
			s.fail(w, r, from, err)
		}
	})
}

// permit decides whether this caller may have this access.
func (s *Server) permit(from caller, a access, r *http.Request) error {
	if from.unix {
		return nil
	}
	if !s.hosts.allow(r.Host) {
		return refuse(http.StatusMisdirectedRequest,
			"host %q is not one of this API's: ask by address, or start the daemon with that name in --admin", r.Host)
	}
	if a == open || a == read && from.local {
		return nil
	}
	if s.bearer(r) {
		return nil
	}
	return refuse(http.StatusUnauthorized,
		"this needs the header \"Authorization: Bearer TOKEN\" with the content of %s", s.tokenFile())
}

// bearer says whether the request carries the token.
func (s *Server) bearer(r *http.Request) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return ok && strings.EqualFold(scheme, "Bearer") && s.isToken(token)
}

func (s *Server) tokenFile() string {
	if s.cfg.Info.StateDir == "" {
		return "the token file in the state directory"
	}
	return s.cfg.Info.StateDir + "/token"
}

// fail answers with {"error": "..."}.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, from caller, err error) {
	code := http.StatusInternalServerError
	var known *apiError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &known):
		code = known.code
	case errors.As(err, &large):
		code, err = http.StatusRequestEntityTooLarge, fmt.Errorf("body is larger than %d bytes", large.Limit)
	default:
		s.cfg.Log.Error("admin request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="flask2ban"`)
		s.cfg.Log.Info("operator refused", "method", r.Method, "path", r.URL.Path, "who", from.String())
	}
	send(w, code, failure{err.Error()})
}

type failure struct {
	Error string `json:"error"`
}

// send writes v as JSON. An error here is the caller having left.
func send(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
