package app

import (
	"path/filepath"
	"slices"
	"strings"
)

// notForTheApp are variables of ours, of who started us, or of a socket that
// isn't the app's; the servers' own come on top (socketVariables). A name that
// ends in * is a prefix.
var notForTheApp = []string{
	"FLASK2BAN_*", "FLASKSUPERVISOR_*", "SUDO_*",
	"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
}

// notForAnother are variables that belong to a login of ours; the app gets
// its user's own or none.
var notForAnother = []string{"HOME", "USER", "LOGNAME", "MAIL", "SSH_*", "XDG_*", "DBUS_SESSION_BUS_ADDRESS"}

// cleanEnv is base without what is not the app's business, for id, with own
// added last.
func cleanEnv(base []string, id identity, own []string) []string {
	var servers []string
	for _, entry := range socketVariables() {
		name, _, _ := strings.Cut(entry, "=")
		servers = append(servers, name)
	}
	env := slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return matches(notForTheApp, name) || slices.Contains(servers, name) || id.drop && matches(notForAnother, name)
	})
	if id.drop {
		env = append(env, "HOME="+id.home, "USER="+id.name, "LOGNAME="+id.name)
	}
	for _, entry := range own {
		name, value, _ := strings.Cut(entry, "=")
		env = setEnv(env, name, value)
	}
	return env
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		return name == pattern || isPrefix && strings.HasPrefix(name, prefix)
	})
}

// getEnv returns a variable of env; empty where it isn't set.
func getEnv(env []string, name string) string {
	for _, entry := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// setEnv returns a copy of env with one variable set: workers start beside each
// other from the same environment.
func setEnv(env []string, name, value string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return strings.HasPrefix(entry, name+"=")
	})
	return append(env, name+"="+value)
}

// inVirtualEnv returns env as "activate" of the virtual environment that has
// python would leave it, so that "-- gunicorn app:app" finds its gunicorn.
func inVirtualEnv(env []string, python string) []string {
	bin := filepath.Dir(python)
	if !isVirtualEnv(filepath.Dir(bin)) {
		return env
	}
	path := bin
	if old := getEnv(env, "PATH"); old != "" {
		path += string(filepath.ListSeparator) + old
	}
	return setEnv(setEnv(env, "PATH", path), "VIRTUAL_ENV", filepath.Dir(bin))
}
