package page

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// sessionTime is how long a sign-in lasts: a working day.
	sessionTime = 12 * time.Hour
	// codeTime is how long a one-time code can be used.
	codeTime = 10 * time.Minute
	// maxSessions and maxCodes are remembered; the oldest go first.
	maxSessions = 64
	maxCodes    = 16
	secretBytes = 24
)

// session is one signed-in browser.
type session struct {
	ends time.Time
	// form is what each of its forms must carry.
	form string
	// notice is what the last action came to, for a browser without script.
	notice notice
}

// notice is the outcome of an action.
type notice struct {
	Text   string
	Failed bool
}

// digest is all that is kept of a secret.
type digest = [sha256.Size]byte

// sessions are the signed-in browsers and the codes by which to sign in. They
// are not kept over a restart of the daemon.
type sessions struct {
	now   func() time.Time
	mu    sync.Mutex
	open  map[digest]*session
	codes map[digest]time.Time // when each ends
}

// newSecret is one that nobody can guess.
func newSecret() string {
	b := make([]byte, secretBytes)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// NewCode makes a code that signs one browser in within ten minutes.
func (p *Page) NewCode() string {
	s := &p.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.codes == nil {
		s.codes = map[digest]time.Time{}
	}
	drop(s.codes, maxCodes, s.now(), func(t time.Time) time.Time { return t })
	code := newSecret()
	s.codes[sha256.Sum256([]byte(code))] = s.now().Add(codeTime)
	return code
}

// useCode says whether the code is good, and makes it worthless.
func (s *sessions) useCode(code string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(code))
	ends, ok := s.codes[key]
	delete(s.codes, key)
	return ok && s.now().Before(ends)
}

// begin signs a browser in and returns its cookie's value.
func (s *sessions) begin() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[digest]*session{}
	}
	drop(s.open, maxSessions, s.now(), func(o *session) time.Time { return o.ends })
	id := newSecret()
	s.open[sha256.Sum256([]byte(id))] = &session{ends: s.now().Add(sessionTime), form: newSecret()}
	return id
}

// drop forgets what is over, and makes room for one more.
func drop[T any](m map[digest]T, limit int, now time.Time, ends func(T) time.Time) {
	for key, v := range m {
		if !now.Before(ends(v)) {
			delete(m, key)
		}
	}
	for len(m) >= limit {
		var oldest digest
		first := true
		for key, v := range m {
			if first || ends(v).Before(ends(m[oldest])) {
				oldest, first = key, false
			}
		}
		delete(m, oldest)
	}
}

// of is the session of a request's browser; nil where it isn't signed in.
func (s *sessions) of(r *http.Request) *session {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.open[sha256.Sum256([]byte(cookie.Value))]
	if found == nil || !s.now().Before(found.ends) {
		return nil
	}
	return found
}

// end signs a request's browser out.
func (s *sessions) end(r *http.Request) {
	if cookie, err := r.Cookie(cookieName(r)); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, sha256.Sum256([]byte(cookie.Value)))
	}
}

// allows says whether a form is the session's own.
func (o *session) allows(form string) bool {
	return subtle.ConstantTimeCompare([]byte(o.form), []byte(form)) == 1
}

// leave keeps a notice for the next page, take gives it once.
func (s *sessions) leave(o *session, n notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.notice = n
}

func (s *sessions) take(o *session) notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := o.notice
	o.notice = notice{}
	return n
}

// cookieName has the port: browsers send cookies to all ports of a host, and
// several daemons may run on one.
func cookieName(r *http.Request) string {
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		return "flask2ban_" + port
	}
	return "flask2ban"
}

// setCookie gives the browser its session, or takes it where value is empty.
func setCookie(w http.ResponseWriter, r *http.Request, value string) {
	c := &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/", MaxAge: int(sessionTime.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// showSignIn is the form; a one-time link brings the code in its fragment, which
// no server, log or Referer ever sees, and the script sends it.
func (p *Page) showSignIn(w http.ResponseWriter, r *http.Request) {
	p.render(w, r, http.StatusOK, "signin", p.model(r, "signin"))
}

// signIn takes a one-time code or the token.
func (p *Page) signIn(w http.ResponseWriter, r *http.Request) {
	if err := p.origin.Check(r); err != nil {
		p.refuse(w, r, http.StatusForbidden, "This form was sent from another site.")
		return
	}
	secret := r.PostFormValue("secret")
	if !p.sessions.useCode(secret) && !p.config.IsToken(secret) {
		if p.failures.count(p.sessions.now(), r) {
			w.Header().Set("Retry-After", strconv.Itoa(int(failuresEvery/time.Second)))
			p.refuse(w, r, http.StatusTooManyRequests, "Too many codes that are not valid. Wait a little, and ask for another with flask2ban page.")
			return
		}
		p.config.Log.Info("sign-in refused", "who", r.RemoteAddr)
		m := p.model(r, "signin")
		m.Notice = notice{Text: "That code is not valid: each can be used once, within ten minutes. Ask for another with flask2ban page.", Failed: true}
		p.render(w, r, http.StatusForbidden, "signin", m)
		return
	}
	setCookie(w, r, p.sessions.begin())
	p.config.Log.Info("signed in to the status page", "who", r.RemoteAddr)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *Page) signOut(w http.ResponseWriter, r *http.Request) {
	if s := p.sessions.of(r); s == nil || p.origin.Check(r) != nil || !s.allows(r.PostFormValue("csrf")) {
		p.refuse(w, r, http.StatusForbidden, "This form is not of this session.")
		return
	}
	p.sessions.end(r)
	p.live.changed() // its open pages end
	setCookie(w, r, "")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
