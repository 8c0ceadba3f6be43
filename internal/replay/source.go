package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// source is one log.
type source struct {
	name string
	// open begins to read it; at once, and again for a second pass.
	open func() (io.ReadCloser, error)
	// peek opens it beside that; nil where this can't be.
	peek func() (io.ReadCloser, error)
	// whole opens one that is followed without following it; nil for others.
	whole func() (io.ReadCloser, error)
	// size is that of the file, 0 where unknown.
	size int64
	// live says that what is there should be judged before more comes.
	live bool
	// first is the time of its first request.
	first int64
}

// stdin is how the standard input is given, stdinName how it is called.
const (
	stdin     = "-"
	stdinName = "standard input"
)

// openLogs makes sources of the names that a person gave, checks that each can
// be opened, and orders them by time.
func openLogs(ctx context.Context, c Config, read *atomic.Int64) ([]*source, error) {
	var sources []*source
	for i, name := range c.Logs {
		s := &source{name: stdinName, live: true, first: math.MinInt64}
		if name == stdin {
			s.open = func() (io.ReadCloser, error) { return decompress(io.NopCloser(c.Stdin), read) }
		} else {
			var err error
			if s, err = openFile(ctx, name, c.Follow && i == len(c.Logs)-1, read); err != nil {
				return nil, err
			}
		}
		sources = append(sources, s)
	}
	if len(sources) > 1 {
		for _, s := range sources {
			s.findFirst()
		}
		slices.SortStableFunc(sources, func(a, b *source) int { return cmp.Compare(a.first, b.first) })
	}
	return sources, nil
}

// openFile makes a source of the file at path. One that is followed comes after
// all others.
func openFile(ctx context.Context, path string, follow bool, read *atomic.Int64) (*source, error) {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a directory; name the logs in it", path)
	}
	if err != nil {
		return nil, err
	}
	s := &source{name: path, size: info.Size(), first: math.MinInt64}
	s.open = func() (io.ReadCloser, error) { return openAt(path, read) }
	s.peek = func() (io.ReadCloser, error) { return openAt(path, new(atomic.Int64)) }
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !follow {
		return s, nil
	}
	if magic(bufio.NewReader(f)) != nil {
		return nil, fmt.Errorf("%s is compressed: it can't be followed; leave -f out", path)
	}
	s.live, s.first, s.peek, s.whole = true, math.MaxInt64, nil, s.open
	s.open = func() (io.ReadCloser, error) { return openTail(ctx, path, read) }
	return s, nil
}

func openAt(path string, read *atomic.Int64) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return decompress(f, read)
}

// counted counts the bytes read of a file, compressed as they may be.
type counted struct {
	io.Reader
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// codecs are the compressions known, by how their files begin.
var codecs = []struct {
	magic []byte
	open  func(io.Reader) (io.ReadCloser, error)
}{
	{[]byte{0x1f, 0x8b}, func(r io.Reader) (io.ReadCloser, error) { return gzip.NewReader(r) }},
	{[]byte{0x28, 0xb5, 0x2f, 0xfd}, func(r io.Reader) (io.ReadCloser, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}},
}

// maxZstdWindow is the memory, in bytes, that a zstd file may ask for.
const maxZstdWindow = 256 << 20

// magic returns what opens the compression that r's text is in; nil for none.
func magic(r *bufio.Reader) func(io.Reader) (io.ReadCloser, error) {
	begin, _ := r.Peek(4) // fewer at the end
	for _, c := range codecs {
		if bytes.HasPrefix(begin, c.magic) {
			return c.open
		}
	}
	return nil
}

// decompress reads what is in r, compressed or not, and counts r's bytes.
func decompress(r io.ReadCloser, read *atomic.Int64) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(counted{r, read}, 1<<16)
	open := magic(buffered)
	if open == nil {
		return stacked{buffered, r, nil}, nil
	}
	inner, err := open(buffered)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return stacked{inner, r, inner}, nil
}

// stacked reads from the top of a stack of readers and closes all.
type stacked struct {
	io.Reader
	file, codec io.Closer
}

func (s stacked) Close() error {
	if s.codec == nil {
		return s.file.Close()
	}
	return errors.Join(s.codec.Close(), s.file.Close())
}

// peeked is how much of a log is looked at for its first time, in lines.
const peeked = 1000

// findFirst finds when the log begins. A log without a time begins first.
func (s *source) findFirst() {
	if s.peek == nil {
		return
	}
	r, err := s.peek()
	if err != nil {
		return // told of when it is its turn
	}
	defer r.Close()
	c := chunker{r: r, size: firstChunk}
	text, err := c.next()
	if err != nil && text == "" {
		return
	}
	var rec record
	n := 0
	eachLine(text, func(line string) bool {
		n++
		if _, err := parse(line, &rec); err == nil {
			s.first = rec.time
			return false
		}
		return n < peeked
	})
}
