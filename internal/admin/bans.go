package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/flask2ban/flask2ban/ban"
)

const (
	// defaultBan is how long a ban by hand lasts where nothing is said: long
	// enough to look into the matter, short enough to forget about it.
	defaultBan = time.Hour
	// The widest ranges that may be banned by hand; a wider one is a slip of
	// the pen that would lock out whole continents.
	minIPv4Bits = 8
	minIPv6Bits = 16
	maxReason   = 200
	day         = 24 * time.Hour
	// maxDuration bounds a ban by hand; more is the firewall's business.
	maxDuration = 3650 * day
)

// Order is the body of POST /api/v1/bans.
type Order struct {
	// Client is an address or a CIDR.
	Client string `json:"client"`
	// Duration is such as 90s, 12h, 7d or 2w; empty means one hour. Until, where
	// given, wins (the form in which bans are exported).
	Duration string    `json:"duration,omitempty"`
	Until    time.Time `json:"until,omitzero"`
	// Reason is shown to the client and by why; at most 200 characters.
	Reason string `json:"reason,omitempty"`
}

// Removal is the answer to DELETE /api/v1/bans/{client}.
type Removal struct {
	// Removed is the ban as it was; nil where there was only a score, or where
	// only bans inside were ended.
	Removed *ban.Ban `json:"removed,omitempty"`
	// Forgiven says that a score or earlier bans were forgotten of a client that
	// was not banned.
	Forgiven bool `json:"forgiven,omitempty"`
	// Grace is until when the client isn't banned again but by a person.
	Grace time.Time `json:"grace,omitzero"`
	// Still is the wider ban that goes on to cover the client, if any.
	Still *ban.Ban `json:"still,omitempty"`
	// Inside are the bans of clients and networks inside the one asked for, at
	// most 100 of InsideCount. They go on, unless InsideEnded says that the
	// request had ?inside=true.
	Inside      []ban.Ban `json:"inside,omitempty"`
	InsideCount int       `json:"inside_count,omitempty"`
	InsideEnded bool      `json:"inside_ended,omitempty"`
}

// mostInside bounds the bans of a Removal.
const mostInside = 100

func (s *Server) ban(w http.ResponseWriter, r *http.Request) error {
	var o Order
	if err := decode(r, &o); err != nil {
		return err
	}
	b, err := s.order(r, o)
	if err != nil {
		return err
	}
	w.Header().Set("Location", bansPath+"/"+url.PathEscape(ban.FormatClient(b.Client)))
	send(w, http.StatusCreated, b)
	return nil
}

// order makes the ban that somebody has asked for, and returns it as it is in
// force.
func (s *Server) order(r *http.Request, o Order) (ban.Ban, error) {
	now := s.cfg.Now()
	b, err := s.draft(now, o)
	if err != nil {
		return ban.Ban{}, err
	}
	err = s.cfg.Engine.Add(now, b)
	s.audit(r, "ban", err, "client", b.Client, "until", b.Until, "reason", b.Reason)
	if err != nil {
		return ban.Ban{}, refuse(http.StatusConflict, "%v", err)
	}
	return s.stored(now, b), nil
}

// draft turns an order into a ban, or says what is wrong with it.
func (s *Server) draft(now time.Time, o Order) (ban.Ban, error) {
	client, err := parseClient(o.Client)
	if err != nil {
		return ban.Ban{}, err
	}
	if client.Bits() < minBits(client) {
		return ban.Ban{}, refuse(http.StatusBadRequest, "client %s is too wide a range: ban at most an IPv4 /%d or an IPv6 /%d",
			client, minIPv4Bits, minIPv6Bits)
	}
	until, err := o.end(now)
	if err != nil {
		return ban.Ban{}, refuse(http.StatusBadRequest, "%v", err)
	}
	reason := o.Reason
	if reason == "" {
		reason = "banned by the operator"
	}
	if len([]rune(reason)) > maxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return ban.Ban{}, refuse(http.StatusBadRequest, "reason: at most %d characters, in one line", maxReason)
	}
	return ban.Ban{Client: client, Since: now, Until: until, Rule: ban.RuleOperator, Reason: reason, Count: 1, Manual: true}, nil
}

// end is when the ordered ban ends.
func (o Order) end(now time.Time) (time.Time, error) {
	if !o.Until.IsZero() {
		if left := o.Until.Sub(now); left <= 0 || left > maxDuration {
			return time.Time{}, fmt.Errorf("until %s: this is not within the next ten years", o.Until.Format(time.RFC3339))
		}
		return o.Until, nil
	}
	if o.Duration == "" {
		return now.Add(defaultBan), nil
	}
	d, err := parseDuration(o.Duration)
	return now.Add(d), err
}

// parseDuration reads Go's durations, and whole days or weeks: 90s, 1h30m, 7d,
// 2w.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	for unit, length := range map[string]time.Duration{"d": day, "w": 7 * day} {
		if n, ok := strings.CutSuffix(text, unit); ok {
			count, countErr := strconv.ParseUint(n, 10, 12)
			d, err = time.Duration(count)*length, countErr
		}
	}
	if err != nil || d <= 0 || d > maxDuration {
		return 0, fmt.Errorf("duration %q: write 90s, 30m, 12h, 7d or 2w, at most ten years", text)
	}
	return d, nil
}

func minBits(p netip.Prefix) int {
	if p.Addr().Is4() {
		return minIPv4Bits
	}
	return minIPv6Bits
}

// stored is the ban as the engine keeps it: widened to the client, and with
// the count of those before it.
func (s *Server) stored(now time.Time, b ban.Ban) ban.Ban {
	known := s.cfg.Engine.Why(now, b.Client)
	if kept := known.Ban; kept != nil && ban.FormatClient(kept.Client) == known.Client {
		return *kept
	}
	return b
}

func (s *Server) unban(w http.ResponseWriter, r *http.Request) error {
	client, err := parseClient(r.PathValue("client"))
	if err != nil {
		return err
	}
	inside, err := flag(r, "inside")
	if err != nil {
		return err
	}
	out, err := s.lift(r, client, inside)
	if err != nil {
		return err
	}
	send(w, http.StatusOK, out)
	return nil
}

// lift ends a ban that somebody no longer wants; its error says where there was
// nothing to end.
func (s *Server) lift(r *http.Request, client netip.Prefix, inside bool) (Removal, error) {
	out := s.remove(s.cfg.Now(), client, inside)
	s.audit(r, "unban", nil, "client", client, "was_banned", out.Removed != nil, "inside_ended", out.InsideEnded, "inside", out.InsideCount)
	if out.Removed == nil && !out.Forgiven && !out.InsideEnded {
		return out, nothingRemoved(client, out)
	}
	return out, nil
}

// remove ends a ban and, if asked to, those inside it.
func (s *Server) remove(now time.Time, client netip.Prefix, inside bool) Removal {
	e := s.cfg.Engine
	held := e.Why(now, client)
	removed, ok := e.Remove(now, client)
	within := e.Inside(now, client)
	out := Removal{
		Forgiven: !ok && (held.Score > 0 || held.Bans > 0), Grace: e.Grace(now, client),
		Inside: within[:min(len(within), mostInside)], InsideCount: len(within), InsideEnded: inside && len(within) > 0,
	}
	if ok {
		out.Removed = &removed
	}
	if inside {
		for _, b := range within {
			e.Remove(now, b.Client)
		}
	}
	if wider, ok := e.Banned(now, client.Addr()); ok && wider.Client.Bits() <= client.Bits() {
		out.Still = &wider
	}
	return out
}

// nothingRemoved says why, and where the ban is that may have been meant.
func nothingRemoved(client netip.Prefix, out Removal) error {
	name := ban.FormatClient(client)
	switch {
	case out.Still != nil:
		return refuse(http.StatusNotFound, "%s has no ban of its own, but is part of %s, which is banned: remove that",
			name, ban.FormatClient(out.Still.Client))
	case out.InsideCount > 0:
		return refuse(http.StatusNotFound, "%s itself is not banned, but %s inside it: remove it with --inside (in the API ?inside=true) to end these",
			name, Names(out.Inside, out.InsideCount))
	default:
		return refuse(http.StatusNotFound, "%s is not banned, and nothing is held against it", name)
	}
}

// Names lists a few of some bans' clients in words.
func Names(bans []ban.Ban, count int) string {
	const shown = 5
	var names []string
	for _, b := range bans[:min(len(bans), shown)] {
		names = append(names, ban.FormatClient(b.Client))
	}
	text := strings.Join(names, ", ")
	if more := count - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// flag is a query parameter that is true or false.
func flag(r *http.Request, name string) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, refuse(http.StatusBadRequest, "%s: want true or false, not %q", name, text)
	}
	return value, nil
}
