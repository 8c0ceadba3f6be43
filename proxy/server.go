package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ServerConfig says where and how to listen.
type ServerConfig struct {
	// Listen are addresses such as ":80" or "127.0.0.1:8080".
	Listen []string
	// ListenTLS are those where HTTPS is spoken, with TLS's certificates.
	ListenTLS []string
	// TLS is required with ListenTLS.
	TLS *tls.Config
	// H2C speaks HTTP/2 on Listen too, to clients that begin with it.
	H2C bool
	// Inherited returns the listening socket that another process has opened
	// for an address, nil where there is none. A nil Inherited has none at all.
	Inherited func(addr string) (net.Listener, error)
	// MaxHeaderBytes bounds a request's header; 0 means 64 KiB.
	MaxHeaderBytes int
	// ReadHeaderTimeout bounds how long a header may take; 0 means 10 s.
	// There is no bound on bodies and answers: uploads and streams may be
	// slow.
	ReadHeaderTimeout time.Duration
	// IdleTimeout is how long an idle connection is kept; 0 means 2 min.
	IdleTimeout time.Duration
	// StopTimeout is how long open requests may go on when we stop; 0
	// means 30 s.
	StopTimeout time.Duration
	// MaxConnections bounds the open connections; 0 means 20,000. There are
	// fewer where the process may not have two file descriptors for each.
	MaxConnections int
	// MinRate is the least rate, in bytes a second, at which a client must take
	// what it is sent, after a minute's patience; 0 means any.
	MinRate int64
	// Shared says whether an address stands for many clients, such as a proxy's:
	// its connections are not given up for others'. nil means none does.
	Shared func(netip.Addr) bool
	// Shed hears of connections that are closed for want of room ("full"), of
	// file descriptors ("descriptors"), or of progress ("slow"); may be nil.
	Shed func(reason string)
	// RefusePeer says whether a connection from this address is closed
	// before a byte of it is read; nil means never. It must be fast.
	RefusePeer func(netip.Addr) bool
	// Connect counts a connection that RefusePeer let in, of a peer or of the
	// client that it announced, and says whether a rule refuses it. release,
	// where it isn't nil, is called when the connection is closed. A nil
	// Connect counts nothing.
	Connect func(netip.Addr) (release func(), refused bool)
	// ProxyProtocol says whose PROXY protocol headers are believed; nil
	// means nobody's. RefusePeer is then asked of the address announced too.
	ProxyProtocol func(netip.Addr) bool
	// Log takes errors of connections; nil discards them.
	Log *slog.Logger
}

// Server listens and serves a Handler.
type Server struct {
	config    ServerConfig
	http      *http.Server
	listeners []net.Listener // plain ones first
	crowd     *crowd
	sockets   map[string]net.Listener // by the address that was asked for
}

// Listen opens all of c's addresses, so that a taken port is an error before
// anything is started. Close or Serve ends it.
func Listen(c ServerConfig, h http.Handler) (*Server, error) {
	c.MaxHeaderBytes = orDefault(c.MaxHeaderBytes, 64<<10)
	c.ReadHeaderTimeout = orDefault(c.ReadHeaderTimeout, 10*time.Second)
	c.IdleTimeout = orDefault(c.IdleTimeout, 2*time.Minute)
	c.StopTimeout = orDefault(c.StopTimeout, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{config: c, crowd: newCrowd(c), sockets: map[string]net.Listener{}, http: &http.Server{
		Handler:           h,
		MaxHeaderBytes:    c.MaxHeaderBytes,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		IdleTimeout:       c.IdleTimeout,
		TLSConfig:         offeringHTTP2(c.TLS),
		ConnContext:       withConn,
		Protocols:         protocols(c.H2C),
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}}
	s.http.ConnState = s.crowd.track
	for _, addr := range slices.Concat(c.Listen, c.ListenTLS) {
		l, err := c.open(addr)
		if err != nil {
			s.Close()
			return nil, listenError(addr, err)
		}
		s.sockets[addr] = l
		taken := &crowdListener{Listener: l, crowd: s.crowd, refuse: c.RefusePeer, connect: c.Connect}
		s.listeners = append(s.listeners, headed(taken, c.ProxyProtocol, c.RefusePeer, c.Connect))
	}
	return s, nil
}

// open takes the socket that was left for an address, or opens one.
func (c *ServerConfig) open(addr string) (net.Listener, error) {
	if c.Inherited != nil {
		if l, err := c.Inherited(addr); l != nil || err != nil {
			return l, err
		}
	}
	return keepingAlive.Listen(context.Background(), "tcp", addr)
}

// Sockets are the listening sockets by the addresses asked for, to be copied for
// a process that takes over.
func (s *Server) Sockets() map[string]net.Listener { return s.sockets }

// offeringHTTP2 names HTTP/2 in the configuration itself. An http.Server that
// serves without TLS first looks for it there, and only then; without it, a
// server for both would offer HTTP/2 to its TLS clients and not speak it.
func offeringHTTP2(c *tls.Config) *tls.Config {
	if c == nil || slices.Contains(c.NextProtos, "h2") {
		return c
	}
	c = c.Clone()
	c.NextProtos = append([]string{"h2", "http/1.1"}, c.NextProtos...)
	return c
}

// protocols are HTTP/1.1, HTTP/2 over TLS, and without it by choice.
func protocols(h2c bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(h2c)
	return p
}

// keepingAlive sets TCP keep-alive on the listening socket. Linux lets accepted
// connections inherit it, which saves four system calls a connection beside
// setting it on each.
var keepingAlive = net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) { set = setKeepAlive(int(fd)) })
	return errors.Join(err, set)
}}

// setKeepAlive uses Go's defaults: the first probe after 15 s, then every 15 s,
// and nine of them.
func setKeepAlive(fd int) error {
	return errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 15),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 15),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 9),
	)
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on %s: another program already listens there; stop it (ss -ltnp shows which) or choose another --listen", addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen on %s: a port below 1024 needs root or CAP_NET_BIND_SERVICE; use sudo, or a port such as --listen :8080", addr)
	}
	return fmt.Errorf("listen on %s: %w", addr, err)
}

// Addrs are the addresses listened on, ports resolved.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// URLs are how a person on this machine reaches the addresses listened on.
func (s *Server) URLs() []string {
	urls := make([]string, len(s.listeners))
	for i, l := range s.listeners {
		urls[i] = localURL(l.Addr(), s.secure(i))
	}
	return urls
}

// SecurePort is the port of the first address where HTTPS is spoken; 0 for
// none.
func (s *Server) SecurePort() int {
	for i, l := range s.listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok && s.secure(i) {
			return a.Port
		}
	}
	return 0
}

// secure says whether a listener speaks HTTPS.
func (s *Server) secure(listener int) bool { return listener >= len(s.config.Listen) }

// Close stops listening at once.
func (s *Server) Close() {
	for _, l := range s.listeners {
		l.Close()
	}
	s.http.Close()
}

// Serve serves until ctx ends, then lets open requests finish within
// StopTimeout. It returns nil after an orderly end.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, len(s.listeners))
	var group, accepting sync.WaitGroup
	for i, l := range s.listeners {
		serve := s.http.Serve
		if s.secure(i) {
			serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
		}
		accepting.Go(func() { failed <- serve(l) })
	}
	sweeping, stopSweep := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() { s.crowd.sweep(sweeping) })
	defer group.Wait()
	defer stopSweep()
	defer accepting.Wait()
	select {
	case err := <-failed:
		s.http.Close()
		return err
	case <-ctx.Done():
	}
	// Shutdown neither sees a connection that is being accepted just now, nor
	// serves a first request that it finds being read.
	for _, l := range s.listeners {
		l.Close()
	}
	accepting.Wait()
	stop, cancel := contextWithTimeout(ctx, s.config.StopTimeout)
	defer cancel()
	s.crowd.awaitFirst(stop)
	if err := s.http.Shutdown(stop); err != nil {
		s.config.Log.Warn("some requests did not finish in time; their connections are closed", "timeout", s.config.StopTimeout)
		s.http.Close()
	}
	return nil
}

// connectFunc is ServerConfig.Connect.
type connectFunc func(netip.Addr) (release func(), refused bool)

// take asks both questions about a new connection.
func take(peer netip.Addr, refuse func(netip.Addr) bool, connect connectFunc) (release func(), refused bool) {
	switch {
	case !peer.IsValid():
		return nil, false
	case refuse != nil && refuse(peer):
		return nil, true
	case connect != nil:
		return connect(peer)
	}
	return nil, false
}

// crowdListener closes connections of refused peers as they are accepted, and
// has the others counted. Both functions may be nil.
type crowdListener struct {
	net.Listener
	crowd   *crowd
	refuse  func(netip.Addr) bool
	connect connectFunc
}

// Accept implements net.Listener.
func (l *crowdListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			l.crowd.relieve(err)
			return nil, err
		}
		release, refused := take(addrOf(conn.RemoteAddr()), l.refuse, l.connect)
		if refused {
			conn.Close()
		} else if taken := l.crowd.join(conn, release); taken != nil {
			return taken, nil
		}
	}
}

func localURL(a net.Addr, secure bool) string {
	scheme, usual := "http", "80"
	if secure {
		scheme, usual = "https", "443"
	}
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return scheme + "://" + a.String()
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	if port == usual {
		return scheme + "://" + strings.TrimSuffix(net.JoinHostPort(host, ""), ":")
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
