package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// completionShells are those for which docs/completion.md says what to do.
var completionShells = []struct {
	name, command string
	// setUp are lines to type first: those of the documentation, and what keeps
	// the screen plain.
	setUp []string
	// lists is how many times to press Tab for a list of several.
	lists int
}{
	{"bash", "env PS1='> ' bash --norc --noprofile -i", []string{
		"source /usr/share/bash-completion/bash_completion; bind 'set bell-style none'",
		"source <(flask2ban completion bash); source <(flasksupervisor completion bash)",
	}, 2},
	{"zsh", "env PS1='> ' zsh -f -i", []string{
		"unsetopt beep promptsp; mkdir ~/functions; fpath=(~/functions $fpath)",
		`flask2ban completion zsh > "${fpath[1]}/_flask2ban"; flasksupervisor completion zsh > "${fpath[1]}/_flasksupervisor"`,
		"autoload -U compinit; compinit -u",
	}, 1},
	{"fish", "fish --no-config -i", []string{
		"function fish_prompt; echo '> '; end; set -g fish_autosuggestion_enabled 0; mkdir -p ~/.config/fish/completions",
		"flask2ban completion fish > ~/.config/fish/completions/flask2ban.fish",
		"flasksupervisor completion fish > ~/.config/fish/completions/flasksupervisor.fish",
		"set -g fish_complete_path ~/.config/fish/completions", // which --no-config leaves out
	}, 1},
}

// TestCompletion presses Tab in real shells, set up as docs/completion.md says.
func TestCompletion(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, example(t, "hello"), "", "app.py")
	if out, err := d.cli("bans", "add", "192.0.2.77"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tests := []struct {
		typed string
		list  bool
		want  string
	}{
		{"flask2ban rel", false, "> flask2ban reload"},
		{"flask2ban --penal", false, "> flask2ban --penalty"},
		{"flask2ban shop.py --penalty t", true, "tarpit"}, // beside too_many
		{"flask2ban --penalty ta", false, "> flask2ban --penalty tarpit"},
		{"flask2ban --log-format j", false, "> flask2ban --log-format json"},
		{"flask2ban serve --mode=ob", false, "> flask2ban serve --mode=observe"},
		{"flask2ban routes --format op", false, "> flask2ban routes --format openapi"},
		{"flask2ban sho", false, "> flask2ban shop.p"}, // shop.py and shop.pem
		{"flask2ban --tls-cert shop.pe", false, "> flask2ban --tls-cert shop.pem"},
		{"flask2ban bans rem", false, "> flask2ban bans remove"},
		{"flask2ban why --state " + d.state + " 192.", false, " 192.0.2.77"},
		{"flasksupervisor sho", false, "> flasksupervisor shop.p"},
		{"flasksupervisor rest", false, "> flasksupervisor restart"},
		{"flasksupervisor --log-format j", false, "> flasksupervisor --log-format json"},
	}
	for _, shell := range completionShells {
		t.Run(shell.name, func(t *testing.T) {
			need(t, shell.name)
			dir := t.TempDir()
			replace(t, filepath.Join(dir, "shop.py"), "")
			replace(t, filepath.Join(dir, "shop.pem"), "")
			x := startTmux(t, 100, 40, "cd "+dir+"; exec env -i TERM=xterm PATH="+filepath.Dir(path)+":/usr/bin:/bin HOME="+dir+" "+shell.command)
			enter := func(line string) { x.keys("-l", line); x.keys("Enter") }
			for n, line := range shell.setUp {
				enter(fmt.Sprint(line, "; echo do''ne ", n))
				x.shows(fmt.Sprint("done ", n))
			}
			// fresh waits for an empty screen: bash does not read what is typed before
			// its prompt as it does later.
			fresh := func() {
				enter("clear")
				within(t, patience, "the screen is empty", func() bool {
					return strings.TrimSpace(x.do("capture-pane", "-p")) == ">"
				})
			}
			for _, tt := range tests {
				fresh()
				x.keys("-l", tt.typed)
				x.shows(tt.typed[max(0, len(tt.typed)-20):])
				x.keys("Tab")
				for n := 1; tt.list && n < shell.lists; n++ {
					x.keys("Tab")
				}
				if screen := x.shows(tt.want); strings.Contains(screen, "not found") {
					t.Errorf("%s: %s", tt.typed, screen)
				}
				x.keys("C-u")
			}
			// Where a number or a duration stands, no file's name is offered.
			fresh()
			x.keys("-l", "flask2ban --bantime sh")
			x.shows("--bantime sh")
			x.keys("Tab")
			x.keys("-l", "|end")
			if screen := x.shows("|end"); !strings.Contains(screen, "--bantime sh|end") {
				t.Errorf("a duration was completed: %s", screen)
			}
		})
	}
}
