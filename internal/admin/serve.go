package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Time limits of the API. Answers are small, except a long list of bans.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = time.Minute
	idleTimeout   = 2 * time.Minute
	// stopTimeout is how long requests may go on after the end was asked for.
	stopTimeout    = 3 * time.Second
	maxHeaderBytes = 16 << 10
)

// Serve answers on l, a Unix or TCP listener, until ctx ends, and closes it.
// It may be called for several listeners at once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	local := isLocal(l.Addr())
	srv := &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), endingKey{}, ctx.Done())
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, identify(c, local))
		},
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve admin API on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	return stop(ctx, srv, served)
}

func stop(ctx context.Context, srv *http.Server, served <-chan error) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := srv.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-served
	return err
}

// isLocal says that only this machine can connect.
func isLocal(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return !ok || tcp.IP.IsLoopback()
}

// endingKey is where a request's context has the channel that is closed when its
// server ends: live pages must leave then, while other requests may finish.
type endingKey struct{}

func ending(r *http.Request) <-chan struct{} {
	done, _ := r.Context().Value(endingKey{}).(<-chan struct{})
	return done
}

type callerKey struct{}

// caller is who sent a request.
type caller struct {
	// unix: over the socket that only its owner and root can open.
	unix bool
	// local: only this machine could have connected.
	local bool
	who   string
}

// String is how the audit log names the caller.
func (c caller) String() string { return c.who }

func callerOf(r *http.Request) caller {
	if c, ok := r.Context().Value(callerKey{}).(caller); ok {
		return c
	}
	return caller{who: "tcp " + r.RemoteAddr}
}

func identify(c net.Conn, local bool) caller {
	if uc, ok := c.(*net.UnixConn); ok {
		return caller{unix: true, local: true, who: "unix " + peerOf(uc)}
	}
	return caller{local: local, who: "tcp " + c.RemoteAddr().String()}
}

// peerOf asks the kernel who connected (SO_PEERCRED).
func peerOf(c *net.UnixConn) string {
	raw, err := c.SyscallConn()
	if err != nil {
		return "unknown"
	}
	var cred *unix.Ucred
	if ctlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); ctlErr != nil || err != nil {
		return "unknown"
	}
	who := fmt.Sprintf("uid %d pid %d", cred.Uid, cred.Pid)
	if u, err := user.LookupId(strconv.FormatUint(uint64(cred.Uid), 10)); err == nil {
		who += " (" + u.Username + ")"
	}
	return who
}
