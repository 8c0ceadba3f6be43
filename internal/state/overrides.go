package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
	if err != nil {
		return Overrides{}, fmt.Errorf("%s: %w; remove the file to go on without what was changed at run time", path, err)
	}
	return o, nil
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
