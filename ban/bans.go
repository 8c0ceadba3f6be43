package ban

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Explained is how many refusals of a ban are answered with a page that says
// why and until when; a direct peer that knows can be refused at accept.
const Explained = 10

// Ban is one block of one client or network.
type Ban struct {
	// Client is who is banned: one client, or by a person's word any network.
	Client netip.Prefix
	// Since and Until bound the ban. For Engine.Add a zero Since means now, a
	// zero Until the first bantime.
	Since, Until time.Time
	// Rule that decided, and why in words. Reasons hold no text of requests.
	Rule, Reason string
	Penalty      Penalty
	// Count is the how many-th ban of the client this is.
	Count int
	// Manual bans are a person's; Observed ones refuse nobody, since they were
	// made in observe mode.
	Manual, Observed bool
	// Refusals is how often it refused so far; Engine.Bans and Engine.Banned
	// fill it in.
	Refusals int
}

// Told says whether the client has been told often enough why it is refused.
func (b Ban) Told() bool { return b.Refusals >= Explained }

// banJSON is a ban in the API and in exports.
type banJSON struct {
	Client   string    `json:"client"`
	Since    time.Time `json:"since"`
	Until    time.Time `json:"until"`
	Rule     string    `json:"rule"`
	Reason   string    `json:"reason"`
	Penalty  Penalty   `json:"penalty"`
	Count    int       `json:"count"`
	Manual   bool      `json:"manual,omitempty"`
	Observed bool      `json:"observed,omitempty"`
	Refusals int       `json:"refusals,omitempty"`
}

// MarshalJSON writes single addresses without their prefix length.
func (b Ban) MarshalJSON() ([]byte, error) {
	return json.Marshal(banJSON{
		FormatClient(b.Client), b.Since, b.Until, b.Rule, b.Reason, b.Penalty, b.Count, b.Manual, b.Observed, b.Refusals,
	})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Ban) UnmarshalJSON(data []byte) error {
	var j banJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	client, err := ParseClient(j.Client)
	if err != nil {
		return fmt.Errorf("ban: %w", err)
	}
	*b = Ban{client, j.Since, j.Until, j.Rule, j.Reason, j.Penalty, j.Count, j.Manual, j.Observed, j.Refusals}
	return nil
}

// networks are the bans of networks wider than a client.
type networks struct {
	// count is read before the lock is taken: mostly there are none.
	count atomic.Int32
	mu    sync.RWMutex
	bans  map[key]*networkBan
	// widths are the prefix lengths that occur, longest first.
	widths []uint8
	dirty  map[key]struct{}
	word   map[key]int // as shard.word
}

type networkBan struct {
	ban      Ban
	refusals atomic.Int64
}

func (n *networkBan) snapshot() Ban {
	b := n.ban
	b.Refusals = int(n.refusals.Load())
	return b
}

// find returns the narrowest ban in force around a client. One that was made while
// nobody was to be refused stands before no other once somebody is.
func (n *networks) find(k key, now time.Time, observing bool) *networkBan {
	if n.count.Load() == 0 {
		return nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, width := range n.widths {
		if width > k.bits || k.is4() && width < mapped4 {
			continue
		}
		if b := n.bans[k.truncate(int(width))]; b != nil && now.Before(b.ban.Until) && (observing || !b.ban.Observed) {
			return b
		}
	}
	return nil
}

func (n *networks) add(k key, b Ban) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.bans[k] = &networkBan{ban: b}
	n.count.Store(int32(len(n.bans)))
	if !slices.Contains(n.widths, k.bits) {
		n.widths = append(n.widths, k.bits)
		slices.SortFunc(n.widths, func(a, b uint8) int { return cmp.Compare(b, a) })
	}
}

func (n *networks) remove(k key) (*networkBan, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	b, ok := n.bans[k]
	delete(n.bans, k)
	n.count.Store(int32(len(n.bans)))
	return b, ok
}

// mark notes that the network must be saved.
func (n *networks) mark(k key) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dirty[k] = struct{}{}
}

// all returns the bans that are in force at now, in no order.
func (n *networks) all(now time.Time) []Ban {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var bans []Ban
	for _, b := range n.bans {
		if now.Before(b.ban.Until) {
			bans = append(bans, b.snapshot())
		}
	}
	return bans
}

// ended returns the networks whose bans are over.
func (n *networks) ended(now time.Time) []key {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var keys []key
	for k, b := range n.bans {
		if !now.Before(b.ban.Until) {
			keys = append(keys, k)
		}
	}
	return keys
}
