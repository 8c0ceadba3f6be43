package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

const overridesName = "overrides.json"

// Overrides is what a person has changed while the daemon ran, other than bans.
// It holds over restarts and reloads of the configuration, until it is taken
// back. The zero value changes nothing.
type Overrides struct {
	// Mode is enforce or observe for all judging; empty: as configured.
	Mode string `json:"mode,omitempty"`
	// Rules has enforce or observe by the name of a policy rule.
	Rules map[string]string `json:"rules,omitempty"`
	// Ignore are clients and networks that are never judged.
	Ignore []Ignored `json:"ignore,omitempty"`
}

// Ignored is one client that a person exempted.
type Ignored struct {
	// Client is an address or a network.
	Client string    `json:"client"`
	Since  time.Time `json:"since"`
}

// ReadOverrides returns those of a state directory; a directory without any is
// no error.
func ReadOverrides(dir string) (o Overrides, err error) {
	path := filepath.Join(dir, overridesName)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	if err == nil {
		err = o.check()
	}
	if err != nil {
		return Overrides{}, fmt.Errorf("%s: %w; remove the file to go on without what was changed at run time", path, err)
	}
	return o, nil
}

// check holds what stands in the file to what we write: a mode with a slip in
// it must not become the other one.
func (o Overrides) check() error {
	modes := map[string]bool{"enforce": true, "observe": true}
	if o.Mode != "" && !modes[o.Mode] {
		return fmt.Errorf("mode %q: want enforce or observe", o.Mode)
	}
	for rule, mode := range o.Rules {
		if !modes[mode] {
			return fmt.Errorf("mode %q of rule %q: want enforce or observe", mode, rule)
		}
	}
	for _, i := range o.Ignore {
		_, addr := netip.ParseAddr(i.Client)
		if _, network := netip.ParsePrefix(i.Client); addr != nil && network != nil {
			return fmt.Errorf("ignored client %q: want an address or a network", i.Client)
		}
	}
	return nil
}

// Write keeps the overrides in a state directory: whole or not at all.
func (o Overrides) Write(dir string) error {
	data, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return fmt.Errorf("write overrides: %w", err)
	}
	tmp, err := os.CreateTemp(dir, ".overrides-*")
	if err != nil {
		return fmt.Errorf("write overrides: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write overrides: %w", err)
	}
	return os.Rename(tmp.Name(), filepath.Join(dir, overridesName))
}
