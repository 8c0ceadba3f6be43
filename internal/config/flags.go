package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// AddFlags adds the flags of the groups named, or of all where none is, to
// flags. Their values are read by Load.
func AddFlags(flags *pflag.FlagSet, groups ...Group) {
	for _, s := range settings {
		if s.FileOnly || len(groups) > 0 && !slices.Contains(groups, s.Group) {
			continue
		}
		f := flags.VarPF(&flagValue{setting: s}, s.Key, "", s.Usage)
		f.DefValue = s.Default
		f.Hidden = s.Hidden
		if s.Type() == boolean.name {
			f.NoOptDefVal = "true"
			f.DefValue = "false" // pflag then leaves it out of the usage
		}
	}
}

// SetApp takes a command's arguments as its APP and the words after "--" as the
// server command: dash is where those begin, as cobra's ArgsLenAtDash gives it,
// and -1 where there is no "--". flags must have GroupApp's flags.
func SetApp(flags *pflag.FlagSet, args []string, dash int) error {
	apps, command := args, []string(nil)
	if dash >= 0 {
		apps, command = args[:dash], args[dash:]
	}
	if len(apps) > 1 {
		return fmt.Errorf("want one APP, not %d (%s); a server's own command goes after \"--\"", len(apps), strings.Join(apps, " "))
	}
	for _, a := range apps {
		if err := flags.Set("app", a); err != nil {
			return err
		}
	}
	for _, word := range command {
		if err := flags.Set("command", word); err != nil {
			return err
		}
	}
	return nil
}

// flagValue keeps what was given for one flag; Load parses it, so that flags,
// environment and file have the same errors.
type flagValue struct {
	setting Setting
	texts   []string
}

var _ pflag.Value = (*flagValue)(nil)

func (v *flagValue) String() string { return strings.Join(v.texts, ",") }
func (v *flagValue) Type() string   { return v.setting.Type() }

// Set adds to a repeatable flag and replaces any other, as flags do.
func (v *flagValue) Set(text string) error {
	if !v.setting.Repeatable() {
		v.texts = nil
	}
	v.texts = append(v.texts, v.setting.split(text)...)
	return nil
}

// flagPlace names where a flag's value came from.
func (s Setting) flagPlace() string {
	switch s.Key {
	case "app":
		return "APP"
	case "command":
		return "COMMAND"
	}
	return s.Flag()
}
