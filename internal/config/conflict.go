package config

import (
	"fmt"
	"slices"
)

// A conflict is a pair of settings that each are valid alone.
type conflict struct {
	// key is the setting to complain of.
	key string
	// wrong says why it can't stand; empty where it can.
	wrong func(c *Config) string
}

// spawnOnly are settings that mean nothing where we don't start the app.
var spawnOnly = []string{"command", "user", "group", "no-proxy-fix", "start-timeout"}

var pairs = append(withUpstream(),
	conflict{"bantime-max", func(c *Config) string {
		return when(c.BanTime > c.BanTimeMax && !bantimeIsLater(c), "is shorter than bantime (%s)", FormatDuration(c.BanTime))
	}},
	conflict{"bantime", func(c *Config) string {
		return when(c.BanTime > c.BanTimeMax && bantimeIsLater(c), "is longer than bantime-max (%s)", FormatDuration(c.BanTimeMax))
	}},
	conflict{"client-header", func(c *Config) string {
		return when(changed(c, "client-header") && len(c.TrustedProxies) == 0, "has no effect without trusted-proxy: name the proxy that sets it")
	}},
	conflict{"proxy-protocol", func(c *Config) string {
		return when(c.ProxyProtocol && len(c.TrustedProxies) == 0, "has no effect without trusted-proxy: name the proxy that sends the header")
	}},
	conflict{"kernel", func(c *Config) string {
		return when(c.Kernel && len(c.TrustedProxies) > 0, "has no effect behind trusted-proxy: its packets are the proxy's own, not the client's")
	}},
	conflict{"kernel-keep", func(c *Config) string {
		return when(c.KernelKeep && !c.Kernel, "has no effect without kernel")
	}},
	conflict{"listen", func(c *Config) string {
		for i, a := range c.Listen {
			if slices.Contains(c.Listen[:i], a) {
				return fmt.Sprintf("has %s twice", a)
			}
		}
		return when(len(c.Listen) == 0, "want at least one address")
	}},
	conflict{"admin", func(c *Config) string {
		return when(slices.Contains(c.Listen, c.Admin), "is a public address too (listen): metrics and API need their own")
	}},
)

func withUpstream() []conflict {
	var all []conflict
	for _, key := range spawnOnly {
		all = append(all, conflict{key, func(c *Config) string {
			return when(changed(c, key) && c.Upstream != "", "has no effect with upstream (%s): we don't start that app", c.Origin("upstream").Place)
		}})
	}
	return all
}

// bantimeIsLater says whether bantime is the more deliberate one of the two: the
// one to complain of.
func bantimeIsLater(c *Config) bool {
	return c.Origin("bantime").Layer > c.Origin("bantime-max").Layer
}

// changed says whether a setting has another value than its default; one that
// was set to the default, as "flask2ban config" prints it, is in nobody's way.
func changed(c *Config, key string) bool {
	s, _ := lookup(key)
	return !slices.Equal(s.bind.texts(c), s.defaultTexts())
}

func when(wrong bool, format string, args ...any) string {
	if !wrong {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// conflicts are all pairs of settings that don't go together, each placed where
// the setting complained of was set.
func conflicts(c *Config) []*Error {
	var errs []*Error
	for _, p := range pairs {
		if wrong := p.wrong(c); wrong != "" {
			from := c.Origin(p.key)
			e := &Error{Place: from.Place, Key: p.key, Problem: wrong}
			if from.Layer >= FromEnvironment {
				e.Key = "" // the place names it
			}
			errs = append(errs, e)
		}
	}
	return errs
}
