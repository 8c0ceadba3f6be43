package main

import (
	"context"
	"net"
	"os"
	"strings"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/systemd"
)

// The names of sockets that are handed to a successor; an address follows the
// first two.
const (
	publicSocket = "listen "
	givenSocket  = "systemd "
	adminSocket  = "admin"
	kernelSocket = "kernel"
)

// given is a socket that systemd has opened for us.
type given struct {
	scheme string // "http://", "https://", or empty: as for --listen
	addr   string
	l      net.Listener
}

// takeSockets takes what systemd has opened for us (socket activation), or had
// for our predecessor. Such sockets stand in place of --listen.
func (s *service) takeSockets(context.Context) error {
	files := map[string]*os.File{}
	for _, name := range s.before.Names() {
		if address, ours := strings.CutPrefix(name, givenSocket); ours {
			files[address] = s.before.Socket(name)
		}
	}
	for address, f := range files {
		scheme, _, found := strings.Cut(address, "://")
		if found {
			scheme += "://"
		} else {
			scheme = ""
		}
		if err := s.take(scheme, f); err != nil {
			return err
		}
	}
	for _, f := range systemd.Sockets() {
		scheme := ""
		if f.Name() == "http" || f.Name() == "https" {
			scheme = f.Name() + "://"
		}
		if err := s.take(scheme, f); err != nil {
			return err
		}
	}
	if len(s.given) > 0 && s.config.Origin("listen").Layer != config.FromDefault {
		s.log.Info("systemd has opened the sockets; --listen is not used", "listen", s.config.Listen)
	}
	return nil
}

func (s *service) take(scheme string, f *os.File) error {
	l, err := listenerOf(f)
	if err != nil {
		return cmdline.Usagef("the socket from systemd named %q is none to listen on: %w; a .socket unit for flask2ban has ListenStream= and no Accept=yes", f.Name(), err)
	}
	s.closers = append(s.closers, func() error { l.Close(); return nil }) // mostly closed by then
	if _, ok := l.(*net.TCPListener); !ok {
		return cmdline.Usagef("systemd gives the socket %s, which is none of TCP: write ListenStream=80 in the .socket unit, for a port", l.Addr())
	}
	s.given = append(s.given, given{scheme, l.Addr().String(), l})
	return nil
}

// listenerOf is nil for no file, and takes it over else.
func listenerOf(f *os.File) (net.Listener, error) {
	if f == nil {
		return nil, nil
	}
	defer f.Close()
	return net.FileListener(f)
}

// listening is the configuration with the addresses that we really listen on.
func (s *service) listening() *config.Config {
	if len(s.given) == 0 {
		return s.config
	}
	c := *s.config
	c.Listen = nil
	for _, g := range s.given {
		c.Listen = append(c.Listen, g.scheme+g.addr)
	}
	return &c
}

// openPublicSocket is [proxy.ServerConfig.Inherited].
func (s *service) openPublicSocket(addr string) (net.Listener, error) {
	if g := s.givenAt(addr); g != nil {
		return g.l, nil
	}
	return listenerOf(s.before.Socket(publicSocket + addr))
}

func (s *service) givenAt(addr string) *given {
	for i := range s.given {
		if s.given[i].addr == addr {
			return &s.given[i]
		}
	}
	return nil
}

// nameOf is under what name a public socket goes to a successor.
func (s *service) nameOf(addr string) string {
	if g := s.givenAt(addr); g != nil {
		return givenSocket + g.scheme + addr
	}
	return publicSocket + addr
}
