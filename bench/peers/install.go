package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// needs are the programs and the Debian packages that bring them. Thruster is
// not among them: the Go module proxy does not serve github.com/basecamp/thruster.
var needs = []struct{ program, pkg string }{
	{"nginx", "nginx-light"},
	{"haproxy", "haproxy"},
	{"caddy", "caddy"},
	{"wrk", "wrk"},
	{"h2load", "nghttp2-client"},
	{"gunicorn", "gunicorn"},
	{"flask", "python3-flask"},
}

// install installs what is missing.
func install(ctx context.Context, out io.Writer) error {
	var missing []string
	for _, n := range needs {
		if _, err := exec.LookPath(n.program); err != nil {
			missing = append(missing, n.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	fmt.Fprintln(out, "installing:", missing)
	if err := asRoot(ctx, "apt-get", "update", "-qq"); err != nil {
		return err
	}
	return asRoot(ctx, "apt-get", append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...)...)
}

// asRoot runs a command as root, with no questions asked by Debian and no
// daemon left running that an installed package would start.
func asRoot(ctx context.Context, name string, args ...string) error {
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"-E", name}, args...)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, text)
	}
	return nil
}
