package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Line is one piece of evidence as Why shows it.
type Line struct {
	Piece
	// Counts says that it is part of the score now, until Until; evidence that
	// doesn't is what led to the last ban.
	Counts bool      `json:"counts"`
	Until  time.Time `json:"until,omitzero"`
}

// Explanation is all that is known of a client.
type Explanation struct {
	Client string `json:"client"`
	// State is "unknown", "normal", "known_good", "suspect" or "blocked".
	State    string   `json:"state"`
	Standing Standing `json:"standing"`
	// Summary is the state in a sentence.
	Summary string `json:"summary"`
	// Score is hard plus soft evidence within FindTime; MaxRetry is the score
	// that blocks this client, SuspectAt the one that makes it a suspect.
	Score     float64 `json:"score"`
	Soft      float64 `json:"soft"`
	SoftPaths int     `json:"soft_paths"`
	MaxRetry  float64 `json:"maxretry"`
	SuspectAt float64 `json:"suspect_at"`
	FindTime  string  `json:"findtime"`
	// Ban is the one in force, of the client or of a network around it.
	Ban *Ban `json:"ban,omitempty"`
	// Bans is how many bans are remembered, Forgotten when they won't be.
	Bans      int       `json:"bans"`
	Forgotten time.Time `json:"forgotten,omitzero"`
	// Evidence is in the order of time. MoreWeight is the weight of what came
	// beyond those remembered in detail.
	Evidence   []Line  `json:"evidence"`
	MoreWeight float64 `json:"more_weight,omitempty"`
	// Grace is until when it isn't banned but by a person: its ban was ended.
	Grace time.Time `json:"grace,omitzero"`
	// Inside are the bans in force inside a network that was asked about, at
	// most 100 of InsideCount.
	Inside      []Ban `json:"inside,omitempty"`
	InsideCount int   `json:"inside_count,omitempty"`
	// Expires is when the client would be a normal one again if it did nothing.
	Expires time.Time `json:"expires,omitzero"`
	// Good counts the seconds in which the client used the app's own routes,
	// Bad its offences; Shared says that many sessions are behind it.
	Good   int  `json:"good"`
	Bad    int  `json:"bad"`
	Shared bool `json:"shared,omitempty"`
	// Rules are the policy rules that name the client, or have counted what it
	// did.
	Rules []RuleLine `json:"rules,omitempty"`
	// Undo is the command that lifts the ban or sets the score to zero.
	Undo string `json:"undo,omitempty"`
}

// Why explains what is known of a client and what follows from it.
func (e *Engine) Why(now time.Time, client netip.Prefix) Explanation {
	p := e.policy.Load()
	if !client.IsValid() {
		return Explanation{State: "unknown", Evidence: []Line{}}
	}
	k := p.client(keyOf(client))
	x := Explanation{
		Client: FormatClient(k.prefix()), State: "unknown", Standing: p.Standing(k.prefix().Addr()),
		MaxRetry: p.MaxRetry, SuspectAt: p.MaxRetry / 2, FindTime: p.FindTime.String(), Evidence: []Line{},
	}
	s, hash := e.shard(k)
	s.mu.Lock()
	if entry := s.table.find(k, hash); entry != nil {
		x.merit(p, &entry.merit)
		if entry.dossier != nil {
			x.dossier(now, p, entry.dossier)
		}
	}
	s.mu.Unlock()
	if n := e.networks.find(k, now, p.Observe); n != nil {
		ban := n.snapshot()
		x.Ban, x.Expires = &ban, later(x.Expires, ban.Until)
	}
	x.Grace = e.Grace(now, client)
	if p.wide(k) {
		inside := e.Inside(now, client)
		x.Inside, x.InsideCount = inside[:min(len(inside), mostInside)], len(inside)
	}
	x.Rules = e.lines(now, p, k, client.Addr())
	x.conclude(p, now)
	return x
}

// mostInside bounds the bans of an explanation.
const mostInside = 100

func (x *Explanation) merit(p *policy, m *merit) {
	x.State = "normal"
	if m.known() {
		x.State = "known_good"
	}
	x.Good, x.Bad, x.Shared, x.MaxRetry = int(m.good), int(m.bad), m.shared(), p.threshold(m)
}

func (x *Explanation) dossier(now time.Time, p *policy, d *dossier) {
	counted := d.tally.sums(now, p.FindTime)
	x.Score, x.Soft, x.SoftPaths = counted.score(), counted.soft, counted.softPaths
	x.evidence(now, p, d)
	x.Bans = d.count(now)
	if x.Bans > 0 {
		x.Forgotten = d.forgotten()
	}
	if p.suspects(counted) {
		x.State = "suspect"
		x.Expires = d.last.Add(p.FindTime)
	}
	if d.banned(now) {
		ban := d.snapshot()
		x.Ban, x.Expires = &ban, ban.Until
	}
}

func (x *Explanation) evidence(now time.Time, p *policy, d *dossier) {
	for _, piece := range d.spent {
		x.Evidence = append(x.Evidence, Line{Piece: piece})
	}
	for _, piece := range d.tally.seen() {
		if !past(piece.Time, now, p.FindTime) {
			x.Evidence = append(x.Evidence, Line{Piece: piece, Counts: true, Until: piece.Time.Add(p.FindTime)})
		}
	}
	for _, more := range d.tally.more {
		if !past(more.Start, now, p.FindTime) {
			x.MoreWeight += more.Hard + more.Soft
		}
	}
	slices.SortStableFunc(x.Evidence, func(a, b Line) int { return a.Time.Compare(b.Time) })
}

// conclude says what follows: the state, the sentence and the way back.
func (x *Explanation) conclude(p *policy, now time.Time) {
	switch {
	case x.Standing == Never:
		x.Summary = "never throttled or banned: this machine, a trusted proxy, or on the ignore list"
		if x.State == "suspect" {
			x.State = "normal"
		}
	case x.Ban != nil && x.Standing == Bannable:
		x.State = "blocked"
		x.Summary = x.blocked(p, now)
		x.Undo = "flask2ban bans remove " + FormatClient(x.Ban.Client)
	case x.State == "suspect":
		x.Summary = x.suspect(p)
		x.Undo = "flask2ban bans remove " + x.Client
	case x.Score > 0:
		x.Summary = fmt.Sprintf("score %.4g of %.4g: served as everyone", x.Score, x.MaxRetry)
		x.Undo = "flask2ban bans remove " + x.Client
	case x.InsideCount > 0:
		x.Summary = fmt.Sprintf("not banned as a network, but %d inside it", x.InsideCount)
	default:
		x.Summary = "nothing against it: served as everyone"
	}
	if x.State != "blocked" && !x.Grace.IsZero() {
		x.Summary += fmt.Sprintf("; not banned for %v more whatever it does, since a person ended its ban", x.Grace.Sub(now).Round(time.Second))
	}
}

func (x *Explanation) blocked(p *policy, now time.Time) string {
	verb := "refused"
	if p.Observe || x.Ban.Observed {
		verb = "would be refused (observe mode)"
	}
	return fmt.Sprintf("%s for %v more, ban %d by rule %s: %s",
		verb, x.Ban.Until.Sub(now).Round(time.Second), max(1, x.Ban.Count), x.Ban.Rule, x.Ban.Reason)
}

func (x *Explanation) suspect(p *policy) string {
	limits := fmt.Sprintf("to %v requests a second, %v on unknown paths", p.SuspectKnown.PerSecond, p.SuspectUnknown.PerSecond)
	if !p.slows(sums{hard: x.Score - x.Soft}, x.Standing) {
		limits = fmt.Sprintf("on unknown paths to %v a second, served as everyone elsewhere", p.SuspectUnknown.PerSecond)
	}
	text := fmt.Sprintf("throttled %s: score %.4g of %.4g", limits, x.Score, x.MaxRetry)
	switch {
	case p.Observe:
		text = "would be " + text
	case x.Standing == SuspectOnly:
		text += "; never banned: a private or CDN address stands for many people"
	case x.Shared:
		text += "; many sessions share this address"
	}
	if x.Soft > 0 {
		text += fmt.Sprintf(" (%.4g of it soft: others may have caused it)", x.Soft)
	}
	return text
}
