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

// FlagWords are the words that a flag of [AddFlags] may have as its value, nil
// where there is no such choice. text says that any text may stand there, a
// file's name among them; so it may for flags of others.
func FlagWords(f *pflag.Flag) (words []string, text bool) {
	v, ok := f.Value.(*flagValue)
	if !ok {
		return nil, true
	}
	return v.setting.Values, v.Type() == anyText
}

// SetApp takes a command's arguments as its APP and the words after "--" as the
// server command: dash is where those begin, as cobra's ArgsLenAtDash gives it,
// and -1 where there is no "--". flags must have GroupApp's flags, else nothing
// is set.
func SetApp(flags *pflag.FlagSet, args []string, dash int) error {
	apps, command := args, []string(nil)
	if dash >= 0 {
		apps, command = args[:dash], args[dash:]
	}
	if len(apps) > 1 {
		return fmt.Errorf("want one APP, not %d (%s); a server's own command goes after \"--\"", len(apps), strings.Join(apps, " "))
	}
	give(flags, "app", apps)
	give(flags, "command", command)
	return nil
}

// give sets a flag to the values, as they are; none leaves it.
func give(flags *pflag.FlagSet, key string, texts []string) {
	f := flags.Lookup(key)
	if f == nil || len(texts) == 0 {
		return
	}
	if v, ok := f.Value.(*flagValue); ok {
		v.texts, f.Changed = texts, true
	}
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

// Given is what stood on the command line for a flag of [AddFlags], one text for each
// time that it has to be given to have the same again.
func Given(f *pflag.Flag) []string {
	if v, ok := f.Value.(*flagValue); ok && len(v.texts) > 0 {
		return slices.Clone(v.texts)
	}
	return []string{f.Value.String()}
}

// Set adds to a repeatable flag and replaces any other, as flags do.
func (v *flagValue) Set(text string) error {
	if !v.setting.Repeatable() {
		v.texts = nil
	}
	v.texts = append(v.texts, v.setting.bind.split(text)...)
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
