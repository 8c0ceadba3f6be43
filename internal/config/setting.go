package config

import (
	"strings"
)

// A Group is a heading of --help and of the reference documentation.
type Group string

// The groups, in the order they are shown in.
const (
	GroupApp    Group = "App"
	GroupListen Group = "Listening"
	GroupTLS    Group = "HTTPS"
	GroupClient Group = "Clients"
	GroupJudge  Group = "Judging"
	GroupRoutes Group = "Routes"
	GroupDaemon Group = "Daemon"
)

// Groups are all groups in the order they are shown in.
func Groups() []Group {
	return []Group{GroupApp, GroupListen, GroupTLS, GroupClient, GroupJudge, GroupRoutes, GroupDaemon}
}

// A Setting is one row of the table that everything else follows from.
type Setting struct {
	// Key is the setting's name in the file and, with dashes before it, as a
	// flag.
	Key string
	// Group is its heading.
	Group Group
	// Default is its value as one would write it; empty means none. Lists
	// separate their values with commas.
	Default string
	// Usage says in one line what it does.
	Usage string
	// Example is a value to show.
	Example string
	// Values are the words allowed; nil for other kinds.
	Values []string
	// FileOnly settings have neither flag nor variable.
	FileOnly bool
	// Hidden ones have a flag that --help does not list: they are given as
	// arguments.
	Hidden bool

	bind binding[Config]
}

// Settings is the table, ordered by group.
func Settings() []Setting { return append([]Setting(nil), settings...) }

// Flag is the setting's flag with its dashes; empty where it has none.
func (s Setting) Flag() string {
	if s.FileOnly {
		return ""
	}
	return "--" + s.Key
}

// Env is the environment variable's name; empty where there is none.
func (s Setting) Env() string {
	if s.FileOnly {
		return ""
	}
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, "-", "_"))
}

// EnvPrefix begins the name of every environment variable that we read.
const EnvPrefix = "FLASK2BAN_"

// Type names the kind of value for --help: "duration", "size", "cidr" ...
func (s Setting) Type() string { return s.bind.kind() }

// Repeatable says that the setting takes several values: the flag repeated, or
// separated by commas, or a list in the file.
func (s Setting) Repeatable() bool { return s.bind.many() }

// Text is the setting's value in c as one would write it, one text a value.
// Passwords in URLs are masked.
func (s Setting) Text(c *Config) []string { return s.bind.texts(c) }

// defaults are the texts of the default value.
func (s Setting) defaults() []string {
	if s.Default == "" {
		return nil
	}
	return s.bind.split(s.Default)
}

// defaultTexts are the default value's texts in their usual form.
func (s Setting) defaultTexts() []string {
	var c Config
	_ = s.bind.set(&c, s.defaults()) // a test holds that it is valid
	return s.bind.texts(&c)
}

// lookup finds a setting by its key.
func lookup(key string) (Setting, bool) {
	for _, s := range settings {
		if s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}
