// Package state names, makes and finds the directory in which a running
// flask2ban keeps what outlives it (bans, the API token) and the Unix socket
// through which the commands talk to it.
package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

const (
	// rootBase is where a daemon started as root keeps its state, as
	// systemd's StateDirectory does.
	rootBase = "/var/lib"
	dirMode  = 0o700
	openMode = 0o755
	// maxName bounds the readable part of a directory's name.
	maxName = 40
)

// Base returns the directory that holds the state directories of all apps of a
// program: /var/lib/flask2ban for root, else flask2ban below $XDG_STATE_HOME or
// ~/.local/state. A relative $XDG_STATE_HOME is ignored, as the XDG base
// directory specification demands.
func Base(program string, root bool, getenv func(string) string) (string, error) {
	if root {
		return filepath.Join(rootBase, program), nil
	}
	if xdg := getenv("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, program), nil
	}
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", program), nil
	}
	return "", errors.New("no place for state: neither $XDG_STATE_HOME nor $HOME is an absolute path; name a directory with --state DIR")
}

// Dir returns the default state directory of app, as it stands on the command
// line, without making it. The name is readable and ends in a hash of the
// absolute path, so that two apps that are both called app.py never share
// bans. Like the app itself, its meaning depends on the working directory.
func Dir(program, app string, root bool, getenv func(string) string) (string, error) {
	base, err := Base(program, root, getenv)
	if err != nil {
		return "", err
	}
	name, err := dirName(app)
	if err != nil {
		return "", err
	}
	return filepath.Join(base, name), nil
}

func dirName(app string) (string, error) {
	path, object := app, ""
	if _, err := os.Stat(app); err != nil {
		path, object, _ = strings.Cut(app, ":")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("state directory of %s: %w", app, err)
	}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		abs = target
	}
	sum := sha256.Sum256([]byte(abs + ":" + object))
	return readable(abs, object) + "-" + hex.EncodeToString(sum[:4]), nil
}

// readable makes "hello-app" of /srv/hello/app.py, and "shop-create_app" of
// shop:create_app().
func readable(abs, object string) string {
	words := []string{strings.TrimSuffix(filepath.Base(abs), ".py")}
	if object != "" {
		words = append(words, object)
	} else if strings.HasSuffix(abs, ".py") {
		words = []string{filepath.Base(filepath.Dir(abs)), words[0]}
	}
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r == '.' || isAlnum(byte(r))) {
			return r
		}
		return '-'
	}, strings.Join(words, "-"))
	name = strings.Trim(name[:min(len(name), maxName)], "-.")
	if name == "" {
		return "app"
	}
	return name
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Create makes dir and its parents, readable for this user alone, or checks
// that an existing one is. An empty directory of ours is closed to others;
// one with foreign files in it is refused, as it may be shared on purpose.
//
// The parent that root makes is open to others, as systemd makes it: below
// /var/lib/flask2ban services of other users have their directories, too.
func Create(dir string) error {
	if err := makeDir(dir, os.Geteuid() == 0); err != nil {
		return fmt.Errorf("make state directory: %w%s; name another with --state DIR", err, openHint(filepath.Dir(dir), err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return fmt.Errorf("state directory %s belongs to user %d, not to user %d who runs this; name another with --state, such as %s",
			dir, owner, os.Geteuid(), filepath.Join(dir, "flask2ban"))
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return closeDir(dir, info.Mode())
}

func makeDir(dir string, root bool) error {
	parent := filepath.Dir(dir)
	if !root || exists(parent) {
		return os.MkdirAll(dir, dirMode)
	}
	if err := os.MkdirAll(parent, openMode); err != nil {
		return err
	}
	return errors.Join(os.Chmod(parent, openMode), os.Mkdir(dir, dirMode)) // whatever the umask
}

// openHint says how root opens a parent that is closed to this user; nothing
// where another error kept us from making a directory in it.
func openHint(parent string, err error) string {
	info, statErr := os.Stat(parent)
	if !errors.Is(err, fs.ErrPermission) || statErr != nil || info.Mode().Perm()&0o011 != 0 {
		return ""
	}
	return fmt.Sprintf(" (%s is closed to user %d: sudo chmod %o %s)", parent, os.Geteuid(), openMode, parent)
}

func closeDir(dir string, mode fs.FileMode) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if len(entries) > 0 && !exists(filepath.Join(dir, tokenName)) {
		return fmt.Errorf("state directory %s is open to other users (mode %04o) and not empty; close it with chmod 700 %s, or name another with --state, such as %s",
			dir, mode.Perm(), dir, filepath.Join(dir, "flask2ban"))
	}
	if err := os.Chmod(dir, dirMode); err != nil {
		return fmt.Errorf("close state directory to other users: %w", err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Find returns the state directories below base whose daemon answers, sorted.
// A base that does not exist holds none; one that may not be read is an error.
func Find(ctx context.Context, base string) ([]string, error) {
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for running daemons: %w", err)
	}
	var live []string
	for _, e := range entries {
		dir := filepath.Join(base, e.Name())
		if conn, err := Dial(ctx, dir); err == nil {
			conn.Close()
			live = append(live, dir)
		}
	}
	sort.Strings(live)
	return live, nil
}
