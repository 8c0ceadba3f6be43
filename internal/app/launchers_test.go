package app

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/servers.md's table from launchers")

// TestServersGuideIsCurrent: the guide's table is the one that the code uses.
func TestServersGuideIsCurrent(t *testing.T) {
	const path, begin, end = "../../docs/servers.md", "<!-- launchers -->\n\n", "\n<!-- end of launchers -->"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", path, begin, end)
	}
	want := head + begin + launchersTable() + end + tail
	if *update {
		err = os.WriteFile(path, []byte(want), 0o644)
	} else if string(data) != want {
		t.Errorf("%s is not as launchers.go: go test ./internal/app -run ServersGuide -update", path)
	}
	if err != nil {
		t.Error(err)
	}
}

func launchersTable() string {
	var b strings.Builder
	b.WriteString("| started as | without the hook | requests at a time, as the hook reads it | one worker killed alone |\n|---|---|---|---|\n")
	for _, l := range launchers {
		socket, worker := "a port of its own", "no"
		if len(l.variables) > 0 {
			name, _, _ := strings.Cut(l.variables[len(l.variables)-1], "=")
			socket = "flask2ban's socket, by `" + name + "`"
		}
		if l.replaces {
			worker = "yes"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", l.runs, socket, l.concurrency, worker)
	}
	return b.String()
}

func TestLauncherOf(t *testing.T) {
	for server, want := range map[string]string{"socketserver": "werkzeug", "gunicorn": "gunicorn", "": "", "nobody's": ""} {
		got := strings.Join(launcherOf(server).names, " ")
		if first, _, _ := strings.Cut(got, " "); first != want {
			t.Errorf("%q: got %q, want %q", server, first, want)
		}
	}
}

// TestTheAppSeesNoPort: where the hook works, the port that is named for other
// cases does not show; one that the operator has named does.
func TestTheAppSeesNoPort(t *testing.T) {
	dir := write(t, map[string]string{"app.py": helloMain})
	for _, set := range []string{"", "18080"} {
		c := Config{App: "app.py", Dir: dir}
		if set != "" {
			c.Env = []string{"PORT=" + set}
		}
		r := start(t, c)
		got := r.get("/environ").body
		if strings.Contains(got, "FLASK_RUN_PORT") || strings.Contains(got, "('PORT', '") != (set != "") || !strings.Contains(got, "('PORT', '"+set) && set != "" {
			t.Errorf("PORT=%s: got %s", set, got)
		}
		r.end()
	}
}
