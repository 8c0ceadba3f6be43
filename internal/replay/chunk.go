package replay

import (
	"bytes"
	"io"
	"strings"
)

const (
	// chunkSize is how much of a log, in bytes, is parsed as one piece.
	chunkSize  = 256 << 10
	firstChunk = 64 << 10
	// maxLine is the longest line read as one, in bytes. Servers refuse
	// requests of more than a few KiB; what is longer is not theirs.
	maxLine = 2 << 20
)

// chunker cuts a log into pieces of whole lines.
type chunker struct {
	r    io.Reader
	size int
	// live hands out what is there rather than wait for more.
	live bool

	buf  []byte
	rest []byte // of buf: the beginning of the next line
	// long is how many lines were too long, not yet reported.
	long int
	err  error
}

// next returns whole lines, and at the end io.EOF or what went wrong. Text may
// come with an error: that is the last then.
func (c *chunker) next() (string, error) {
	if c.err != nil {
		return "", c.err
	}
	if c.buf == nil {
		c.buf = make([]byte, c.size)
	}
	n := copy(c.buf, c.rest)
	c.rest = nil
	end := -1 // of the last whole line; there is none in the rest
	for {
		if n == len(c.buf) && !c.room(&n) {
			end = bytes.LastIndexByte(c.buf[:n], '\n')
			continue
		}
		got, err := c.r.Read(c.buf[n:])
		if last := bytes.LastIndexByte(c.buf[n:n+got], '\n'); last >= 0 {
			end = n + last
		}
		n += got
		if err != nil {
			c.err = err
			return string(c.buf[:n]), err
		}
		if n < c.size && !c.live {
			continue
		}
		if end >= 0 {
			c.rest = c.buf[end+1 : n]
			return string(c.buf[:end+1]), nil
		}
	}
}

// room makes the buffer longer, for a line longer than it. A line beyond all
// measure is read to its end and left out; then it returns false.
func (c *chunker) room(n *int) bool {
	if len(c.buf) < maxLine {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
		return true
	}
	c.long++
	*n = 0
	for {
		got, err := c.r.Read(c.buf)
		if end := bytes.IndexByte(c.buf[:got], '\n'); end >= 0 {
			*n = copy(c.buf, c.buf[end+1:got])
			return false
		}
		if err != nil {
			return false // the next Read says it again
		}
	}
}

// eachLine calls f with every line that isn't empty, without its end, until f
// returns false.
func eachLine(text string, f func(line string) bool) {
	for text != "" {
		end := strings.IndexByte(text, '\n')
		line := text
		if end < 0 {
			text = ""
		} else {
			line, text = text[:end], text[end+1:]
		}
		line = strings.TrimSuffix(line, "\r")
		if line != "" && !f(line) {
			return
		}
	}
}
