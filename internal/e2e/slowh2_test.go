package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// slowStreams opens a connection of HTTP/2 with many streams that take nothing
// (a window of no bytes), or whose bodies don't come.
func slowStreams(d *daemon, from, method, path string, streams int) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	conn, err := dialer.Dial("tcp", d.addr)
	if err != nil {
		return err
	}
	d.t.Cleanup(func() { conn.Close() })
	go io.Copy(io.Discard, conn) // so that only the windows hold anything back
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, nil)
	if err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}); err != nil {
		return err
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := range streams {
		block.Reset()
		for _, f := range [][2]string{{":method", method}, {":scheme", "http"}, {":authority", d.addr}, {":path", path}} {
			if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
				return err
			}
		}
		err := framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndHeaders: true, EndStream: method == "GET",
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// TestSlowStreams: 400 streams on 20 connections of HTTP/2 that read nothing or
// send no body; good clients are served as before, within bounded memory.
func TestSlowStreams(t *testing.T) {
	for name, request := range map[string][2]string{"slow read": {"GET", "/download/1000000"}, "slow body": {"POST", "/upload"}} {
		t.Run(name, func(t *testing.T) {
			d := start(t, t.TempDir(), "", testApp(t, "protocols.py"), "--h2c", "--buffer-bodies")
			before := d.rss()
			for i := range 20 {
				if err := slowStreams(d, fmt.Sprintf("127.0.8.%d", 120+i), request[0], request[1], 20); err != nil {
					t.Fatal(err)
				}
			}
			d.await("they are under way", func() bool { return d.metric("flask2ban_http_requests_in_flight") >= 300 })
			for range 50 {
				d.from("127.0.8.7").want(200, "/seen/x")
			}
			if now := d.rss(); now > before+150<<20 {
				t.Errorf("memory grew from %d MiB to %d MiB", before>>20, now>>20)
			}
		})
	}
}
