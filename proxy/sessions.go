package proxy

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// sessions tells the people behind one address apart, by the cookies that the
// app issued to it through us. Many of them with good records make an address
// a shared one, which the ban engine throttles rather than blocks.
//
// Who wants to be taken for many people collects cookies. So a cookie counts
// only at the address that it was issued to, once it came with several
// requests that the app's routing found, some time after it was issued; and
// whatever is issued to a request that had a cookie already is the same
// session, also where the app renews its cookie with each answer. What it
// gains is lenience, never immunity.
//
// Cookies themselves are never kept: only hashes of them, under a seed that
// ends with the process.
type sessions struct {
	seed   maphash.Seed
	shards [sessionShards]sessionShard
}

const (
	sessionShards = 64
	// maxSessions bounds the cookies of one generation; there are two.
	maxSessions = 200_000
	// sessionUses is with how many found requests a cookie must have come
	// before it counts, sessionAge how long before it was issued.
	sessionUses = 2
	sessionAge  = time.Minute
	// minCookie is the length of the shortest value that can tell sessions
	// apart; shorter ones are choices such as "dark".
	minCookie = 16
	// maxCookies bounds the cookies of one request or answer that are looked
	// at.
	maxCookies = 50
)

// sessionShard holds the sessions of some hashes. When the young ones are too
// many, the old ones are forgotten.
type sessionShard struct {
	mu         sync.Mutex
	young, old map[uint64]session
}

// session is what one cookie stands for. It holds no cookie.
type session struct {
	id   uint64 // the hash of its first cookie; never 0
	born uint32 // Unix time
	uses uint8  // found requests, at most sessionUses
}

func newSessions() *sessions { return &sessions{seed: maphash.MakeSeed()} }

// observe notes an answered request: found says that the app's routing found
// it, set are the cookies that its answer issues. It returns the identity of
// the session, 0 where it has none that counts.
func (s *sessions) observe(now time.Time, client netip.Prefix, h http.Header, set []string, found bool) uint64 {
	cookies := h["Cookie"]
	if len(cookies) == 0 && len(set) == 0 {
		return 0
	}
	current, key, known := s.find(client, cookies)
	if known && found && current.uses < sessionUses {
		current.uses++
		s.put(key, current)
	}
	s.issue(now, client, set, current)
	if current.uses < sessionUses || now.Unix()-int64(current.born) < int64(sessionAge/time.Second) {
		return 0
	}
	return current.id
}

// find returns the session of the first cookie that we know.
func (s *sessions) find(client netip.Prefix, cookies []string) (session, uint64, bool) {
	left := maxCookies
	for _, line := range cookies {
		for pair := range strings.SplitSeq(line, ";") {
			if left--; left < 0 {
				return session{}, 0, false
			}
			key, ok := s.key(client, pair)
			if !ok {
				continue
			}
			if found, ok := s.get(key); ok {
				return found, key, true
			}
		}
	}
	return session{}, 0, false
}

// issue makes the cookies of an answer those of the request's session, or of a
// new one.
func (s *sessions) issue(now time.Time, client netip.Prefix, set []string, current session) {
	for _, line := range set[:min(len(set), maxCookies)] {
		pair, _, _ := strings.Cut(line, ";")
		key, ok := s.key(client, pair)
		if !ok {
			continue
		}
		if current.id == 0 {
			current = session{id: key, born: uint32(now.Unix())}
		}
		if _, ok := s.get(key); !ok {
			s.put(key, current)
		}
	}
}

// key is the hash of one cookie of a client.
func (s *sessions) key(client netip.Prefix, pair string) (uint64, bool) {
	pair = strings.Trim(pair, " \t")
	if _, value, ok := strings.Cut(pair, "="); !ok || len(value) < minCookie {
		return 0, false
	}
	hash := maphash.Comparable(s.seed, struct {
		client netip.Prefix
		pair   string
	}{client, pair})
	return max(hash, 1), true
}

// get returns a session and keeps it young.
func (s *sessions) get(key uint64) (session, bool) {
	shard := &s.shards[key%sessionShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if found, ok := shard.young[key]; ok {
		return found, true
	}
	found, ok := shard.old[key]
	if ok {
		shard.put(key, found)
	}
	return found, ok
}

func (s *sessions) put(key uint64, value session) {
	shard := &s.shards[key%sessionShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.put(key, value)
}

func (s *sessionShard) put(key uint64, value session) {
	if s.young == nil {
		s.young = map[uint64]session{}
	}
	if len(s.young) >= maxSessions/sessionShards {
		s.old, s.young = s.young, make(map[uint64]session, maxSessions/sessionShards)
	}
	s.young[key] = value
}
