package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// A damaged file is dangerous to open: bbolt trusts its pages, reads them
// through unsafe pointers into mapped memory, partly in goroutines where no
// one can recover, so that one flipped bit may end the process at each start.
// So the pages are walked first, with bounds checked, as
// go.etcd.io/bbolt/internal/common lays them out.
const (
	boltMagic    = 0xED0CDAED
	boltVersion  = 2
	pageHeader   = 16
	elementSize  = 16
	bucketHeader = 16
	metaSize     = 64 // with its checksum in the last 8 bytes

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketFlag   = 0x01
	noFreelist   = ^uint64(0)
	// deepest bounds the height of the tree; bbolt's pages hold dozens of
	// elements each.
	deepest = 32
)

// native is the byte order of bbolt's files: the machine's.
var native = binary.NativeEndian

// verify reads a database file and returns what is wrong with it. An empty
// file is a new one.
func verify(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	v := verifier{file: f, seen: map[uint64]bool{0: true, 1: true}}
	if err := v.meta(); err != nil {
		return err
	}
	if int64(v.pages)*int64(v.pageSize) > info.Size() {
		return fmt.Errorf("the file has %d bytes of %d pages of %d", info.Size(), v.pages, v.pageSize)
	}
	if err := v.tree(v.root, 0); err != nil {
		return err
	}
	return v.free()
}

// verifier is a walk through a file.
type verifier struct {
	file                  io.ReaderAt
	pageSize              uint32
	root, freelist, pages uint64
	txid                  uint64
	// seen are the pages that something refers to: none may be twice.
	seen map[uint64]bool
	// spare is a buffer that no page is in.
	spare []byte
}

// meta takes the valid meta page of the latest transaction.
func (v *verifier) meta() error {
	found := false
	for i := range int64(2) {
		b := make([]byte, metaSize)
		if _, err := v.file.ReadAt(b, i*int64(os.Getpagesize())+pageHeader); err != nil || !validMeta(b) {
			continue
		}
		if txid := native.Uint64(b[48:]); !found || txid > v.txid {
			found, v.txid, v.pageSize = true, txid, native.Uint32(b[8:])
			v.root, v.freelist, v.pages = native.Uint64(b[16:]), native.Uint64(b[32:]), native.Uint64(b[40:])
		}
	}
	if !found {
		return errors.New("it has no valid meta page")
	}
	if v.pageSize < 1024 || v.pageSize > 1<<16 || v.pages > 1<<32 {
		return fmt.Errorf("%d pages of %d bytes are not a database", v.pages, v.pageSize)
	}
	return nil
}

func validMeta(b []byte) bool {
	h := fnv.New64a()
	_, _ = h.Write(b[:metaSize-8]) // never fails
	return native.Uint32(b) == boltMagic && native.Uint32(b[4:]) == boltVersion && native.Uint64(b[metaSize-8:]) == h.Sum64()
}

// page reads a page with what overflows it, once only.
func (v *verifier) page(id uint64) ([]byte, error) {
	header := make([]byte, pageHeader)
	if id >= v.pages {
		return nil, fmt.Errorf("page %d is beyond the last of %d", id, v.pages)
	}
	at := int64(id) * int64(v.pageSize)
	if _, err := v.file.ReadAt(header, at); err != nil {
		return nil, err
	}
	overflow := uint64(native.Uint32(header[12:]))
	if native.Uint64(header) != id || id+overflow >= v.pages {
		return nil, fmt.Errorf("page %d has a bad header", id)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		v.seen[i] = true
	}
	b := v.buffer(int(overflow+1) * int(v.pageSize))
	_, err := v.file.ReadAt(b, at)
	return b, err
}

// buffer returns one of that size, the spare one if that is large enough.
func (v *verifier) buffer(size int) []byte {
	b := v.spare
	v.spare = nil
	if cap(b) < size {
		return make([]byte, size)
	}
	return b[:size]
}

func (v *verifier) tree(id uint64, depth int) error {
	if depth > deepest {
		return errors.New("its tree is too deep")
	}
	b, err := v.page(id)
	if err != nil {
		return err
	}
	if err := v.elements(b, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	v.spare = b
	return nil
}

// elements checks a branch or leaf page, inline ones of small buckets too.
func (v *verifier) elements(b []byte, depth int) error {
	flags, count := native.Uint16(b[8:]), int(native.Uint16(b[10:]))
	if flags != branchPage && flags != leafPage || pageHeader+count*elementSize > len(b) {
		return errors.New("is neither branch nor leaf")
	}
	if flags == branchPage && count == 0 {
		return errors.New("is a branch with nothing below")
	}
	var last []byte
	for i := range count {
		key, err := v.element(b[pageHeader+i*elementSize:], flags, depth)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return errors.New("keys are out of order")
		}
		last = key
	}
	return nil
}

// element checks one element, given the page from there on, and what is below
// it. It returns the key.
func (v *verifier) element(b []byte, flags uint16, depth int) ([]byte, error) {
	if flags == branchPage {
		key, err := slice(b, native.Uint32(b), native.Uint32(b[4:]))
		if err != nil {
			return nil, err
		}
		return key, v.tree(native.Uint64(b[8:]), depth+1)
	}
	pos, keySize := native.Uint32(b[4:]), native.Uint32(b[8:])
	key, err := slice(b, pos, keySize)
	if err != nil {
		return nil, err
	}
	value, err := slice(b[uint64(pos)+uint64(keySize):], 0, native.Uint32(b[12:]))
	if err != nil || native.Uint32(b)&bucketFlag == 0 {
		return key, err
	}
	return key, v.bucket(value, depth)
}

func slice(b []byte, pos, size uint32) ([]byte, error) {
	if uint64(pos)+uint64(size) > uint64(len(b)) {
		return nil, errors.New("an element is outside of its page")
	}
	return b[pos:][:size], nil
}

// bucket checks a bucket below a leaf: a page of its own, or one inline.
func (v *verifier) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader {
		return errors.New("a bucket is cut off")
	}
	if root := native.Uint64(value); root != 0 {
		return v.tree(root, depth+1)
	}
	if len(value) < bucketHeader+pageHeader || depth > deepest {
		return errors.New("a bucket is cut off")
	}
	return v.elements(value[bucketHeader:], depth+1)
}

// free checks that free pages are used by nothing else.
func (v *verifier) free() error {
	if v.freelist == noFreelist {
		return nil
	}
	b, err := v.page(v.freelist)
	if err != nil {
		return err
	}
	first, count := pageHeader, uint64(native.Uint16(b[10:]))
	if count == 0xFFFF {
		first, count = first+8, native.Uint64(b[pageHeader:])
	}
	if native.Uint16(b[8:]) != freelistPage || count > uint64(len(b)-first)/8 {
		return errors.New("its list of free pages is damaged")
	}
	for i := range int(count) {
		id := native.Uint64(b[first+8*i:])
		if id >= v.pages || v.seen[id] {
			return fmt.Errorf("page %d is free and used", id)
		}
		v.seen[id] = true
	}
	return nil
}
