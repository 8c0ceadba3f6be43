package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/flask2ban/flask2ban/internal/children"
)

// Search says where [FindPython] looks.
type Search struct {
	// Python is the only candidate where it is not empty.
	Python string
	// Dir is the app's directory, where .venv and venv are looked for, and
	// where the candidates run; empty means the working directory.
	Dir string
	// Module is a package that the app's interpreter must have, as httpbin for
	// "httpbin:app"; empty means none.
	Module string
	// Env is the environment for VIRTUAL_ENV and PATH; nil means ours.
	Env []string
	// as is who the candidates run as: those in the app's directory are as
	// trustworthy as the app. Nil means us.
	as *syscall.Credential
}

// Python is an interpreter that can import Flask.
type Python struct {
	Path, Version, Flask, Werkzeug string
	// SysPath is its sys.path, without the script's directory.
	SysPath []string
	// HasModule says that it has Search.Module.
	HasModule bool
}

// probeTimeout bounds one candidate: an import over a slow network disk.
const probeTimeout = 30 * time.Second

// probeScript prints one marked line of JSON, for what an import prints must
// not confuse us. importlib.metadata came with Python 3.8.
const probeScript = `
import json, sys
path = [p for p in sys.path if p]
import flask, werkzeug
import importlib.util
def has(module):
    try:
        return importlib.util.find_spec(module) is not None
    except Exception:
        return False
def version(name):
    try:
        from importlib.metadata import version
        return version(name)
    except Exception:
        return str(getattr(sys.modules[name], "__version__", ""))
print("\nflask2ban:" + json.dumps({"Path": sys.executable or "", "Version": "%d.%d.%d" % sys.version_info[:3],
    "Flask": version("flask"), "Werkzeug": version("werkzeug"), "SysPath": path,
    "HasModule": len(sys.argv) < 2 or has(sys.argv[1])}))
`

// FindPython returns the first interpreter that can import Flask: of the
// app's .venv or venv, $VIRTUAL_ENV, python3 on PATH, /usr/bin/python3. One that
// can, but lacks Search.Module, is only taken where none has both. Where none
// can, the error lists what each said and how to install Flask.
func FindPython(ctx context.Context, s Search) (Python, error) {
	if s.Env == nil {
		s.Env = os.Environ()
	}
	if s.as == nil {
		s.as = s.owner()
	}
	var tried []string
	var second Python // has Flask, but not the module
	for _, path := range s.candidates() {
		python, err := s.probe(ctx, path)
		if err == nil && python.HasModule {
			return python, nil
		}
		if err == nil {
			second = orFirst(second, python)
			continue
		}
		if ctx.Err() != nil {
			return Python{}, fmt.Errorf("look for Python: %w", ctx.Err())
		}
		tried = append(tried, fmt.Sprintf("  %s: %v", path, err))
	}
	if second.Path != "" {
		return second, nil
	}
	return Python{}, notFound(s, tried)
}

// owner is who the candidates run as where nobody was chosen: what lies in an
// app's directory never runs as root unless it is root's.
func (s Search) owner() *syscall.Credential {
	dir := s.Dir
	if dir == "" {
		dir = "."
	}
	id, err := chooseUser("", "", chooser{
		euid: os.Geteuid(), sudoUID: os.Getenv("SUDO_UID"),
		owner: func() (uint32, error) { return ownerOf(dir) },
	})
	if err != nil {
		return nil
	}
	return id.credential()
}

func orFirst(first, next Python) Python {
	if first.Path == "" {
		return next
	}
	return first
}

func notFound(s Search, tried []string) error {
	what := "no Python that can import Flask; tried:"
	if s.Python != "" {
		what = "--python can't import Flask:"
	}
	if len(tried) == 0 {
		tried = []string{"  nothing: there is no python3"}
	}
	dir := s.Dir
	if dir == "" {
		dir = "."
	}
	return fmt.Errorf("%s\n%s\ninstall Flask: \"apt install python3-flask\", or \"python3 -m venv %[3]s && %[3]s/bin/pip install flask\"; or name the interpreter with --python",
		what, strings.Join(tried, "\n"), filepath.Join(dir, ".venv"))
}

// candidates are the paths to try, in order, each once.
func (s Search) candidates() []string {
	if s.Python != "" {
		return []string{s.Python}
	}
	paths := []string{
		filepath.Join(s.Dir, ".venv/bin/python3"),
		filepath.Join(s.Dir, "venv/bin/python3"),
	}
	if env := getEnv(s.Env, "VIRTUAL_ENV"); env != "" {
		paths = append(paths, filepath.Join(env, "bin/python3"))
	}
	if path, err := lookPath("python3", s.Env, ""); err == nil {
		paths = append(paths, path)
	}
	paths = append(paths, "/usr/bin/python3")
	var found []string
	for _, path := range paths {
		if path, err := filepath.Abs(path); err == nil && isExecutable(path) && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

// probe asks one interpreter whether it can import Flask.
func (s Search) probe(ctx context.Context, path string) (Python, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	args := []string{"-c", probeScript}
	if s.Module != "" {
		args = append(args, s.Module)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = s.Dir, s.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.as}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := children.Run(cmd); err != nil {
		return Python{}, said(err, stderr.String())
	}
	return parseProbe(path, stdout.String())
}

// said is the last line of what an interpreter wrote, which for a traceback is
// the exception.
func said(err error, stderr string) error {
	text := strings.TrimSpace(stderr)
	if text == "" {
		return err
	}
	return errors.New(escapeControls(text[strings.LastIndexByte(text, '\n')+1:]))
}

func parseProbe(path, stdout string) (Python, error) {
	_, text, ok := strings.Cut(stdout, "\nflask2ban:")
	if !ok {
		return Python{}, errors.New("printed something else than asked")
	}
	var python Python
	if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &python); err != nil {
		return Python{}, fmt.Errorf("printed something else than asked: %w", err)
	}
	if python.Path == "" {
		python.Path = path
	}
	return python, nil
}

// lookPath finds name on the PATH of env, as a shell in dir would.
func lookPath(name string, env []string, dir string) (string, error) {
	if strings.ContainsRune(name, filepath.Separator) {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if !isExecutable(path) {
			return "", fmt.Errorf("%s: not an executable file", name)
		}
		return name, nil
	}
	for _, at := range filepath.SplitList(getEnv(env, "PATH")) {
		if path := filepath.Join(at, name); at != "" && isExecutable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: not found on PATH", name)
}

func isExecutable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

func isVirtualEnv(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "pyvenv.cfg"))
	return err == nil
}
