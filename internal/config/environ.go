package config

import (
	"fmt"
	"strings"
)

// UnknownEnv has a warning for each variable in environ (as os.Environ gives it)
// that begins like ours and is none. It is no error because Kubernetes makes
// such variables itself for a service named flask2ban.
func UnknownEnv(environ []string) []string {
	names := make(map[string]bool, len(settings))
	var known, warnings []string
	for _, s := range settings {
		if env := s.Env(); env != "" {
			names[env] = true
			known = append(known, strings.ToLower(strings.TrimPrefix(env, EnvPrefix)))
		}
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, EnvPrefix) || names[name] || fromKubernetes(name) {
			continue
		}
		warning := name + " is set and is no setting"
		if near := Nearest(strings.TrimPrefix(name, EnvPrefix), known); near != "" {
			warning += fmt.Sprintf(" (did you mean %q?)", EnvPrefix+strings.ToUpper(near))
		}
		warnings = append(warnings, warning)
	}
	return warnings
}

// fromKubernetes knows the names that Kubernetes and Docker links derive from a
// service's name.
func fromKubernetes(name string) bool {
	rest := strings.TrimPrefix(name, EnvPrefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") ||
		strings.HasPrefix(rest, "SERVICE_HOST") || strings.HasPrefix(rest, "SERVICE_PORT")
}
