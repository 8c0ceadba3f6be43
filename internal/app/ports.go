package app

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// namedPort is the port that a program finds in its environment, which is for
// those that neither hook nor servers' variables reach: a frozen executable, one
// in another language. The zero value is none.
type namedPort struct {
	number int
	// ours says that we have chosen it, for one instance.
	ours bool
	own  []string // the variables that name it
}

// namePort adds to env what names a free port of this machine, unless the
// operator has set PORT, or the app is to keep its own port.
func (a *App) namePort(env []string) ([]string, namedPort, error) {
	if set := getEnv(env, "PORT"); set != "" || a.config.OwnPort {
		n, _ := strconv.Atoi(set) // what is no number names none
		return env, namedPort{number: n}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, namedPort{}, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	n := namedPort{number: l.Addr().(*net.TCPAddr).Port, ours: true}
	n.own = []string{fmt.Sprintf("PORT=%d", n.number), fmt.Sprintf("FLASK_RUN_PORT=%d", n.number), "FLASK_RUN_HOST=127.0.0.1"}
	for _, entry := range n.own {
		name, value, _ := strings.Cut(entry, "=")
		env = setEnv(env, name, value)
	}
	return env, n, nil
}

// handedBy says how the instance got the socket that it serves on, and where it
// listens by itself.
func (i *instance) handedBy() (launcher, address string) {
	e := i.place.elsewhere.Load()
	switch {
	case e != nil && e.given:
		return ByPort, e.addr.String()
	case e != nil:
		return ByDiscovery, e.addr.String()
	case i.wasBound.Load():
		return ByHook, ""
	}
	return ByVariables, ""
}

// whatIsOpen says, of an instance that does not serve, what it has opened.
func (i *instance) whatIsOpen() string {
	var found []string
	for _, s := range i.opened() {
		found = append(found, s.addr.String())
	}
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf(", but listens on %s by itself, where nothing says that it is the app: name its port with --env PORT=..., or a page of it with --health-path",
		strings.Join(found, ", "))
}

// giveUpVariables notes that the app has closed the descriptor that the
// servers' variables name: it ended with EBADF, and no hook was there to take
// them away. The next instance goes without.
func (a *App) giveUpVariables(end ending) {
	if end.ready || end.bound || end.hooked || a.closesFiles.Load() {
		return
	}
	for _, line := range end.lastSaid {
		if strings.Contains(line, "Bad file descriptor") {
			a.closesFiles.Store(true)
			a.note(Event{Kind: Noted, Seen: "the app's start closes the descriptors that it inherits, and our socket with them",
				Done: "start it without; it is looked for on a port of its own"})
			return
		}
	}
}
