package ban

import (
	"math/bits"
	"time"
)

// A good record is cheap to keep and hard to fake in a hurry: it grows by at
// most one a second, needs more than one route, and needs the share of valid
// requests to stay high. It is lenience, never immunity.
const (
	// goodSeconds is in how many different seconds the app's own routes must
	// have been used.
	goodSeconds = 10
	// goodShare is how many such seconds each offence must be outweighed by.
	goodShare = 10
	// sharedSessions is how many different sessions make an address a shared
	// one, as far as a sketch of 16 bits can tell.
	sharedSessions = 4
	// meritIdle is the idle time that halves a record when it must compete for
	// memory, and meritKept after how many of them it is forgotten.
	meritIdle = time.Hour
	meritKept = 24
)

// merit is a client's good record: what it did right, in a few bytes.
type merit struct {
	// seen is the last second in which the client was credited or offended.
	seen uint32
	// good counts the seconds with a found route, bad the counted offences.
	good, bad uint16
	// routes is the fingerprint of the first route used, with severalRoutes once
	// another one was.
	routes uint16
	// sessions is a sketch: one bit by hash.
	sessions uint16
}

// severalRoutes is the bit of merit.routes that says that there was more than one.
// The other 15 tell two routes apart, but for one pair in 32,767.
const severalRoutes = 1 << 15

// credit notes a request that the app's routing found.
func (m *merit) credit(second uint32, route string, session uint64) {
	m.route(route)
	if session != 0 {
		m.sessions |= 1 << (mix(session) & 15)
	}
	if second == m.seen && m.good > 0 {
		return
	}
	m.seen = second
	m.good++
	m.halve()
}

// route notes a route. Once there were two, it is not even hashed.
func (m *merit) route(route string) {
	if m.routes&severalRoutes != 0 {
		return
	}
	switch print := fingerprint(route); m.routes {
	case print:
	case 0:
		m.routes = print
	default:
		m.routes |= severalRoutes
	}
}

// fingerprint is never 0. It is the same in each process: records outlive them.
func fingerprint(route string) uint16 {
	return max(1, uint16(mix(hashRoute(route)))&^severalRoutes)
}

// hashRoute is FNV-1a, without allocation. It needs no secret seed: routes are
// the app's, and nobody else chooses them.
func hashRoute(route string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(route) {
		h = (h ^ uint64(route[i])) * 1099511628211
	}
	return h
}

// blame notes a counted offence.
func (m *merit) blame(second uint32) {
	m.seen = second
	m.bad++
	m.halve()
}

// halve keeps the counters small, and lets what was long ago matter less.
func (m *merit) halve() {
	if m.good >= 1<<10 || m.bad >= 1<<10 {
		m.good /= 2
		m.bad /= 2
	}
}

// known says whether the client has a good record.
func (m *merit) known() bool {
	return m.good >= goodSeconds && m.routes&severalRoutes != 0 &&
		int(m.good) >= goodShare*int(m.bad)
}

// shared says whether many people with good records are behind the client.
func (m *merit) shared() bool {
	return m.known() && bits.OnesCount16(m.sessions) >= sharedSessions
}

// worth is what the record is worth keeping, less with each idle hour.
func (m *merit) worth(second uint32) uint16 {
	idle := time.Duration(second-min(m.seen, second)) * time.Second
	return m.good >> min(15, idle/meritIdle)
}

// stale says that the client wasn't seen for a day.
func (m *merit) stale(second uint32) bool {
	return time.Duration(second-min(m.seen, second))*time.Second >= meritKept*meritIdle
}

// mix spreads the bits of a number (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
