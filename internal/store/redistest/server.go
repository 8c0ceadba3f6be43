// Package redistest runs real Redis servers for tests.
package redistest

import (
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Server is a redis-server on a port of its own, with nothing in it.
type Server struct {
	t    testing.TB
	addr string
	dir  string
	args []string
	cmd  *exec.Cmd
}

// Start runs a server until the test ends. Args are redis-server's, such as
// "--requirepass", "secret".
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, addr: l.Addr().String(), dir: t.TempDir(), args: args}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Run()
	return s
}

// Addr is the server's host:port, the same after each Run.
func (s *Server) Addr() string { return s.addr }

// URL is the server's, without a password.
func (s *Server) URL() string { return "redis://" + s.addr + "/0" }

// Run starts the server again after Kill: empty, unless its arguments make it
// save.
func (s *Server) Run() {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("redis-server is not installed here; run: make deps")
	}
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.args...)
	s.cmd = exec.Command(path, args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !s.answers(); {
		if time.Now().After(deadline) {
			s.t.Fatalf("redis-server on %s does not answer after 20 s", s.addr)
		}
	}
}

// answers says whether the server takes commands.
func (s *Server) answers() bool {
	time.Sleep(5 * time.Millisecond)
	c, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second)) // a read that hangs would show
	if _, err := fmt.Fprint(c, "PING\r\n"); err != nil {
		return false
	}
	reply := make([]byte, 5)
	n, err := c.Read(reply)
	return err == nil && n > 0 && (reply[0] == '+' || string(reply[:n]) == "-NOAU")
}

// Kill ends the server as a crash does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // by the signal
	s.cmd = nil
}

// Pause makes the server hang: it takes connections and answers nothing.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}
