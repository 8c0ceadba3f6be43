package config

import (
	"net/netip"
	"time"
)

// A Rule is one policy rule as the operator wrote it: who and what, and what is
// done about it. Zero values mean that the rule does not set them.
type Rule struct {
	// Name identifies it in logs, metrics and "flask2ban rules"; unique.
	Name string
	// Place is where it stands in the file.
	Place string
	// Match says which requests it is about.
	Match Match
	// MaxRetry matches within FindTime bring the action about; 0 means at
	// once, and the configuration's findtime.
	MaxRetry int
	FindTime time.Duration
	// Action is block, throttle, priority or ignore.
	Action string
	// BanTime is a block's length; 0 means the ladder's, or that nobody is
	// banned where the block is about requests and not about what came of them.
	BanTime time.Duration
	// Penalty is what refused requests get: reject, too_many, drop, tarpit.
	Penalty string
	// Rate is in requests a second, with at most Burst at once.
	Rate  float64
	Burst int
	// Connections and InFlight bound what is open at one time,
	// ConnectionRate the new connections a second.
	Connections, InFlight int
	ConnectionRate        float64
	// Per is what shares these limits: client (also where it is empty), rule or
	// route.
	Per string
	// Class is the queue's: high, normal or low.
	Class string
	// Observe decides, counts and logs, but does not apply (mode: observe).
	Observe bool
}

// Match says which requests a rule is about: those that every list that is not
// empty has an entry for.
type Match struct {
	Peers []Peer
	// Evidence are kinds of evidence.
	Evidence []string
	// Routes are rules of the app's URL map, as in /user/<name>.
	Routes []string
	// Methods are in upper case.
	Methods []string
	Status  []StatusRange
}

// Peer is a client by address or by name: one of the two is set.
type Peer struct {
	Prefix netip.Prefix
	// Host is a name; with a dot before it, the domain and all below.
	Host string
}

// StatusRange is one status, or all of one class: both ends are included.
type StatusRange struct{ From, To int }

// ofAnswer says that the match depends on what a request is answered.
func (m Match) ofAnswer() bool { return len(m.Evidence)+len(m.Status) > 0 }

// empty says that the match is everything.
func (m Match) empty() bool {
	return len(m.Peers)+len(m.Evidence)+len(m.Routes)+len(m.Methods)+len(m.Status) == 0
}
