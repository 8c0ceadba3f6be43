package ban

import (
	"net/netip"
	"time"
)

// Request is what the engine needs to know of a request before it is served.
type Request struct {
	// Client is who asks, masked to the prefix that stands for one client.
	// Requests of an invalid prefix are always admitted.
	Client netip.Prefix
	// Addr is the client's own address, for rules that name peers; the zero
	// Addr means the first of Client.
	Addr netip.Addr
	// Known says that the route table has this URL, or may lack one that the app
	// has.
	Known bool
	// Route is the pattern matched, empty where there is none.
	Route string
	// Method is the request's.
	Method string
}

// Action is what to do with a request.
type Action uint8

// The actions. The zero value serves.
const (
	Allow  Action = iota // serve now
	Wait                 // serve after Decision.Wait, then call Engine.Waited
	Refuse               // answer with Decision.Penalty
)

// String returns the action's name in logs.
func (a Action) String() string {
	return [...]string{"allow", "wait", "refuse"}[min(a, Refuse)]
}

// Penalty names what a refused request gets.
type Penalty string

// The penalties.
const (
	Reject  Penalty = "reject"   // 403 with a page that says why
	TooMany Penalty = "too_many" // 429 with Retry-After
	Drop    Penalty = "drop"     // the connection is closed without an answer
	Tarpit  Penalty = "tarpit"   // an answer that takes its time
)

// Class orders requests under overload; lower values are served first.
type Class uint8

// The classes: known good clients, everyone, clients that a rule put lower,
// suspects.
const (
	High Class = iota
	Normal
	Low
	Suspect
)

// String returns the class's name in metrics.
func (c Class) String() string {
	return [...]string{"high", "normal", "low", "suspect"}[min(c, Suspect)]
}

// Classes returns all classes, those served first before others.
func Classes() []Class { return []Class{High, Normal, Low, Suspect} }

// Standing says what may be done to a client, whatever it does.
type Standing uint8

// The standings. The zero value may be banned.
const (
	// Bannable clients are people or machines that stand for themselves.
	Bannable Standing = iota
	// SuspectOnly clients most likely stand for many (a NAT, an ingress, a CDN
	// that isn't declared a trusted proxy): throttled on unknown URLs, never blocked.
	SuspectOnly
	// Never clients are neither throttled nor blocked; what they do is
	// remembered for Why only.
	Never
)

// String returns the standing's name in the API.
func (s Standing) String() string {
	return [...]string{"bannable", "suspect_only", "never"}[min(s, Never)]
}

// MarshalText makes the standing its name in JSON.
func (s Standing) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Limit describes the throttle that a decision went through, for the
// RateLimit fields of the IETF's draft-ietf-httpapi-ratelimit-headers. The
// zero value means that no throttle was asked.
type Limit struct {
	// Policy is the name of the throttle.
	Policy string
	// Quota is how many requests fit at once (the burst), Window the time in
	// which an empty quota fills again.
	Quota  int
	Window time.Duration
	// Remaining is how many more would be served without waiting now, Reset
	// the time until the next one is when there is none.
	Remaining int
	Reset     time.Duration
}

// Decision is what to do with one request.
type Decision struct {
	Action Action
	// Class is the request's place under overload.
	Class Class
	// AnswerLocally says that the score is at least maxretry/2: an unknown
	// path may be answered without asking the app, when the table is complete.
	AnswerLocally bool
	// Observed says that the request would have been refused, were it not for
	// observe mode.
	Observed bool
	// Penalty, Rule and Reason say what a refused request gets, by which rule
	// and why, in words for people. They are set as well where Observed is.
	Penalty Penalty
	Rule    string
	Reason  string
	// Until is when the ban ends; zero for throttles.
	Until time.Time
	// Wait is how long to hold the request before it is served.
	Wait time.Duration
	// RetryAfter is when asking again makes sense; whole seconds, at least one
	// for refused requests.
	RetryAfter time.Duration
	// Refusals counts the refusals of this ban, this one included.
	Refusals int
	// Limit is the state of the throttle that was the closest to refusing, zero
	// where none was asked or it only observes.
	Limit Limit
	// Banned is the ban that this very request led to, nil for none: it asked
	// for a trap. It must not be changed.
	Banned *Ban

	ticket *ticket
}

// Refused says whether the request gets a penalty instead of an answer.
func (d Decision) Refused() bool { return d.Action == Refuse }

// Observation is what the engine needs to know of a request once it was
// answered.
type Observation struct {
	Client netip.Prefix
	// Addr is the client's own address, for rules that name peers; the zero
	// Addr means the first of Client.
	Addr netip.Addr
	// Known says that the route table has the URL, Found that the app's own
	// routing found it. Only found requests make a good record.
	Known, Found bool
	// Status is the response's.
	Status int
	// Route is the pattern matched; good records need more than one.
	Route string
	// Method is the request's, for rules; empty means that of Evidence.
	Method string
	// Session identifies the session cookie that the request carried and that
	// the app had issued through us; 0 for none. Many of them behind one
	// address make it a shared one.
	Session uint64
	// Evidence is the offence seen, nil for none.
	Evidence *Evidence

	// pending says that the client may turn out to be on a rule's ignore list.
	pending bool
}

// Outcome is what an observation changed.
type Outcome struct {
	// Banned is the ban that this observation led to, nil for none. It must
	// not be changed.
	Banned *Ban
	// Noted is the ban that it would have led to by a rule that only observes.
	Noted *Ban
	// Suspect says that the client is a suspect now.
	Suspect bool
	// Counted says that the evidence added to the score: it was distinct, of
	// a kind with weight, and the client wasn't banned already.
	Counted bool
	// Spared says that the client would have been blocked had it not the
	// standing of one that must not be.
	Spared bool
	// Score is the client's after the observation.
	Score float64
}
