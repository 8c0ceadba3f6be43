package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCompletion presses Tab in a real bash, as docs/completion.md sets it up.
func TestCompletion(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, example(t, "hello"), "", "app.py")
	if out, err := d.cli("bans", "add", "192.0.2.77"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	dir := t.TempDir()
	replace(t, filepath.Join(dir, "shop.py"), "")
	replace(t, filepath.Join(dir, "shop.pem"), "")
	x := startTmux(t, 100, 40, "env -i TERM=xterm PS1='> ' PATH="+filepath.Dir(path)+":/usr/bin:/bin HOME="+dir+" bash --norc --noprofile -i")
	enter := func(line string) { x.keys("-l", line); x.keys("Enter") }
	enter("cd " + dir + "; source /usr/share/bash-completion/bash_completion; bind 'set bell-style none'; echo so''urced")
	x.shows("sourced")
	for _, program := range []string{"flask2ban", "flasksupervisor"} {
		enter("source <(" + program + " completion bash); echo " + program + " is''there")
		x.shows(program + " isthere")
	}
	tests := []struct {
		typed string
		tabs  int
		want  string
	}{
		{"flask2ban rel", 1, "> flask2ban reload"},
		{"flask2ban --penal", 1, "> flask2ban --penalty"},
		{"flask2ban shop.py --penalty t", 2, "tarpit"}, // beside too_many
		{"flask2ban --penalty ta", 1, "> flask2ban --penalty tarpit"},
		{"flask2ban --log-format j", 1, "> flask2ban --log-format json"},
		{"flask2ban serve --mode=ob", 1, "> flask2ban serve --mode=observe"},
		{"flask2ban routes --format op", 1, "> flask2ban routes --format openapi"},
		{"flask2ban sho", 1, "> flask2ban shop.p"}, // shop.py and shop.pem
		{"flask2ban --tls-cert shop.pe", 1, "> flask2ban --tls-cert shop.pem"},
		{"flask2ban bans rem", 1, "> flask2ban bans remove"},
		{"flask2ban why --state " + d.state + " 192.", 1, " 192.0.2.77"},
		{"flasksupervisor sho", 1, "> flasksupervisor shop.p"},
		{"flasksupervisor rest", 1, "> flasksupervisor restart"},
		{"flasksupervisor --log-format j", 1, "> flasksupervisor --log-format json"},
	}
	// fresh waits for an empty screen: bash does not read what is typed before
	// its prompt as it does later.
	fresh := func() {
		enter("clear")
		within(t, 30*time.Second, "the screen is empty", func() bool {
			return strings.TrimSpace(x.do("capture-pane", "-p")) == ">"
		})
	}
	for _, tt := range tests {
		fresh()
		x.keys("-l", tt.typed)
		x.shows(tt.typed[max(0, len(tt.typed)-20):])
		for range tt.tabs {
			x.keys("Tab")
		}
		if screen := x.shows(tt.want); strings.Contains(screen, "command not found") {
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
}
