package systemd

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode"
)

// Unit says what a service's unit is to run.
type Unit struct {
	// Program is "flask2ban" or "flasksupervisor", Name the unit's without
	// ".service".
	Program, Name string
	// App is what runs, for people.
	App string
	// Command is the program with its arguments.
	Command []string
	// Dir is the working directory.
	Dir string
	// Owner runs the service: the app's. Empty means a user made for it while
	// it runs (DynamicUser), who can only read the app.
	Owner string
	// Home says that the app lies in a home directory, which is then not
	// hidden from it.
	Home bool
	// Capabilities are what it needs beside its user's rights, such as
	// CAP_NET_BIND_SERVICE. Nothing is given to a user's own manager.
	Capabilities []string
	// User makes a unit for a user's own manager (systemctl --user).
	User bool
	// Install are commands that install the unit, for its head.
	Install []string
}

//go:embed unit.tmpl
var unitText string

// Write writes the unit. It is an error where a path can't stand in one.
func (u Unit) Write(w io.Writer) error {
	for _, word := range append([]string{u.Dir, u.Owner, u.Name, u.App}, u.Command...) {
		if strings.ContainsFunc(word, unicode.IsControl) {
			return fmt.Errorf("%q has a character that a unit can't hold: rename it", word)
		}
	}
	t, err := template.New("unit").Funcs(template.FuncMap{
		"quoted": quoted, "path": specifierless, "escaped": escaped,
		"join": func(words []string) string { return strings.Join(words, " ") },
	}).Parse(unitText)
	if err != nil {
		return err
	}
	return t.Execute(w, u)
}

// ExecStart is the command as the unit has it; the state directory is the one
// that systemd makes.
func (u Unit) ExecStart() string {
	words := make([]string, len(u.Command))
	for i, word := range u.Command {
		if words[i] = quoted(word); word == StateDirectory {
			words[i] = word
		}
	}
	return strings.Join(words, " ")
}

// StateDirectory as a word of Unit.Command stands for the directory that
// systemd makes: it is not escaped.
const StateDirectory = "${STATE_DIRECTORY}"

// quoted is a word of a command line in a unit (systemd.service(5)).
func quoted(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(word) + `"`
}

// escaped is a word in a list of paths, where nothing but specifiers expands.
func escaped(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(word) + `"`
}

// specifierless is a path that stands alone in its line.
func specifierless(path string) string { return strings.ReplaceAll(path, "%", "%%") }

// UnitName makes a name for an app's unit of its program and state directory's
// name.
func UnitName(program, name string) string {
	return program + "-" + strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '_' || r == '.' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return r
		}
		return '-'
	}, cmp.Or(name, "app"))
}
