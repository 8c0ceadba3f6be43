package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// crafted is a database file that a test changes at known places.
type crafted struct {
	*testing.T
	content []byte
	// live are the pages of the last transaction's tree.
	live map[uint64]bool
}

func craft(t *testing.T, content []byte) crafted {
	t.Helper()
	v := verifier{file: bytes.NewReader(content), seen: map[uint64]bool{}}
	if err := v.meta(); err != nil {
		t.Fatal(err)
	}
	if err := v.tree(v.root, 0); err != nil {
		t.Fatal(err)
	}
	return crafted{t, bytes.Clone(content), v.seen}
}

// u16, u32 and u64 change a field of a page.
func (c crafted) u16(page, at int, v uint16) { native.PutUint16(c.content[page*4096+at:], v) }
func (c crafted) u32(page, at int, v uint32) { native.PutUint32(c.content[page*4096+at:], v) }
func (c crafted) u64(page, at int, v uint64) { native.PutUint64(c.content[page*4096+at:], v) }

// find returns the first live page with these flags and at least one element.
func (c crafted) find(flags uint16) int {
	c.Helper()
	for page := 2; page < len(c.content)/4096; page++ {
		p := c.content[page*4096:]
		if native.Uint16(p[8:]) == flags && native.Uint16(p[10:]) > 1 && c.live[uint64(page)] {
			return page
		}
	}
	c.Fatalf("no page with flags %#x", flags)
	return 0
}

// remeta changes a field of both meta pages and makes their checksums right.
func (c crafted) remeta(at int, v uint64) {
	for page := range 2 {
		m := c.content[page*4096+pageHeader:][:metaSize]
		native.PutUint64(m[at:], v)
		h := fnv.New64a()
		_, _ = h.Write(m[:metaSize-8]) // never fails
		native.PutUint64(m[metaSize-8:], h.Sum64())
	}
}

// TestVerify damages one field at a time. Each of them would make bbolt read
// what isn't there, loop, or overwrite what is.
func TestVerify(t *testing.T) {
	if os.Getpagesize() != 4096 {
		t.Skip("the places are those of pages of 4096 bytes")
	}
	path := filepath.Join(t.TempDir(), boltFile)
	good := filled(t, path)
	for _, c := range []struct {
		name   string
		damage func(crafted)
		want   string
	}{
		{"nothing", func(crafted) {}, ""},
		{"root beyond the end", func(c crafted) { c.remeta(16, 1<<31) }, "is beyond the last of"},
		{"root is a meta page", func(c crafted) { c.remeta(16, 1) }, "is used twice"},
		{"more pages than bytes", func(c crafted) { c.remeta(40, 1<<20) }, "bytes of 1048576 pages of 4096"},
		{"pages without number", func(c crafted) { c.remeta(40, 1<<40) }, "are not a database"},
		{"free list is a leaf", func(c crafted) { c.remeta(32, uint64(c.find(leafPage))) }, "is used twice"},
		{"free list beyond the end", func(c crafted) { c.remeta(32, 1<<30) }, "is beyond the last of"},
		{"wrong number", func(c crafted) { c.u64(c.find(leafPage), 0, 999) }, "has a bad header"},
		{"overflow beyond the end", func(c crafted) { c.u32(c.find(leafPage), 12, 1<<30) }, "has a bad header"},
		{"unknown kind", func(c crafted) { c.u16(c.find(leafPage), 8, 0x40) }, "is neither branch nor leaf"},
		{"too many elements", func(c crafted) { c.u16(c.find(leafPage), 10, 60000) }, "is neither branch nor leaf"},
		{"empty branch", func(c crafted) { c.u16(c.find(branchPage), 10, 0) }, "is a branch with nothing below"},
		{"branch to itself", func(c crafted) {
			p := c.find(branchPage)
			c.u64(p, pageHeader+8, uint64(p))
		}, "is used twice"},
		{"key outside", func(c crafted) { c.u32(c.find(leafPage), pageHeader+4, 1<<20) }, "an element is outside of its page"},
		{"value outside", func(c crafted) { c.u32(c.find(leafPage), pageHeader+12, 1<<31) }, "an element is outside of its page"},
		{"branch key outside", func(c crafted) { c.u32(c.find(branchPage), pageHeader, 1<<31) }, "an element is outside of its page"},
		{"keys out of order", func(c crafted) {
			p := c.content[c.find(branchPage)*4096+pageHeader:]
			copy(p[8:16], p[elementSize+8:elementSize+16]) // two elements for one page
		}, "is used twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := craft(t, good)
			c.damage(file)
			if err := os.WriteFile(path, file.content, 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			err = verify(f)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestVerifyAcceptsWhatBboltWrites: a file of any history must pass, or bans
// would be lost for nothing.
func TestVerifyAcceptsWhatBboltWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), boltFile)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for round := range 60 {
		err := db.Update(func(tx *bbolt.Tx) error { return churn(tx, round) })
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(f); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// churn puts, replaces and deletes values from none to several pages long.
func churn(tx *bbolt.Tx, round int) error {
	b, err := tx.CreateBucketIfNotExists(recordsBucket)
	if err != nil {
		return err
	}
	for i := range 300 {
		key := binary.BigEndian.AppendUint32(nil, uint32((round*131+i*17)%2000))
		if (i+round)%3 == 0 {
			err = b.Delete(key)
		} else {
			err = b.Put(key, make([]byte, (i*i*37)%(1+round*400)))
		}
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
	}
	return nil
}

func TestVerifyEmptyFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "empty"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := verify(f); err != nil {
		t.Errorf("a new file: %v", err)
	}
}
