package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/cmdline"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/replay"
)

// maxSweep bounds how many settings are compared: each has an engine.
const maxSweep = 32

// sweeps makes settings of what --sweep says. A value goes the way that one on
// the command line goes, over everything else that was given.
func sweeps(f *pflag.FlagSet, getenv func(string) string, texts []string) ([]replay.Setting, error) {
	var out []replay.Setting
	for _, text := range texts {
		key, values, err := sweepValues(text)
		if err != nil {
			return nil, cmdline.Usagef("--sweep %s: %w", text, err)
		}
		for _, value := range values {
			name := key + "=" + value
			cfg, err := with(f, getenv, key, value)
			if err != nil {
				return nil, cmdline.Usagef("--sweep %s: %w", name, err)
			}
			out = append(out, replay.Setting{Name: name, Engine: rehearsed(cfg)})
		}
	}
	if len(out) > maxSweep {
		return nil, cmdline.Usagef("--sweep: %d settings; %d at most", len(out), maxSweep)
	}
	return out, nil
}

// sweepValues reads KEY=FROM..TO, with whole steps, or KEY=VALUE,VALUE.
func sweepValues(text string) (key string, values []string, err error) {
	key, rest, ok := strings.Cut(text, "=")
	switch {
	case !ok || rest == "":
		return "", nil, fmt.Errorf("want a setting and its values, as in maxretry=3..10 or findtime=5m,1h")
	case !sweepable(key):
		return "", nil, fmt.Errorf("%q can't be swept; use one of %s", key, strings.Join(sweepKeys, ", "))
	}
	from, to, ok := strings.Cut(rest, "..")
	if !ok {
		return key, strings.Split(rest, ","), nil
	}
	low, err1 := strconv.Atoi(from)
	high, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil || low > high || high-low >= maxSweep {
		return "", nil, fmt.Errorf("want whole numbers from low to high, at most %d of them, as in maxretry=3..10; list others with commas", maxSweep)
	}
	for n := low; n <= high; n++ {
		values = append(values, strconv.Itoa(n))
	}
	return key, values, nil
}

// with is the configuration with one flag more.
func with(f *pflag.FlagSet, getenv func(string) string, key, value string) (*config.Config, error) {
	var more pflag.FlagSet
	config.AddFlags(&more)
	f.VisitAll(func(given *pflag.Flag) {
		if own := more.Lookup(given.Name); own != nil && given.Changed {
			*own = *given
		}
	})
	var one pflag.FlagSet
	config.AddFlags(&one)
	fresh := one.Lookup(key)
	if err := fresh.Value.Set(value); err != nil {
		return nil, err
	}
	fresh.Changed = true
	*more.Lookup(key) = *fresh
	return config.Load(&more, getenv, "")
}
