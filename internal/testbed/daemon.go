package testbed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
)

// Site is what a daemon is started with.
type Site struct {
	// Binary is the flask2ban to run.
	Binary string
	// Dir is where it stands.
	Dir string
	// Args are APP, flags, and a server's command after "--" where there is one.
	Args []string
	// Env is added to ours.
	Env []string
	// Addr is where it listens; empty for a free address.
	Addr string
	// State is its state directory.
	State string
}

// Daemon is a flask2ban that we started.
type Daemon struct {
	*Program
	// Addr is where it listens, Admin where its API is: host:port.
	Addr, Admin string
	State       string
}

// readyTime is what an app has to start, on a machine that others load.
const readyTime = time.Minute

// StartDaemon runs a flask2ban and returns when its app is ready. Where that
// fails nothing is left running.
func StartDaemon(ctx context.Context, s Site) (*Daemon, error) {
	d := &Daemon{Addr: s.Addr, State: s.State}
	var err error
	if d.Addr == "" {
		if d.Addr, err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	if d.Admin, err = FreeAddr(); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.Binary, insertFlags(s.Args, "--listen", d.Addr, "--admin", d.Admin, "--state", d.State)...)
	cmd.Dir, cmd.Env = s.Dir, append(os.Environ(), s.Env...)
	if d.Program, err = Start(filepath.Base(s.Binary), cmd); err != nil {
		return nil, err
	}
	ready := func() bool { return Answers("http://" + d.Admin + "/readyz") }
	if err := d.Await(ctx, readyTime, "the app is ready", ready); err != nil {
		return nil, errors.Join(err, d.Stop(time.Second))
	}
	return d, nil
}

// insertFlags puts flags where a command line has them: before "--".
func insertFlags(args []string, flags ...string) []string {
	at := slices.Index(args, "--")
	if at < 0 {
		at = len(args)
	}
	return slices.Insert(slices.Clone(args), at, flags...)
}

// Answers says whether a URL answers with 200.
func Answers(url string) bool {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return false
	}
	_ = res.Body.Close() // it has been read, or isn't wanted
	return res.StatusCode == http.StatusOK
}

// nextPort counts on over the calls of FreeAddr, so that two of one process
// never get the same port before it is used.
var nextPort atomic.Uint32

// FreeAddr is an address of 127.0.0.1 that nobody listens on now. Its port is below
// those that the kernel gives out, so that nobody's outgoing connection takes
// it before it is used.
func FreeAddr() (string, error) {
	const first, ports = 20000, 10000
	for range ports {
		port := first + (uint32(os.Getpid())*97+nextPort.Add(1))%ports
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		return l.Addr().String(), l.Close()
	}
	return "", fmt.Errorf("no port from %d to %d is free", first, first+ports-1)
}
