package page

import (
	"net/http"
	"strings"
)

// act does one thing and says what came of it.
type act func(*http.Request) (string, error)

// action lets those act who are signed in, with a form of their session that
// was sent from this very page.
func (p *Page) action(do act) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := p.sessions.of(r)
		switch {
		case s == nil:
			p.answer(w, r, nil, http.StatusUnauthorized, notice{"Sign in to change anything: flask2ban page prints a link.", true})
			return
		case p.origin.Check(r) != nil || !s.allows(r.PostFormValue("csrf")):
			p.answer(w, r, nil, http.StatusForbidden, notice{"This form is not of this session: load the page again.", true})
			return
		}
		done, err := do(r)
		if err != nil {
			p.answer(w, r, s, http.StatusUnprocessableEntity, notice{sentence(err.Error()), true})
			return
		}
		p.config.Overview.Forget()
		p.live.changed()
		p.answer(w, r, s, http.StatusOK, notice{done, false})
	}
}

// answer gives the script a notice; a browser without it gets the page that it
// came from, with the notice at the top.
func (p *Page) answer(w http.ResponseWriter, r *http.Request, s *session, code int, n notice) {
	switch {
	case r.Header.Get("HX-Request") != "":
		p.execute(w, code, "signin", "notice", n)
	case s == nil:
		p.refuse(w, r, code, n.Text)
	default:
		p.sessions.leave(s, n)
		http.Redirect(w, r, back(r), http.StatusSeeOther)
	}
}

// back is the page that an action was asked for on: a path of ours, and no
// other.
func back(r *http.Request) string {
	to := r.PostFormValue("back")
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\t\r\n") {
		return "/"
	}
	return to
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (p *Page) ban(r *http.Request) (string, error) {
	return p.config.Operator.Ban(r, r.PostFormValue("client"), r.PostFormValue("duration"), r.PostFormValue("reason"))
}

func (p *Page) unban(r *http.Request) (string, error) {
	return p.config.Operator.Unban(r, r.PostFormValue("client"))
}

func (p *Page) ignore(r *http.Request) (string, error) {
	return p.config.Operator.Ignore(r, r.PostFormValue("client"), r.PostFormValue("off") != "")
}

func (p *Page) mode(r *http.Request) (string, error) {
	return p.config.Operator.SetMode(r, r.PostFormValue("rule"), r.PostFormValue("mode"))
}
