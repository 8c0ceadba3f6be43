package cmdline

import (
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/internal/systemd"
)

// decidedByUnit are settings that the unit decides itself.
var decidedByUnit = []string{"user", "group", "state"}

// UnitCommand prints the unit of a service. settings are the flags that the
// service takes, load reads them.
func (p Program) UnitCommand(settings *pflag.FlagSet, load func(*pflag.FlagSet) (*config.Config, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unit APP [flags] [-- COMMAND ...]",
		Short: "Print a systemd unit for an app",
		Long: `Prints a hardened systemd unit that runs the app where it lies, with the flags
given here. Its head says how to install it. The app runs as its owner, or, where
it is root's, as a user of the service's own (DynamicUser).`,
		Example: Example(
			p.Name+" unit app.py --listen :80 | sudo tee /etc/systemd/system/"+p.Name+"-shop.service",
			p.Name+" unit app.py --user > ~/.config/systemd/user/"+p.Name+"-shop.service"),
		Args: cobra.ArbitraryArgs,
	}
	settings.VisitAll(func(f *pflag.Flag) {
		if !slices.Contains(decidedByUnit, f.Name) {
			cmd.Flags().AddFlag(f)
		}
	})
	own := cmd.Flags().Bool("user", false, "for a user's own services (systemctl --user)")
	name := cmd.Flags().String("name", "", "the unit's `name`, without .service (default: of the app)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		appName, command, err := AppAndCommand(cmd, args)
		if err != nil {
			return err
		}
		cfg, err := load(settings)
		if err != nil {
			return Usage(err)
		}
		if appName == "" && len(command) == 0 {
			return Usagef("%s: APP missing; write %s", Path(cmd), cmd.UseLine())
		}
		cfg.App, cfg.Command = appName, command
		u, err := p.unit(cmd.Context(), cfg, settings, *own, *name)
		if err != nil {
			return err
		}
		return u.Write(p.Stdout)
	}
	return cmd
}

func (p Program) unit(ctx context.Context, cfg *config.Config, flags *pflag.FlagSet, own bool, name string) (systemd.Unit, error) {
	exe, err := os.Executable()
	if err != nil {
		return systemd.Unit{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return systemd.Unit{}, err
	}
	u := systemd.Unit{Program: p.Name, Name: name, App: cfg.App, Dir: dir, User: own, Capabilities: capabilities(cfg)}
	if u.App == "" {
		u.App = cfg.Command[0]
	}
	if u.Name == "" {
		path, err := state.Dir(p.Name, u.App, false, func(string) string { return "/" })
		if err != nil {
			return u, err
		}
		base := filepath.Base(path)
		u.Name = systemd.UnitName(p.Name, base[:strings.LastIndexByte(base, '-')])
	}
	if u.Command, err = p.commandLine(ctx, exe, cfg, flags, own); err != nil {
		return u, err
	}
	if !own {
		if err := place(&u, cfg, dir); err != nil {
			return u, err
		}
	}
	u.Install = installation(p.Name, u)
	return u, nil
}

// capabilities are those that a service needs for what it is to do.
func capabilities(cfg *config.Config) (needed []string) {
	if slices.ContainsFunc(cfg.Listen, isLow) {
		needed = append(needed, "CAP_NET_BIND_SERVICE")
	}
	if cfg.Kernel {
		needed = append(needed, "CAP_NET_ADMIN")
	}
	return needed
}

func isLow(address string) bool {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "https://"))
	n, err2 := strconv.Atoi(port)
	return err == nil && err2 == nil && n > 0 && n < 1024
}

// commandLine is what starts the service, with nothing left to what a shell
// knows: no PATH, no activated environment. A user's own service has its state
// where the commands look for it; systemd's StateDirectory= is below
// ~/.config there, before version 254.
func (p Program) commandLine(ctx context.Context, exe string, cfg *config.Config, flags *pflag.FlagSet, own bool) ([]string, error) {
	words := []string{exe}
	if cfg.App != "" {
		words = append(words, cfg.App)
	}
	if !own {
		words = append(words, "--state", systemd.StateDirectory)
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed || slices.Contains(decidedByUnit, f.Name) {
			return
		}
		for _, text := range config.Given(f) {
			words = append(words, "--"+f.Name+"="+text)
		}
	})
	if len(cfg.Command) > 0 {
		first, err := exec.LookPath(cfg.Command[0])
		if err != nil {
			return nil, Usagef("%s: not found on PATH", cfg.Command[0])
		}
		if first, err = filepath.Abs(first); err != nil {
			return nil, err
		}
		return append(append(words, "--", first), cfg.Command[1:]...), nil
	}
	if cfg.Python == "" && cfg.Upstream == "" {
		python, err := app.FindPython(ctx, app.Search{Dir: home(cfg.App)})
		if err != nil {
			return nil, err
		}
		words = append(words, "--python="+python.Path)
	}
	return words, nil
}

// home is where an app lies.
func home(name string) string {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return "."
	case info.IsDir():
		return name
	}
	return filepath.Dir(name)
}

// place decides as whom the service runs, by where the app lies.
func place(u *systemd.Unit, cfg *config.Config, dir string) error {
	at, err := filepath.Abs(home(cfg.App))
	if err != nil {
		return err
	}
	info, err := os.Stat(at)
	if err != nil {
		return err
	}
	uid := info.Sys().(*syscall.Stat_t).Uid
	if uid != 0 {
		u.Owner = strconv.FormatUint(uint64(uid), 10)
		if account, err := user.LookupId(u.Owner); err == nil {
			u.Owner = account.Username
		}
	}
	for _, path := range append(slices.Clone(u.Command), at, dir) {
		path = strings.TrimPrefix(path, "--python=")
		for _, home := range []string{"/home/", "/root/", "/run/user/"} {
			u.Home = u.Home || strings.HasPrefix(path+"/", home)
		}
	}
	if u.Owner != "" {
		return nil
	}
	if path := closedTo(at); path != "" {
		return Usagef("%s is for root alone, and a service should not be root: give the app to a user (chown -R NAME %s), or let others read it (chmod o+rx %s)", path, Quoted(at), Quoted(path))
	}
	for _, word := range u.Command {
		python, given := strings.CutPrefix(word, "--python=")
		if path := closedTo(filepath.Dir(python)); given && path != "" {
			return Usagef("the interpreter %s lies in %s, which is for root alone: name another, such as --python /usr/bin/python3, or give the app to a user", python, path)
		}
	}
	return nil
}

// closedTo is what keeps other users from dir; empty where nothing does.
func closedTo(dir string) string {
	for path := dir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil || info.Mode()&0o001 == 0 || path == dir && info.Mode()&0o004 == 0 {
			return path
		}
		if path == "/" || path == "." {
			return ""
		}
	}
}

// installation are the commands for the unit's head.
func installation(program string, u systemd.Unit) []string {
	words := []string{program, "unit", Quoted(u.App), "..."}
	if u.User {
		return []string{
			"mkdir -p ~/.config/systemd/user",
			strings.Join(words, " ") + " --user > ~/.config/systemd/user/" + u.Name + ".service",
			"systemctl --user daemon-reload && systemctl --user enable --now " + u.Name,
			"sudo loginctl enable-linger $USER   # so that it runs without a login",
		}
	}
	return []string{
		strings.Join(words, " ") + " | sudo tee /etc/systemd/system/" + u.Name + ".service",
		"sudo systemctl daemon-reload && sudo systemctl enable --now " + u.Name,
		"systemctl status " + u.Name + "; journalctl -u " + u.Name,
	}
}
