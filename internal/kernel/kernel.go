// Package kernel drops the packets of banned clients in Linux's own packet
// filter (nf_tables), so that a flood of connections of theirs costs us
// nothing.
//
// It holds bans; it does not make them. A ban comes here once the client has
// been told why it is refused, and its end is the kernel's own: were we to die,
// every ban would still end in time.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// DefaultTable is the table's name: all that is ours in the packet filter.
const DefaultTable = "flask2ban"

const (
	// updateEvery is the time between two updates at least.
	updateEvery = 250 * time.Millisecond
	// share bounds the part of a processor that updates take: each is followed
	// by a pause of share times what it took.
	share = 20
	// chunk is how many elements one message carries at most; an attribute of
	// netlink holds 64 KiB.
	chunk = 500
	// chunks is how many messages are sent at once, in one transaction, and
	// buffer what they take at most in bytes.
	chunks = 20
	buffer = 4 << 20
)

// Ban is one client or network to be dropped.
type Ban struct {
	// Prefix is who.
	Prefix netip.Prefix
	// Until is when the ban ends.
	Until time.Time
	// Told says that the client knows why it is refused; until then it is left
	// to the proxy. One that was dropped already, by an earlier process of
	// ours too, goes on to be.
	Told bool
}

// Config says what to drop. Bans and Ports are required.
type Config struct {
	// Bans returns the bans in force.
	Bans func(now time.Time) []Ban
	// Ports are the TCP ports to which nothing of a banned client gets: ours.
	// Other services of the machine are none of our business.
	Ports []uint16
	// Table is the table's name; empty means DefaultTable.
	Table string
	// Keep leaves the table at the end: bans go on to hold until their own.
	Keep bool
	// Lock is what a predecessor has handed over, so that the table is ours
	// though it still lives; nil takes it.
	Lock *os.File
	// Log takes what an operator should know; nil discards it.
	Log *slog.Logger
}

// Firewall holds bans in the packet filter. One goroutine may use it, but for
// Lock and Pause.
type Firewall struct {
	config Config
	conn   *nftables.Conn
	lock   net.Listener
	rules  ruleset
	// held is what the kernel has, by prefix until when.
	held map[netip.Prefix]time.Time
	// broken says that an update went wrong: the next one starts anew.
	broken bool
	// paused says that the table is a successor's.
	paused atomic.Bool
}

// Open makes the table, drops at once what an earlier process left there, where
// it is still banned, and forgets the rest. Its errors name the remedy.
func Open(c Config) (*Firewall, error) {
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	lock, err := lockTable(c)
	if err != nil {
		return nil, err
	}
	f := &Firewall{config: c, lock: lock, rules: newRuleset(c.Table, c.Ports)}
	if err := f.begin(); err != nil {
		f.release()
		return nil, explain(err)
	}
	return f, nil
}

// begin takes over what an earlier process left, and writes the table anew in
// one transaction: there is no moment in which nobody is dropped.
func (f *Firewall) begin() error {
	var err error
	if f.conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(large)); err != nil {
		return err
	}
	left, err := f.rules.elements(f.conn)
	if err != nil {
		return err
	}
	now := time.Now()
	f.held = map[netip.Prefix]time.Time{}
	for _, p := range left {
		f.held[p] = time.Time{}
	}
	want := f.want(now)
	f.rules.create(f.conn)
	if err := f.add(now, want); err != nil {
		return err
	}
	if err := f.conn.Flush(); err != nil {
		return err
	}
	f.held = want
	f.config.Log.Info("bans of told clients go to the kernel's packet filter", "table", f.config.Table, "ports", f.config.Ports, "taken over", len(want))
	return nil
}

// large makes room for a batch, past the system's usual bounds: we may.
func large(c *netlink.Conn) error {
	return errors.Join(c.SetWriteBuffer(buffer), c.SetReadBuffer(buffer))
}

// lockTable makes sure that one process has the table. The name of an abstract
// socket is free again when its process ends, however it does, and belongs to
// the network namespace, as tables do.
func lockTable(c Config) (net.Listener, error) {
	if c.Lock != nil {
		defer c.Lock.Close()
		return net.FileListener(c.Lock)
	}
	lock, err := net.Listen("unix", "@flask2ban-kernel-"+c.Table)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("nf_tables: another flask2ban has the table %s: leave --kernel out of one of the two", c.Table)
	}
	return lock, err
}

// Lock is the socket that makes the table ours, to be copied for a successor.
func (f *Firewall) Lock() net.Listener { return f.lock }

// Pause leaves the table to a successor; false takes it back.
func (f *Firewall) Pause(on bool) { f.paused.Store(on) }

// explain adds the remedy to the errors that a person will meet.
func explain(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("--kernel needs root or CAP_NET_ADMIN (AmbientCapabilities=CAP_NET_ADMIN in a systemd unit); leave it out to refuse at accept: %w", err)
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("--kernel needs a Linux kernel with nf_tables (modprobe nf_tables); leave it out to refuse at accept: %w", err)
	}
	return fmt.Errorf("nf_tables: %w", err)
}

// Serve keeps the packet filter up to date until ctx ends. That it can't be is
// logged and tried again: the proxy goes on to refuse.
func (f *Firewall) Serve(ctx context.Context) error {
	timer := time.NewTimer(updateEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			began := time.Now()
			if f.paused.Load() {
				f.broken = true // whatever the table is when we take it back
			} else {
				f.report(f.update(began))
			}
			timer.Reset(max(updateEvery, share*time.Since(began)))
		}
	}
}

// report logs when updates begin to go wrong, and when they work again.
func (f *Firewall) report(err error) {
	switch {
	case err != nil && !f.broken:
		f.config.Log.Error("bans can't be given to the kernel; the proxy refuses them", "error", explain(err))
	case err == nil && f.broken:
		f.config.Log.Info("bans are given to the kernel again")
	}
	f.broken = err != nil
}

// update makes the packet filter drop whom it should now.
func (f *Firewall) update(now time.Time) error {
	want := f.want(now)
	if f.broken {
		return f.renew(now, want)
	}
	for p, until := range f.held {
		if !now.Before(until) {
			delete(f.held, p) // the kernel has done so by itself
		}
	}
	gone, fresh := differ(f.held, want)
	if len(gone)+len(fresh) == 0 {
		return nil
	}
	err := errors.Join(f.remove(gone), f.add(now, fresh))
	if err == nil {
		err = f.conn.Flush()
	}
	if err != nil {
		// What we believe that the kernel has was wrong: an element ended a
		// moment ago, or somebody else changed the table.
		return f.renew(now, want)
	}
	f.held = want
	return nil
}

// renew writes the whole table anew.
func (f *Firewall) renew(now time.Time, want map[netip.Prefix]time.Time) error {
	f.rules.create(f.conn)
	if err := f.add(now, want); err != nil {
		return err
	}
	if err := f.conn.Flush(); err != nil {
		return err
	}
	f.held = want
	return nil
}

// Close removes the table, unless it is to be kept, and lets go of it.
func (f *Firewall) Close() error {
	defer f.release()
	if f.config.Keep {
		return nil
	}
	f.rules.remove(f.conn)
	if err := f.conn.Flush(); err != nil {
		return fmt.Errorf("remove table %s: %w", f.config.Table, err)
	}
	return nil
}

func (f *Firewall) release() {
	f.lock.Close()
	if f.conn != nil {
		_ = f.conn.CloseLasting()
	}
}
