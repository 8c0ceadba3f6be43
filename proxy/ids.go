package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"sync/atomic"
)

// idSource numbers requests: a random start, so that ids of two runs differ,
// and a counter.
type idSource struct {
	prefix string
	next   *atomic.Uint64
}

func newIDSource() idSource {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand since Go 1.24)
	return idSource{prefix: hex.EncodeToString(b[:]) + "-", next: new(atomic.Uint64)}
}

// appendID adds the next id to b.
func (s idSource) appendID(b []byte) []byte {
	return strconv.AppendUint(append(b, s.prefix...), s.next.Add(1), 36)
}
