package app

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// hookFiles run inside the app's process; see hook/sitecustomize.py.
//
//go:embed hook/*.py hook/flask2ban_hook/*.py
var hookFiles embed.FS

const (
	hookVariable  = "FLASK2BAN_HOOK"
	hookDirPrefix = "flask2ban-"
	// runnerFile serves "module:object".
	runnerFile = "flask2ban_run.py"
)

// The app's descriptors. High, because wrapper scripts use low ones.
const (
	settingsFD = 197
	listenerFD = 198
	pipeFD     = 199
)

// ownVariables make Python write each line at once and dump its stacks when
// asked. The hook takes them out again, where the operator hadn't set them.
var ownVariables = []string{"PYTHONUNBUFFERED", "PYTHONFAULTHANDLER"}

// writeHook puts the hook into a new directory that the app's user can read.
func writeHook(as identity) (dir string, err error) {
	parent := os.TempDir()
	if info, err := os.Stat(parent); as.drop && (err != nil || info.Mode()&0o001 == 0) {
		parent = "/tmp" // a TMPDIR of ours that the app's user can't enter
	}

	dir, err = os.MkdirTemp(parent, hookDirPrefix+"*")
	if err != nil {
		return "", fmt.Errorf("write the hook: %w", err)
	}
	if err := writeHookTo(dir); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("write the hook: %w", err)
	}
	return dir, nil
}

// removeHook removes a directory that writeHook has made, and no other.
func removeHook(dir string) {
	if strings.HasPrefix(filepath.Base(dir), hookDirPrefix) && exists(filepath.Join(dir, runnerFile)) {
		os.RemoveAll(dir)
	}
}

func writeHookTo(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return fs.WalkDir(hookFiles, "hook", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path := filepath.Join(dir, strings.TrimPrefix(name, "hook"))
		if entry.IsDir() {
			return makeReadable(path)
		}
		data, err := hookFiles.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
		return os.Chmod(path, 0o644)
	})
}

// makeReadable makes a directory for all to read, whatever our umask.
func makeReadable(path string) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// settings are what the hook is told; see hook/flask2ban_hook/settings.py.
type settings struct {
	listenerInode, pipeInode      uint64
	requestHeader, responseHeader string
	proxyFix, debugger, inspect   bool
	// ownPort lets the app keep the port that it names; unbound says that
	// no instance has opened it yet, and the listener is a channel to us.
	ownPort, unbound bool
	// count has each process say after that many requests that it had them;
	// 0 is never: they pass through us.
	count  int
	remove []string
}

// String is the form that the hook reads: one name=value a line.
func (s settings) String() string {
	bit := func(set bool) string {
		if set {
			return "1"
		}
		return "0"
	}
	return fmt.Sprintf("listener=%d\nlistener_inode=%d\npipe=%d\npipe_inode=%d\nrequest_header=%s\nresponse_header=%s\n"+
		"proxy_fix=%s\ndebugger=%s\ninspect=%s\nown_port=%s\nunbound=%s\ncount=%d\nstacks_signal=%d\nremove=%s\n",
		listenerFD, s.listenerInode, pipeFD, s.pipeInode, s.requestHeader, s.responseHeader,
		bit(s.proxyFix), bit(s.debugger), bit(s.inspect), bit(s.ownPort), bit(s.unbound), s.count, int(stacksSignal), strings.Join(s.remove, " "))
}

// hookEnv adds to env what starts the hook, and what hands the socket over
// where no hook can run (python -E, -I): the servers' own variables. The guard
// fills in its process id, which gunicorn takes for its previous master's.
// Where there is no socket yet, there is nothing to hand over.
func hookEnv(env []string, dir string, listening bool) (withHook, own []string) {
	paths := dir
	if old := getEnv(env, "PYTHONPATH"); old != "" {
		paths += string(filepath.ListSeparator) + old
	}
	env = setEnv(env, "PYTHONPATH", paths)
	env = setEnv(env, hookVariable, fmt.Sprint(settingsFD))
	for _, name := range ownVariables {
		if getEnv(env, name) == "" {
			own = append(own, name+"=1")
		}
	}
	env = append(env, own...)
	if listening {
		env = append(env, socketVariables()...)
	}
	return env, own
}
