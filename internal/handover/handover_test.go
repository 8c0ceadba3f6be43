package handover

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestCopy: a socket that a process has got still wakes Accept here when it is
// closed; one of package net's own File does not.
func TestCopy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := Copy(l)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("true")
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan struct{})
	accepted := make(chan struct{})
	go func() {
		defer close(ended)
		if c, err := l.Accept(); err == nil {
			defer c.Close()
		}
		close(accepted)
		l.Accept() // until Close
	}()
	<-accepted
	time.AfterFunc(100*time.Millisecond, func() { l.Close() })
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("Accept does not see Close: the socket blocks")
	}
}

// TestCopyOfNoSocket is an error, not a panic.
func TestCopyOfNoSocket(t *testing.T) {
	if _, err := Copy(noSocket{}); err == nil {
		t.Error("it was copied")
	}
}

type noSocket struct{ net.Listener }

func (noSocket) Addr() net.Addr { return &net.UnixAddr{Name: "/nowhere"} }
