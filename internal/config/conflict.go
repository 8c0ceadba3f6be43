package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A conflict is a pair of settings that each are valid alone.
type conflict struct {
	// key is the setting to complain of.
	key string
	// wrong says why it can't stand, with the keys of others in braces; empty
	// where it can.
	wrong func(c *Config) string
}

// spawnOnly are settings that mean nothing where we don't start the app.
var spawnOnly = []string{
	"command", "user", "group", "no-proxy-fix", "start-timeout", "env", "chdir", "umask", "nofile", "workers", "no-overlap", "watch",
	"health-path", "hang-after", "answer-timeout", "memory-max", "max-age", "max-requests",
}

var pairs = append(withUpstream(),
	conflict{"bantime-max", func(c *Config) string {
		return when(c.BanTime > c.BanTimeMax && !bantimeIsLater(c), "is shorter than {bantime} (%s)", FormatDuration(c.BanTime))
	}},
	conflict{"bantime", func(c *Config) string {
		return when(c.BanTime > c.BanTimeMax && bantimeIsLater(c), "is longer than {bantime-max} (%s)", FormatDuration(c.BanTimeMax))
	}},
	conflict{"client-header", func(c *Config) string {
		return when(changed(c, "client-header") && len(c.TrustedProxies) == 0, "has no effect without {trusted-proxy}: name the proxy that sets it")
	}},
	conflict{"proxy-protocol", func(c *Config) string {
		return when(c.ProxyProtocol && len(c.TrustedProxies) == 0, "has no effect without {trusted-proxy}: name the proxy that sends the header")
	}},
	conflict{"kernel", func(c *Config) string {
		return when(c.Kernel && len(c.TrustedProxies) > 0, "has no effect behind {trusted-proxy}: its packets are the proxy's own, not the client's")
	}},
	conflict{"kernel-keep", func(c *Config) string {
		return when(c.KernelKeep && !c.Kernel, "has no effect without {kernel}")
	}},
	conflict{"listen", listenProblem},
	conflict{"tls-cert", func(c *Config) string {
		return when(c.TLSCert != "" && c.TLSKey == "", "needs {tls-key}, the file of its private key (the same file where that holds both)")
	}},
	conflict{"tls-key", func(c *Config) string {
		return when(c.TLSKey != "" && c.TLSCert == "", "has no effect without {tls-cert}, the file of its certificate")
	}},
	conflict{"tls-cert", func(c *Config) string {
		return when(c.TLSCert != "" && len(c.ACMEDomains) > 0, "does not go with {acme-domain}: one of them gives the certificate")
	}},
	conflict{"tls-cert", func(c *Config) string { return when(c.TLSCert != "", "%s", unheard(c)) }},
	conflict{"acme-domain", func(c *Config) string {
		if len(c.ACMEDomains) == 0 {
			return ""
		}
		return or(unproven(c), unheard(c))
	}},
	conflict{"acme-email", withoutACME(func(c *Config) bool { return c.ACMEEmail != "" })},
	conflict{"acme-directory", withoutACME(func(c *Config) bool { return changed(c, "acme-directory") })},
	conflict{"acme-eab-kid", withoutACME(func(c *Config) bool { return c.ACMEEABKid != "" })},
	conflict{"acme-eab-kid", func(c *Config) string {
		return when(c.ACMEEABKid != "" && c.ACMEEABKeyFile == "", "needs {acme-eab-key-file}, the file of that account's key")
	}},
	conflict{"acme-eab-key-file", func(c *Config) string {
		return when(c.ACMEEABKeyFile != "" && c.ACMEEABKid == "", "has no effect without {acme-eab-kid}, the account's key id")
	}},
	conflict{"hsts", func(c *Config) string {
		return when(c.HSTS > 0 && !c.Secure() && len(c.TrustedProxies) == 0, "has no effect without HTTPS: give {tls-cert} or {acme-domain}")
	}},
	conflict{"no-https-redirect", func(c *Config) string {
		return when(c.NoHTTPSRedirect && !c.Secure(), "has no effect without HTTPS: give {tls-cert} or {acme-domain}")
	}},
	conflict{"admin", func(c *Config) string {
		public := func(l Listener) bool { return l.Addr == c.Admin }
		return when(slices.ContainsFunc(c.Listeners(), public), "is a public address too ({listen}): metrics and API need their own")
	}},
)

func withoutACME(given func(*Config) bool) func(*Config) string {
	return func(c *Config) string {
		return when(given(c) && len(c.ACMEDomains) == 0, "has no effect without {acme-domain}, the name to get a certificate for")
	}
}

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

// inBraces is another setting's key in the text of a conflict.
var inBraces = regexp.MustCompile(`\{[a-z-]+\}`)

// named writes the settings that a conflict's text has in braces as what they are
// to be looked for as: flags where one of the two was given as a flag.
func named(c *Config, text string, from Layer) string {
	return inBraces.ReplaceAllStringFunc(text, func(braced string) string {
		s, known := lookup(strings.Trim(braced, "{}"))
		if !known {
			return braced // of a file's name
		}
		switch max(from, c.Origin(s.Key).Layer) {
		case FromFlag:
			return s.Flag()
		case FromEnvironment:
			return s.Env()
		}
		return s.Key
	})
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
			e := &Error{Place: from.Place, Key: p.key, Problem: named(c, wrong, from.Layer)}
			if from.Layer >= FromEnvironment {
				e.Key = "" // the place names it
			}
			errs = append(errs, e)
		}
	}
	return errs
}
