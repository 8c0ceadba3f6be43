package systemd

import (
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// TestJournalHandler: each line begins with its own record's priority, also
// where several goroutines write.
func TestJournalHandler(t *testing.T) {
	var out strings.Builder
	log := slog.New(JournalHandler(&out, func(w io.Writer) slog.Handler {
		return slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
	}))
	var group sync.WaitGroup
	want := map[slog.Level]string{slog.LevelDebug: "<7>", slog.LevelInfo: "<6>", slog.LevelWarn: "<4>", slog.LevelError: "<3>"}
	for level := range want {
		group.Go(func() {
			for range 100 {
				log.With("a", 1).WithGroup("g").Log(t.Context(), level, "two\nlines", "b", 2)
			}
		})
	}
	group.Wait()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 100*len(want) {
		t.Errorf("%d lines, want %d", len(lines), 100*len(want))
	}
	for _, line := range lines {
		for level, priority := range want {
			if strings.Contains(line, "level="+level.String()+" ") != strings.HasPrefix(line, priority+"time=") {
				t.Fatalf("got %s", line)
			}
		}
		if !strings.HasSuffix(line, `msg="two\nlines" a=1 g.b=2`) {
			t.Fatalf("got %s", line)
		}
	}
}

func TestPrioritized(t *testing.T) {
	if got := Prioritized(ErrorPriority, "a\n  b"); got != "<3>a\n<3>  b" {
		t.Errorf("got %q", got)
	}
}

// TestIsJournal: only standard error, and only where it is the very stream that
// the service manager has named; not a file that a shell has put in its place.
func TestIsJournal(t *testing.T) {
	if IsJournal(&strings.Builder{}) || IsJournal(os.Stdout) {
		t.Error("something else than standard error is taken for the journal")
	}
	for stream, want := range map[string]bool{"": false, "1:2": false, "nonsense": false, `$(stat -Lc %d:%i /dev/stderr)`: true} {
		cmd := exec.Command("sh", "-c", `exec 2>/dev/null; JOURNAL_STREAM=`+stream+` exec "$0" -test.run='^TestIsJournalHere$' -test.v`, os.Args[0])
		cmd.Env = append(os.Environ(), "JOURNAL_TEST=1")
		out, err := cmd.CombinedOutput()
		if got := strings.Contains(string(out), "--- PASS"); got != want {
			t.Errorf("%q: got %t, %v: %s", stream, got, err, out)
		}
	}
}

// TestIsJournalHere is run by TestIsJournal, with another standard error.
func TestIsJournalHere(t *testing.T) {
	if os.Getenv("JOURNAL_TEST") == "" {
		t.Skip("TestIsJournal runs it")
	}
	if !IsJournal(os.Stderr) {
		t.Fatal("standard error does not go to the journal")
	}
}
