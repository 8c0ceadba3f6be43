package e2e

import (
	"bufio"
	bits "encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// webSocket is a client's end of one, frame by frame (RFC 6455 5.2).
type webSocket struct {
	conn net.Conn
	in   *bufio.Reader
}

// Opcodes of frames.
const (
	wsMore   = 0x0
	wsText   = 0x1
	wsBinary = 0x2
	wsClose  = 0x8
	wsPing   = 0x9
	wsPong   = 0xA
	wsFinal  = 0x80 // the flag of a message's last frame
)

// openSocket shakes hands for target from an address.
func openSocket(from, addr, target string) (*webSocket, *http.Response, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	return shakeHands(conn, addr, target)
}

// shakeHands makes a connection a WebSocket, or closes it.
func shakeHands(conn net.Conn, addr, target string) (*webSocket, *http.Response, error) {
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", target, addr)
	in := bufio.NewReaderSize(conn, 1024)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	// The key and its answer are the example of RFC 6455 1.3.
	if res.StatusCode == http.StatusSwitchingProtocols && res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		err = fmt.Errorf("accepted with %q", res.Header.Get("Sec-WebSocket-Accept"))
	}
	return &webSocket{conn, in}, res, err
}

// socket opens one that must be accepted.
func (d *daemon) socket(from, target string) *webSocket {
	d.t.Helper()
	s, res, err := openSocket(from, d.addr, target)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
		d.t.Fatalf("WebSocket %s: %v %v", target, res, err)
	}
	d.t.Cleanup(func() { s.conn.Close() })
	return s
}

// send writes one frame, masked as a client's must be.
func (s *webSocket) send(head byte, payload []byte) error {
	frame := []byte{head}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = bits.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = bits.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	frame = append(frame, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	_, err := s.conn.Write(frame)
	return err
}

// receive reads one frame.
func (s *webSocket) receive() (head byte, payload []byte, err error) {
	var start [2]byte
	if _, err := io.ReadFull(s.in, start[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(start[1])
	switch size {
	case 126:
		var n uint16
		err = bits.Read(s.in, bits.BigEndian, &n)
		size = uint64(n)
	case 127:
		err = bits.Read(s.in, bits.BigEndian, &size)
	}
	if err == nil {
		payload = make([]byte, size)
		_, err = io.ReadFull(s.in, payload)
	}
	return start[0], payload, err
}

// wantFrame fails the test where the next frame is another.
func (s *webSocket) wantFrame(t testing.TB, head byte, payload string) {
	t.Helper()
	gotHead, got, err := s.receive()
	if err != nil || gotHead != head || string(got) != payload {
		t.Fatalf("got frame %#x %.100q %v, want %#x %.100q", gotHead, got, err, head, payload)
	}
}

// wantEnd waits for the server to close, and closes: it waits for that in turn.
func (s *webSocket) wantEnd(t testing.TB) {
	t.Helper()
	if _, err := s.in.ReadByte(); err != io.EOF {
		t.Errorf("after the close: %v", err)
	}
	s.conn.Close()
}

// echo has a message come back.
func (s *webSocket) echo(t testing.TB, message string) {
	t.Helper()
	if err := s.send(wsFinal|wsText, []byte(message)); err != nil {
		t.Fatal(err)
	}
	s.wantFrame(t, wsFinal|wsText, message)
}
