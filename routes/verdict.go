package routes

// Kind says what the table makes of one request. Its String is the word that
// `flask2ban explain` prints.
type Kind uint8

// The kinds of verdicts. The zero value is Found, so that a Verdict nobody
// filled in is never held against a client.
const (
	// Found: the app has a route for this path and method.
	Found Kind = iota
	// Redirect: Werkzeug itself answers with a redirect (a missing slash,
	// doubled slashes, a default value, an alias, redirect_to).
	Redirect
	// UnexpectedPath: no rule has this path.
	UnexpectedPath
	// UnexpectedMethod: a rule has this path, for other methods only.
	UnexpectedMethod
	// BadValue: the literal segments and the shape of a rule fit, and its
	// converter refuses the value.
	BadValue
	// Honeypath: no rule has this path, and only scanners ask for it.
	Honeypath
	// Benign: no rule has this path, and browsers, crawlers or operating
	// systems ask for it unbidden.
	Benign
	// UnresolvedPath: no rule has this path, and it lies below a prefix
	// where the source could not be read to the end, or a retired route
	// had it.
	UnresolvedPath
	// BadRequest: the app's server refuses the request line.
	BadRequest
	// BadHost: Werkzeug refuses the Host (its name is no valid IDNA).
	BadHost
	// WebSocketOnly: the only rule of this path wants a WebSocket
	// handshake, or the handshake met a plain rule.
	WebSocketOnly
	// Failed: the app answers 500 before a view runs, as for an int of more
	// than 4,300 digits.
	Failed
)

// String returns the word for the kind that `flask2ban explain` prints.
func (k Kind) String() string {
	if int(k) >= len(kindWords) {
		return "unknown"
	}
	return kindWords[k]
}

// Lacking says that the table is sure of having no such URL: a route of the app's
// can't be what is asked for.
func (k Kind) Lacking() bool {
	switch k {
	case UnexpectedPath, UnexpectedMethod, BadValue, Honeypath, BadRequest:
		return true
	}
	return false
}

var kindWords = [...]string{
	Found:            "route",
	Redirect:         "redirect",
	UnexpectedPath:   "unexpected_path",
	UnexpectedMethod: "unexpected_method",
	BadValue:         "bad_value",
	Honeypath:        "honeypath",
	Benign:           "benign",
	UnresolvedPath:   "unresolved",
	BadRequest:       "bad_request",
	BadHost:          "bad_host",
	WebSocketOnly:    "websocket",
	Failed:           "error",
}

// Verdict is what the table makes of one request.
type Verdict struct {
	Kind Kind
	// Route is the one that matched; for UnexpectedMethod, BadValue and
	// WebSocketOnly the one that came nearest; for UnresolvedPath the
	// retired one, if any. Nil otherwise. It belongs to the table and must
	// not be changed.
	Route *Route
}
