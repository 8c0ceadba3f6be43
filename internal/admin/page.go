package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/page"
	"github.com/flask2ban/flask2ban/internal/state"
)

// Tuner changes how the daemon judges while it runs. What it changes outlives a
// restart, until it is taken back.
type Tuner interface {
	// Changed is what was changed and not taken back.
	Changed() state.Overrides
	// Ignore exempts a client or network from judgement, or where off ends that.
	Ignore(client netip.Prefix, off bool) error
	// SetMode has a rule enforced or observed, all judging where rule is empty;
	// an empty mode is what the configuration says.
	SetMode(rule, mode string) error
}

// openPage makes the status page and its place among the endpoints.
func (s *Server) openPage() error {
	c := page.Config{
		Overview: s.overview, Engine: s.cfg.Engine, Operator: pageOperator{s}, Log: s.cfg.Log, Ending: ending,
		MayRead: func(r *http.Request) bool { return callerOf(r).local || s.bearer(r) },
		IsToken: s.isToken,
	}
	if s.cfg.Tuner != nil {
		c.Changed = s.cfg.Tuner.Changed
	}
	p, err := page.New(c)
	if err != nil {
		return err
	}
	s.page = p
	// The page decides itself who may do what, and who is asked to sign in.
	for _, pattern := range p.Patterns() {
		s.mux.Handle(pattern, s.guard(endpoint{pattern, open, func(w http.ResponseWriter, r *http.Request) error {
			p.ServeHTTP(w, r)
			return nil
		}}))
	}
	return nil
}

// isToken compares hashes, so that the time taken tells nothing of the token.
func (s *Server) isToken(secret string) bool {
	sum := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	return s.cfg.Token != "" && subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
}

// SignIn is the answer to POST /api/v1/signin.
type SignIn struct {
	// URL signs one browser in to the status page, once, within ten minutes.
	URL string `json:"url"`
}

// signIn makes a one-time link.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Info.Page == "" {
		return refuse(http.StatusNotFound, "this daemon has no status page: start it with --admin 127.0.0.1:9180")
	}
	s.audit(r, "make a sign-in link", nil)
	send(w, http.StatusCreated, SignIn{URL: s.cfg.Info.Page + "signin#" + s.page.NewCode()})
	return nil
}

// Setting is the body of POST /api/v1/mode and /api/v1/ignore.
type Setting struct {
	// Rule and Mode: enforce or observe a rule, all judging where Rule is empty;
	// an empty Mode is what the configuration says.
	Rule string `json:"rule,omitempty"`
	Mode string `json:"mode,omitempty"`
	// Client is an address or CIDR to exempt from judgement, or with Off no
	// longer to.
	Client string `json:"client,omitempty"`
	Off    bool   `json:"off,omitempty"`
}

func (s *Server) mode(w http.ResponseWriter, r *http.Request) error {
	var v Setting
	if err := decode(r, &v); err != nil {
		return err
	}
	if err := s.setMode(r, v.Rule, v.Mode); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) ignore(w http.ResponseWriter, r *http.Request) error {
	var v Setting
	if err := decode(r, &v); err != nil {
		return err
	}
	if _, err := s.exempt(r, v.Client, v.Off); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) setMode(r *http.Request, rule, mode string) error {
	if s.cfg.Tuner == nil {
		return refuse(http.StatusNotImplemented, "this daemon's rules can't be switched while it runs")
	}
	err := s.cfg.Tuner.SetMode(rule, mode)
	s.audit(r, "mode", err, "rule", rule, "mode", mode)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return nil
}

func (s *Server) exempt(r *http.Request, text string, off bool) (netip.Prefix, error) {
	client, err := parseClient(text)
	if err != nil {
		return client, err
	}
	if s.cfg.Tuner == nil {
		return client, refuse(http.StatusNotImplemented, "this daemon's ignore list can't be changed while it runs")
	}
	if client.Bits() < minBits(client) {
		return client, refuse(http.StatusBadRequest, "client %s is too wide a range: ignore at most an IPv4 /%d or an IPv6 /%d",
			client, minIPv4Bits, minIPv6Bits)
	}
	err = s.cfg.Tuner.Ignore(client, off)
	s.audit(r, "ignore", err, "client", client, "off", off)
	if err != nil {
		return client, refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return client, nil
}

// pageOperator does on the page's behalf what the API does, with the same
// checks and the same line in the log.
type pageOperator struct{ s *Server }

var _ page.Operator = pageOperator{}

// Ban implements page.Operator.
func (o pageOperator) Ban(r *http.Request, client, duration, reason string) (string, error) {
	b, err := o.s.order(r, Order{Client: client, Duration: duration, Reason: reason})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is banned until %s.", ban.FormatClient(b.Client), b.Until.Local().Format("2 Jan 15:04")), nil
}

// Unban implements page.Operator.
func (o pageOperator) Unban(r *http.Request, text string) (string, error) {
	client, err := parseClient(text)
	if err != nil {
		return "", err
	}
	out, err := o.s.lift(r, client, false)
	if err != nil {
		return "", err
	}
	name := ban.FormatClient(client)
	done := name + " is unbanned, and what was held against it forgotten."
	switch {
	case out.Still != nil:
		done = fmt.Sprintf("%s is unbanned, but part of %s, which is banned.", name, ban.FormatClient(out.Still.Client))
	case out.Removed == nil:
		done = "What was held against " + name + " is forgotten."
	}
	if !out.Grace.IsZero() {
		done += " Until " + out.Grace.Local().Format("15:04:05") + " it is not banned again."
	}
	return done, nil
}

// Ignore implements page.Operator.
func (o pageOperator) Ignore(r *http.Request, text string, off bool) (string, error) {
	client, err := o.s.exempt(r, text, off)
	switch {
	case err != nil:
		return "", err
	case off:
		return ban.FormatClient(client) + " is judged again.", nil
	}
	return ban.FormatClient(client) + " is ignored: whatever it asks is not held against it.", nil
}

// SetMode implements page.Operator.
func (o pageOperator) SetMode(r *http.Request, rule, mode string) (string, error) {
	if err := o.s.setMode(r, rule, mode); err != nil {
		return "", err
	}
	what, how := "All judging", map[string]string{"enforce": "is enforced.", "observe": "only observes.", "": "is as configured."}[mode]
	if rule != "" {
		what = "Rule " + rule
	}
	return what + " " + how, nil
}
