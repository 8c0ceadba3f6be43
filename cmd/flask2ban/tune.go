package main

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/flask2ban/flask2ban/ban"
	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/state"
)

var _ admin.Tuner = (*service)(nil)

// maxIgnored bounds the clients exempted by hand; more belong into the
// configuration.
const maxIgnored = 1000

// overridden is a configuration with what was changed at run time. The caller
// holds mu, except before the daemon serves.
func (s *service) overridden(c *config.Config) *config.Config {
	out := *c
	if s.changed.Mode != "" {
		out.Observe = s.changed.Mode == "observe"
	}
	out.Rules = slices.Clone(c.Rules)
	for i, r := range out.Rules {
		if m := s.changed.Rules[r.Name]; m != "" {
			out.Rules[i].Observe = m == "observe"
		}
	}
	out.Ignore = slices.Clip(c.Ignore)
	for _, i := range s.changed.Ignore {
		if client, err := ban.ParseClient(i.Client); err == nil { // written by ourselves
			out.Ignore = append(out.Ignore, config.Peer{Prefix: client})
		}
	}
	return &out
}

// enact has a configuration judged by, with what was changed at run time, or
// leaves all as it was. The caller holds mu.
func (s *service) enact(next *config.Config) error {
	next = s.overridden(next)
	resolver, err := newResolver(next)
	if err != nil {
		return err
	}
	old := s.clients.now.Swap(resolver)
	if err := s.engine.Configure(s.judging(next)); err != nil {
		s.clients.now.Store(old)
		return err
	}
	s.names.follow(next)
	return nil
}

// change applies a change of the overrides and keeps it for the next start.
func (s *service) change(edit func(*state.Overrides) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.changed
	next := state.Overrides{Mode: before.Mode, Rules: maps.Clone(before.Rules), Ignore: slices.Clone(before.Ignore)}
	if err := edit(&next); err != nil {
		return err
	}
	s.changed = next
	if err := s.enact(s.current); err != nil {
		s.changed = before
		return err
	}
	if err := next.Write(s.dir); err != nil {
		return fmt.Errorf("done, but it holds until flask2ban ends: %w", err)
	}
	return nil
}

// Changed implements admin.Tuner.
func (s *service) Changed() state.Overrides {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed // its parts are replaced, never changed
}

// modeNow is how clients are judged at present.
func (s *service) modeNow() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mode(s.overridden(s.current))
}

// Ignore implements admin.Tuner.
func (s *service) Ignore(client netip.Prefix, off bool) error {
	name := ban.FormatClient(client)
	err := s.change(func(o *state.Overrides) error {
		i := slices.IndexFunc(o.Ignore, func(i state.Ignored) bool { return i.Client == name })
		switch {
		case off && i < 0:
			return fmt.Errorf("%s is not ignored by hand; the configuration's ignore list is in its file", name)
		case off:
			o.Ignore = slices.Delete(o.Ignore, i, i+1)
		case i < 0 && len(o.Ignore) >= maxIgnored:
			return fmt.Errorf("%d clients are ignored by hand already: write networks into the configuration's ignore list", maxIgnored)
		case i < 0:
			o.Ignore = append(o.Ignore, state.Ignored{Client: name, Since: time.Now().UTC().Truncate(time.Second)})
		}
		return nil
	})
	if err == nil && !off {
		s.engine.Remove(time.Now(), client)
	}
	return err
}

// SetMode implements admin.Tuner. What the configuration says anyway is no
// change.
func (s *service) SetMode(rule, want string) error {
	if want != "" && want != "enforce" && want != "observe" {
		return fmt.Errorf("mode %q: write enforce or observe", want)
	}
	return s.change(func(o *state.Overrides) error {
		if rule == "" {
			if want == mode(s.current) {
				want = ""
			}
			o.Mode = want
			return nil
		}
		i := slices.IndexFunc(s.current.Rules, func(r config.Rule) bool { return r.Name == rule })
		if i < 0 {
			return fmt.Errorf("the configuration has no rule %q; the built-in ones follow the mode of all judging", rule)
		}
		if o.Rules == nil {
			o.Rules = map[string]string{}
		}
		if want == "" || (want == "observe") == s.current.Rules[i].Observe {
			delete(o.Rules, rule)
		} else {
			o.Rules[rule] = want
		}
		return nil
	})
}
