package ban

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Add bans a client or network by a person's word. A prefix narrower than a
// client is widened to it; the earlier ban of the same client is replaced.
// Zero fields get defaults: Since now, Until the first bantime later, Rule
// "operator", Penalty that of the configuration. It is an error to ban what
// must never be banned, or for a time that is over.
func (e *Engine) Add(now time.Time, b Ban) error {
	p := e.policy.Load()
	if !b.Client.IsValid() {
		return fmt.Errorf("ban: no valid client or network given")
	}
	k := p.client(keyOf(b.Client))
	b.Client = k.prefix()
	if err := p.bannable(k); err != nil {
		return err
	}
	fill(&b.Since, now)
	fill(&b.Until, b.Since.Add(p.BanTime))
	fill(&b.Rule, RuleOperator)
	fill(&b.Penalty, p.Penalty)
	b.Since, b.Until = b.Since.UTC().Round(0), b.Until.UTC().Round(0)
	b.Manual, b.Observed, b.Refusals = true, p.Observe, 0
	if !b.Until.After(now) {
		return fmt.Errorf("ban of %s: its end %s is not in the future", FormatClient(b.Client), b.Until.Format(time.RFC3339))
	}
	e.put(now, p, k, b)
	e.wake()
	return nil
}

// put makes a ban by hand the client's, or the network's.
func (e *Engine) put(now time.Time, p *policy, k key, b Ban) {
	if p.wide(k) {
		b.Count = 1
		e.networks.add(k, b)
		e.networks.speak(k)
		return
	}
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.track(k, hash, now, tierBanned|rank(uint32(b.Until.Unix())))
	if entry == nil {
		return
	}
	d := s.open(entry)
	b.Count = d.count(now) + 1
	d.ban, d.refusals, d.gate, d.grace = &b, 0, nil, 0
	d.spent, d.tally = d.tally.pieces, tally{}
	s.account(d)
	s.shrink(now)
	s.speak(k)
}

// client widens a prefix that is narrower than one client.
func (p *policy) client(k key) key { return k.truncate(min(int(k.bits), p.width(k))) }

// width is the prefix length of one client, as keys count it.
func (p *policy) width(k key) int {
	if k.is4() {
		return p.IPv4Bits + mapped4
	}
	return p.IPv6Bits
}

// wide says whether the prefix is wider than one client.
func (p *policy) wide(k key) bool { return int(k.bits) < p.width(k) }

// bannable says why a client must not be banned. Networks can be: the clients
// in them that can't are left out when they ask.
func (p *policy) bannable(k key) error {
	if p.wide(k) {
		return nil
	}
	switch client := FormatClient(k.prefix()); p.Standing(k.prefix().Addr()) {
	case Never:
		return fmt.Errorf("ban of %s: it is this machine, a trusted proxy or on the ignore list, and never banned", client)
	case SuspectOnly:
		return fmt.Errorf("ban of %s: a private or CDN address stands for many people; declare it with --trusted-proxy, or give --ban-private where such addresses are people", client)
	default:
		return nil
	}
}

// Remove ends the ban of exactly this client or network, and sets its score,
// its count of bans and what rules have counted of it to zero. For a findtime
// (see Grace) it isn't banned again but by a person: the client that was
// unbanned may still be making the mistake that led to its ban. It returns the
// ban, and whether there was one in force.
func (e *Engine) Remove(now time.Time, client netip.Prefix) (Ban, bool) {
	if !client.IsValid() {
		return Ban{}, false
	}
	p := e.policy.Load()
	k := p.client(keyOf(client))
	defer e.wake()
	e.acquit(p, k)
	if n, ok := e.networks.remove(k); ok {
		e.families.spare(now, k, now.Add(p.FindTime))
		e.networks.speak(k)
		return n.snapshot(), now.Before(n.ban.Until)
	}
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	entry := s.table.find(k, hash)
	if entry == nil {
		return Ban{}, false
	}
	if entry.dossier == nil {
		entry.merit.bad = 0
		return Ban{}, false
	}
	ban, active := entry.dossier.snapshot(), entry.dossier.banned(now)
	s.pardon(now, p, entry)
	s.speak(k)
	return ban, active
}

// pardon forgets what is held against a client, and begins its grace where that
// was anything.
func (s *shard) pardon(now time.Time, p *policy, e *entry) {
	e.merit.bad = 0
	if e.dossier == nil {
		return
	}
	grace := e.dossier.grace
	if e.dossier.count(now) > 0 || e.dossier.tally.sums(now, p.FindTime).score() > 0 {
		grace = uint32(now.Add(p.FindTime + time.Second - 1).Unix())
	}
	if s.close(e); int64(grace) > now.Unix() {
		s.open(e).grace = grace
	}
}

// acquit forgets what rules have counted against a client, and that it is one of
// many siblings.
func (e *Engine) acquit(p *policy, k key) {
	for _, r := range p.rules.rules {
		e.states.forget(stateKey{r.id, k})
	}
	if !k.is4() && int(k.bits) > widenings[0].bits {
		e.families.forget(k)
	}
}

// snapshot returns the dossier's ban, zero where it has none.
func (d *dossier) snapshot() Ban {
	if d.ban == nil {
		return Ban{}
	}
	b := *d.ban
	b.Refusals = d.refusals
	return b
}

// Bans returns all bans in force, by address, networks before what is in them.
func (e *Engine) Bans(now time.Time) []Ban {
	bans := e.networks.all(now)
	for _, s := range e.shards {
		s.mu.Lock()
		for _, d := range s.dossiers {
			if d.banned(now) {
				bans = append(bans, d.snapshot())
			}
		}
		s.mu.Unlock()
	}
	slices.SortFunc(bans, func(a, b Ban) int { return a.Client.Compare(b.Client) })
	return bans
}

// Banned returns the ban that is in force for an address: a person's ban of a
// network around it first, then the client's own. Observed bans are not.
func (e *Engine) Banned(now time.Time, a netip.Addr) (Ban, bool) {
	a = a.WithZone("").Unmap()
	if !a.IsValid() {
		return Ban{}, false
	}
	p := e.policy.Load()
	k := p.client(keyOf(netip.PrefixFrom(a, a.BitLen())))
	b, ok := e.inForce(now, p, k)
	if !ok || b.Observed || p.Observe || p.Standing(a) != Bannable {
		return Ban{}, false
	}
	return b, true
}

// inForce returns the ban of a client, its own or a network's.
func (e *Engine) inForce(now time.Time, p *policy, k key) (Ban, bool) {
	if n := e.networks.find(k, now, p.Observe); n != nil {
		return n.snapshot(), true
	}
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry := s.table.find(k, hash); entry != nil && entry.dossier != nil && entry.dossier.banned(now) {
		return entry.dossier.snapshot(), true
	}
	return Ban{}, false
}

// Grace is until when a client or network is not banned again but by a person;
// zero where it is not spared.
func (e *Engine) Grace(now time.Time, client netip.Prefix) time.Time {
	if !client.IsValid() {
		return time.Time{}
	}
	p := e.policy.Load()
	k := p.client(keyOf(client))
	if until := e.families.spared(k); p.wide(k) && now.Before(until) {
		return until
	}
	s, hash := e.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if entry := s.table.find(k, hash); entry != nil && entry.dossier != nil && entry.dossier.spared(now) {
		return entry.dossier.graceEnds()
	}
	return time.Time{}
}

// Inside returns the bans in force of clients and networks inside a network, by
// address, without its own.
func (e *Engine) Inside(now time.Time, network netip.Prefix) []Ban {
	if !network.IsValid() {
		return nil
	}
	k := keyOf(network)
	return slices.DeleteFunc(e.Bans(now), func(b Ban) bool {
		in := keyOf(b.Client)
		return in.bits <= k.bits || in.truncate(int(k.bits)) != k || in.is4() != k.is4()
	})
}
