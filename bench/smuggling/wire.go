package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func itoa(n int) string { return strconv.Itoa(n) }
func hex(n int) string  { return strconv.FormatInt(int64(n), 16) }

// quiet is how long nothing must come until an exchange counts as over.
const quiet = 600 * time.Millisecond

// send sends a payload to addr and returns the answers' statuses.
func (p payload) send(addr string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if p.h2 != nil {
		return p.sendFrames(conn)
	}
	if _, err := io.WriteString(conn, p.raw); err != nil {
		return "closed", nil
	}
	return statuses(readQuiet(conn)), nil
}

// readQuiet reads until the end, or until nothing comes any more.
func readQuiet(conn net.Conn) []byte {
	var all bytes.Buffer
	for {
		conn.SetReadDeadline(time.Now().Add(quiet))
		if _, err := io.CopyN(&all, conn, 1); err != nil {
			return all.Bytes()
		}
	}
}

// statuses are those of all answers in raw.
func statuses(raw []byte) string {
	if len(raw) == 0 {
		return "closed"
	}
	var all []string
	r := bufio.NewReader(bytes.NewReader(raw))
	for {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			break
		}
		io.Copy(io.Discard, res.Body)
		all = append(all, strconv.Itoa(res.StatusCode))
	}
	return strings.Join(all, ", ")
}

// sendFrames speaks HTTP/2 without any of the checks that libraries make.
func (p payload) sendFrames(conn net.Conn) (string, error) {
	var block, data bytes.Buffer
	enc := hpack.NewEncoder(&block)
	fields := append([]field{}, p.h2...)
	for _, f := range []field{{":authority", "app"}, {":scheme", "http"}} {
		if !has(p.h2, f.name) {
			fields = append([]field{f}, fields...)
		}
	}
	for _, f := range fields {
		if f.name == body {
			data.WriteString(f.value)
			continue
		}
		enc.WriteField(hpack.HeaderField{Name: f.name, Value: f.value})
	}
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, conn)
	framer.AllowIllegalWrites = true
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	framer.WriteSettings()
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: data.Len() == 0, EndHeaders: true})
	if data.Len() > 0 {
		framer.WriteData(1, true, data.Bytes())
	}
	return readFrames(conn, framer), nil
}

func has(fields []field, name string) bool {
	for _, f := range fields {
		if f.name == name {
			return true
		}
	}
	return false
}

// readFrames returns what became of stream 1.
func readFrames(conn net.Conn, framer *http2.Framer) string {
	for {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		frame, err := framer.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return fmt.Sprintf("RST_STREAM %v", f.ErrCode)
		case *http2.GoAwayFrame:
			return fmt.Sprintf("GOAWAY %v", f.ErrCode)
		}
	}
}
