package cmdline

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

// asMain has the test binary be a program that Main runs.
const asMain = "CMDLINE_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		os.Exit(Main(slowToEnd))
	}
	os.Exit(m.Run())
}

// slowToEnd says what it was given, and when it was asked to end; it ends by itself
// only with an argument.
func slowToEnd(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	text, err := io.ReadAll(stdin)
	fmt.Fprintln(stdout, "args", args, "variable", getenv(asMain), "input", string(text), err)
	if len(args) > 0 {
		fmt.Fprintln(stderr, "and errors")
		return 7
	}
	<-ctx.Done()
	fmt.Fprintln(stdout, "asked to end")
	<-time.After(time.Hour)
	return 0
}

func mainProcess(t *testing.T, args ...string) *testbed.Program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asMain+"=yes")
	cmd.Stdin = strings.NewReader("some text")
	p, err := testbed.Start("main", cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(0) })
	return p
}

func TestMainPassesTheProcessOn(t *testing.T) {
	p := mainProcess(t, "one", "two")
	<-p.Done
	want := "args [one two] variable yes input some text <nil>\nand errors\n"
	if got, code := p.Log.String(), p.Cmd.ProcessState.ExitCode(); got != want || code != 7 {
		t.Errorf("got %q, exit code %d; want %q, 7", got, code, want)
	}
}

// TestMainSignals: the first signal asks, the second ends, whatever the program does.
func TestMainSignals(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := mainProcess(t)
		said := func(text string) {
			t.Helper()
			if err := p.Await(t.Context(), time.Minute, "it says "+text, func() bool { return strings.Contains(p.Log.String(), text) }); err != nil {
				t.Fatal(err)
			}
		}
		said("args")
		if err := p.Cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		said("asked to end")
		if p.Ended() {
			t.Fatalf("%s ended it at once", sig)
		}
		// The first one gives the second its usual effect a moment after it is seen.
		if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) {
			_ = p.Cmd.Process.Signal(sig) // fails where it has ended
			return p.Ended(), nil
		}); err != nil {
			t.Fatalf("a second %s: %v", sig, err)
		}
		if status := p.Cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != sig {
			t.Errorf("a second %s: it ended with %s", sig, p.Cmd.ProcessState)
		}
	}
}

// TestMainIsTheGuard: what is no guard's command line is refused in its words, not run.
func TestMainIsTheGuard(t *testing.T) {
	p := mainProcess(t, app.GuardArg)
	<-p.Done
	if code := p.Cmd.ProcessState.ExitCode(); code != 1 || strings.Contains(p.Log.String(), "args") {
		t.Errorf("exit code %d, said %q; want the guard's own failure", code, p.Log.String())
	}
}
