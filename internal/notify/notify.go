// Package notify tells people elsewhere what happens: one HTTP POST to a
// webhook for each event, its body by a template.
//
// It is never on a request's way: telling costs a lock and some memory, and both
// are bounded. A flood becomes a summary, a receiver that is down is tried again
// for a while, and what is lost is counted and told of later.
package notify

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"text/template"
	"time"

	"golang.org/x/time/rate"
)

// Kind is a sort of event.
type Kind string

// The kinds. The words are a contract with templates and receivers.
const (
	Ban          Kind = "ban"
	Unban        Kind = "unban"
	AppDown      Kind = "app_down"
	AppUp        Kind = "app_up"
	AppRestart   Kind = "app_restart"
	CrashLoop    Kind = "crash_loop"
	ReloadFailed Kind = "reload_failed"
	StoreFailing Kind = "store_failing"
	StoreWorks   Kind = "store_works"
)

// Kinds are all kinds, as words.
func Kinds() []string {
	var words []string
	for _, k := range []Kind{Ban, Unban, AppDown, AppUp, AppRestart, CrashLoop, ReloadFailed, StoreFailing, StoreWorks} {
		words = append(words, string(k))
	}
	return words
}

// Event is one thing that happened.
type Event struct {
	Kind Kind
	At   time.Time
	// Text says it in one line, for a person.
	Text string
	// Client is whom it is about, for Ban and Unban.
	Client *Client
}

// Client is a ban, as far as it is told of.
type Client struct {
	Client netip.Prefix `json:"client"`
	Rule   string       `json:"rule"`
	// Reason can hold what the client sent.
	Reason string    `json:"reason"`
	Until  time.Time `json:"until"`
	// Observed says that it isn't enforced.
	Observed bool `json:"observed,omitempty"`
}

// Message is what a template is given, and the default body as JSON.
type Message struct {
	Event Kind      `json:"event"`
	At    time.Time `json:"at"`
	// App is the APP of the command line, Machine this host's name.
	App     string `json:"app"`
	Machine string `json:"machine"`
	// Text says it in one line, without control characters.
	Text string `json:"text"`
	// Count is how many events it sums up: 1 for most.
	Count int `json:"count"`
	// Clients are the first of those that it is about.
	Clients []Client `json:"clients,omitempty"`
	// Lost is how many messages before this one never arrived.
	Lost int `json:"lost,omitempty"`
}

// Config says whom to tell of what. URL is required.
type Config struct {
	// URL is where messages are posted to. It is taken for a secret: logs name
	// its host only.
	URL string
	// Template is the body's text/template; empty means DefaultTemplate.
	Template string
	// Kinds are those told of; empty means all.
	Kinds []string
	// App names the app in messages.
	App string
	// Log is told of receivers that don't work; nil discards it.
	Log *slog.Logger
}

// Bounds, so that neither a flood nor a dead receiver costs more than this.
const (
	// pileEvery is how often piled up events become a message, and keptEvents
	// how many of a pile are remembered one by one.
	pileEvery  = time.Second
	keptEvents = 20
	// burst messages of a kind go out at once, then one each messageEvery.
	burst        = 5
	messageEvery = 10 * time.Second
	// queued messages wait for their delivery at most.
	queued = 100
)

// Notifier tells of events. Its methods are safe for concurrent use, and those
// of a nil one do nothing.
type Notifier struct {
	config   Config
	host     string // of URL, for logs
	machine  string
	body     *template.Template
	queue    chan Message
	lost     atomic.Int64
	delivery delivery

	mu    sync.Mutex
	piles map[Kind]*pile
}

// pile is the events of one kind that nobody was told of yet.
type pile struct {
	limit *rate.Limiter
	first []Event
	count int
}

// New makes a Notifier. Its errors say what is wrong with the URL or template.
func New(c Config) (*Notifier, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil, errors.New("notify: want an http or https URL") // which is a secret
	}
	body, err := ParseTemplate(cmp.Or(c.Template, DefaultTemplate))
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	return &Notifier{
		config: c, host: u.Host, machine: machine, body: body, queue: make(chan Message, queued),
		delivery: newDelivery(), piles: map[Kind]*pile{},
	}, nil
}

// Tell notes an event, to be told of soon. It never waits.
func (n *Notifier) Tell(e Event) {
	if n == nil || len(n.config.Kinds) > 0 && !slices.Contains(n.config.Kinds, string(e.Kind)) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.piles[e.Kind]
	if p == nil {
		p = &pile{limit: rate.NewLimiter(rate.Every(messageEvery), burst)}
		n.piles[e.Kind] = p
	}
	if len(p.first) < keptEvents {
		p.first = append(p.first, e)
	}
	p.count++
}

// collect makes messages of the piles whose turn it is. At the end, all are.
func (n *Notifier) collect(now time.Time, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for kind, p := range n.piles {
		if p.count == 0 || !p.limit.AllowN(now, 1) && !all {
			continue
		}
		m := n.message(kind, p)
		p.first, p.count = nil, 0
		select {
		case n.queue <- m:
		default:
			n.lost.Add(1)
		}
	}
}

func (n *Notifier) message(kind Kind, p *pile) Message {
	m := Message{
		Event: kind, At: p.first[0].At.UTC(), App: n.config.App, Machine: n.machine, Count: p.count, Text: p.text(kind),
	}
	for _, e := range p.first {
		if e.Client != nil {
			m.Clients = append(m.Clients, *e.Client)
		}
	}
	return m
}
