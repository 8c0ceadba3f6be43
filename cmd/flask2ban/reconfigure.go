package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/clientip"
	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/notify"
	"github.com/flask2ban/flask2ban/proxy"
)

// clients is the resolver in force, replaced whole by a reload.
type clients struct {
	now   atomic.Pointer[clientip.Resolver]
	names *names
}

var _ proxy.Clients = (*clients)(nil)

// Resolve implements proxy.Clients.
func (c *clients) Resolve(r *http.Request) clientip.Identity {
	id := c.now.Load().Resolve(r)
	c.names.meet(id)
	return id
}

// Warning implements proxy.Clients.
func (c *clients) AppendChain(b []byte, r *http.Request, id *clientip.Identity) []byte {
	return c.now.Load().AppendChain(b, r, id)
}

func (c *clients) Warning(peer netip.Addr) string { return c.now.Load().Warning(peer) }

// announcers are the peers whose PROXY protocol headers are believed; nil for
// none.
func (s *service) announcers() func(netip.Addr) bool {
	if !s.config.ProxyProtocol {
		return nil
	}
	return func(a netip.Addr) bool { return s.clients.now.Load().Trusts(a) }
}

func newResolver(c *config.Config) (*clientip.Resolver, error) {
	return clientip.New(clientip.Config{
		Trusted:  c.TrustedProxies,
		Header:   c.ClientHeader,
		IPv4Bits: c.IPv4Prefix,
		IPv6Bits: c.IPv6Prefix,
		Private:  c.BanPrivate,
		Ignore:   addresses(c.Ignore),
	})
}

// judging is the engine's part of a configuration.
func (s *service) judging(c *config.Config) ban.Config {
	weights := make(map[ban.Kind]float64, len(c.Weights))
	for kind, w := range c.Weights {
		weights[ban.Kind(kind)] = w
	}
	return ban.Config{
		MaxRetry:   c.MaxRetry,
		FindTime:   c.FindTime,
		BanTime:    c.BanTime,
		BanTimeMax: c.BanTimeMax,
		Observe:    c.Observe,
		MaxClients: c.MaxClients,
		Weights:    weights,
		Rules:      policyRules(c.Rules),
		Hosts:      s.hosts(),
		IPv4Bits:   c.IPv4Prefix,
		IPv6Bits:   c.IPv6Prefix,
		IPv6Widest: c.IPv6Widest,
		Penalty:    ban.Penalty(c.Penalty),
		Standing:   s.standing,
		StoreError: s.storeError,
		SharedBan:  s.sharedBan,
	}
}

// standings translates what clientip says of an address for the engine.
var standings = map[clientip.Standing]ban.Standing{
	clientip.Bannable:    ban.Bannable,
	clientip.SuspectOnly: ban.SuspectOnly,
	clientip.Never:       ban.Never,
}

func (s *service) standing(a netip.Addr) ban.Standing {
	standing, _ := s.clients.now.Load().Standing(a)
	return s.names.standing(a, standings[standing])
}

// reloadable are the settings that a reload applies; the others wait for the
// next start.
var reloadable = map[string]bool{
	"trusted-proxy": true, "client-header": true, "ban-private": true, "ignore": true,
	"mode": true, "preset": true, "maxretry": true, "findtime": true, "bantime": true,
	"bantime-max": true, "penalty": true, "ipv6-widest": true, "weights": true, "rules": true,
}

// reload reads the configuration again. It is checked whole before any of it
// is applied; a bad one leaves the old one in force. Bans, scores and
// connections stay. It returns the settings that wait for the next start.
func (s *service) reload() (waiting []string, err error) {
	waiting, err = s.apply()
	if err != nil {
		s.notify.Tell(notify.Event{Kind: notify.ReloadFailed, At: time.Now(), Text: "reload of the configuration: " + err.Error()})
	}
	return waiting, err
}

func (s *service) apply() (waiting []string, err error) {
	next, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("the old configuration stays in force: %w", err)
	}
	waiting = differing(s.config, next, false)
	// What makes one client is part of every key that the engine holds.
	next.IPv4Prefix, next.IPv6Prefix = s.config.IPv4Prefix, s.config.IPv6Prefix
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enact(next); err != nil {
		return nil, fmt.Errorf("the old configuration stays in force: %w", err)
	}
	s.warnOfRoutes(next.Rules)
	s.log.Info("configuration reloaded", "changed", strings.Join(differing(s.current, next, true), " "))
	s.current = next
	if len(waiting) > 0 {
		s.log.Warn("some changes take effect at the next start only", "settings", strings.Join(waiting, " "))
	}
	return waiting, nil
}

// differing are the keys of the settings that differ between two configurations:
// of those that a reload applies, or of the others.
func differing(a, b *config.Config, applied bool) (keys []string) {
	for _, setting := range config.Settings() {
		if reloadable[setting.Key] == applied && !slices.Equal(setting.Text(a), setting.Text(b)) {
			keys = append(keys, setting.Key)
		}
	}
	return keys
}

// reloadOnHangup reloads at each SIGHUP, as daemons do.
func (s *service) reloadOnHangup(ctx context.Context) error {
	return cmdline.OnSignal(ctx, syscall.SIGHUP, func() {
		err := s.manager.Reload(func() error {
			_, err := s.reloadAll(ctx)
			if s.app != nil {
				err = errors.Join(err, s.app.Roll(ctx, app.Reload, "SIGHUP"))
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			s.log.Error("reload", "error", err)
		}
	})
}
