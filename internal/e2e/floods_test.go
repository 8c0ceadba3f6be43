package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// flooder writes frames of HTTP/2 as fast as it can.
type flooder struct {
	*http2.Framer
	head []byte // the header block of a GET
}

// flood has frames written on a connection until they are refused, at most limit.
func flood(d *daemon, from string, limit int, frames func(f flooder, i int) error) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	conn, err := dialer.Dial("tcp", d.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	go io.Copy(io.Discard, conn)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	var head bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", d.addr}, {":path", "/seen/x"}} {
		if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	f := flooder{http2.NewFramer(conn, nil), head.Bytes()}
	if err := f.WriteSettings(); err != nil {
		return err
	}
	for i := range limit {
		if frames(f, i) != nil {
			break // refused, as it may be
		}
	}
	return nil
}

// begin writes the header of the i-th stream.
func (f flooder) begin(i int, whole bool) error {
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: f.head, EndHeaders: whole, EndStream: true})
}

// TestFloods: streams that are reset as soon as they begin (CVE-2023-44487), a
// header that never ends (CVE-2023-45288), pings and settings, from four
// connections each; a good client is served meanwhile, within bounded memory.
func TestFloods(t *testing.T) {
	more := []byte("\x00\x03x-a\x64" + strings.Repeat("a", 100)) // a field of its own name
	for name, frames := range map[string]func(f flooder, i int) error{
		"reset": func(f flooder, i int) error {
			if err := f.begin(i, true); err != nil {
				return err
			}
			return f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		},
		"continuation": func(f flooder, i int) error {
			if i == 0 {
				return f.begin(0, false)
			}
			return f.WriteContinuation(1, false, bytes.Repeat(more, 100))
		},
		"ping":     func(f flooder, _ int) error { return f.WritePing(false, [8]byte{}) },
		"settings": func(f flooder, _ int) error { return f.WriteSettings() },
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, t.TempDir(), "", testApp(t, "protocols.py"), "--h2c")
			before := d.rss()
			var group sync.WaitGroup
			for i := range 4 {
				group.Go(func() {
					if err := flood(d, fmt.Sprintf("127.0.8.%d", 160+i), 3_000, frames); err != nil {
						t.Error(err)
					}
				})
			}
			for range 50 {
				d.from("127.0.8.7").want(200, "/seen/x")
			}
			group.Wait()
			// cmd/flask2ban/memory.go: more is collected.
			if now := d.rss(); now > before+512<<20 {
				t.Errorf("memory grew from %d MiB to %d MiB", before>>20, now>>20)
			}
			d.from("127.0.8.8").want(200, "/seen/x")
		})
	}
}
