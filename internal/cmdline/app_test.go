package cmdline

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/config"
	"github.com/flask2ban/flask2ban/internal/state"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

// TestAppConfig: an answer's time-out that is off is no default.
func TestAppConfig(t *testing.T) {
	if got := AppConfig(&config.Config{}).AnswerTimeout; got >= 0 {
		t.Errorf("--answer-timeout 0 became %v, which means the default", got)
	}
	if got := AppConfig(&config.Config{AnswerTimeout: time.Minute}).AnswerTimeout; got != time.Minute {
		t.Errorf("got %v", got)
	}
}

func TestExitOf(t *testing.T) {
	var exit *ExitError
	if err := ExitOf(errors.Join(&app.ExitError{Code: 143, Reason: "it ended"})); !errors.As(err, &exit) || exit.Code != 143 {
		t.Errorf("got %v", err)
	}
	other := errors.New("other")
	if err := ExitOf(other); err != other {
		t.Errorf("another error became %v", err)
	}
	if err := ExitOf(nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestNewLogger(t *testing.T) {
	for _, tt := range []struct {
		config config.Config
		want   string
	}{
		{config.Config{LogLevel: "info"}, "level=INFO msg=told client=192.0.2.1\n"},
		{config.Config{LogLevel: "warn"}, ""},
		{config.Config{LogLevel: "info", LogJSON: true}, `"level":"INFO","msg":"told","client":"192.0.2.1"}` + "\n"},
	} {
		var out strings.Builder
		log := NewLogger(&out, &tt.config)
		log.Info("told", slog.String("client", "192.0.2.1"))
		log.Debug("never")
		if got := out.String(); !strings.HasSuffix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%+v: got %q, want %q at its end", tt.config, got, tt.want)
		}
	}
}

func TestDescribeInstance(t *testing.T) {
	for _, tt := range []struct {
		state app.State
		want  string
	}{
		{app.State{Name: app.Ready, PID: 7, User: "www"}, "ready, pid 7 as www"},
		{app.State{Name: app.Ready, PID: 7, Restarts: 2, LastExit: "signal: killed", Reason: "old"}, "ready, pid 7, 2 restarts, last exit: signal: killed"},
		{app.State{Name: app.Ready, PID: 7, Restarts: 1}, "ready, pid 7, 1 restarts"},
		{app.State{Name: app.Ready, PID: 7, User: "www", Instances: []app.InstanceState{{Name: app.Ready, PID: 7}, {Name: app.CrashLoop}, {Name: app.Starting, PID: 9}}},
			"ready, 3 instances: pid 7, crash loop, pid 9 starting as www"},
		{app.State{Name: app.CrashLoop, Restarts: 9, LastExit: "exit status 1", Reason: "ImportError: \x1b[2J"}, `crash loop, 9 restarts, last exit: exit status 1; "ImportError: \x1b[2J"`},
	} {
		if got := DescribeInstance(tt.state); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestDescribeEvent: what an app wrote is read as it was written, and moves no
// cursor.
func TestDescribeEvent(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	got := DescribeEvent(app.Event{At: at, Seen: "SIGHUP", Done: "which failed: SyntaxError\n  def f(:\n\x1b[2J", Cost: "1 lost"})
	want := "2026-01-02 03:04:05  SIGHUP: which failed: SyntaxError\n      def f(:\n    \"\\x1b[2J (1 lost)\""
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestStateLogTellsNothingTwice: a state that differs in nothing that is told, and
// a reason that the line of the app's end has told.
func TestStateLogTellsNothingTwice(t *testing.T) {
	var out strings.Builder
	l := StateLog{Log: slog.New(slog.NewTextHandler(&out, nil))}
	for _, st := range []app.State{
		{Name: app.Starting, PID: 1},
		{Name: app.Starting, PID: 1, Restarts: 1},
		{Name: app.Restarting, Reason: "it ended"},
		{Name: app.CrashLoop, PID: 2, Reason: "it ended"},
		{Name: app.Stopped, Reason: "asked to"},
	} {
		l.Tell(st)
	}
	want := `level=INFO msg=app state=starting pid=1
level=INFO msg=app state=restarting pid=0
level=INFO msg=app state=crash_loop pid=2
level=INFO msg=app state=stopped pid=0 reason="asked to"
`
	if got := regexp.MustCompile(`(?m)^time=\S+ `).ReplaceAllString(out.String(), ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestListenError has the kernel refuse.
func TestListenError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = net.Listen("tcp", l.Addr().String())
	if got := ListenError(":80", err).Error(); got != "listen on :80: another program already listens there; stop it (ss -ltnp shows which) or choose another --listen" {
		t.Errorf("got %s", got)
	}
	if got := ListenError(":80", os.NewSyscallError("bind", syscall.EACCES)).Error(); !strings.Contains(got, "needs root or CAP_NET_BIND_SERVICE") {
		t.Errorf("got %s", got)
	}
	_, err = net.Listen("tcp", "192.0.2.1:80")
	if got := ListenError("192.0.2.1:80", err); !errors.Is(got, syscall.EADDRNOTAVAIL) {
		t.Errorf("got %v", got)
	}
}

// TestAppAndCommand splits what cobra leaves.
func TestAppAndCommand(t *testing.T) {
	for _, tt := range []struct {
		args    []string
		app     string
		command []string
		wrong   string
	}{
		{nil, "", nil, ""},
		{[]string{"app.py"}, "app.py", nil, ""},
		{[]string{"app.py", "--", "gunicorn", "-w", "4"}, "app.py", []string{"gunicorn", "-w", "4"}, ""},
		{[]string{"--", "gunicorn"}, "", []string{"gunicorn"}, ""},
		{[]string{"app.py", "--"}, "", nil, "no command after --"},
		{[]string{"a", "b"}, "", nil, `unexpected argument "b" after app "a"`},
	} {
		var app string
		var command []string
		cmd := &cobra.Command{Use: "x", Args: cobra.ArbitraryArgs, SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, args []string) (err error) {
			app, command, err = AppAndCommand(cmd, args)
			return err
		}}
		cmd.SetArgs(tt.args)
		err := cmd.Execute()
		if app != tt.app || strings.Join(command, " ") != strings.Join(tt.command, " ") || (err != nil) != (tt.wrong != "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("%v: got %q, %v, %v", tt.args, app, command, err)
		}
	}
}

// TestGroupSuggests: a mistyped command is told of, with what was meant.
func TestGroupSuggests(t *testing.T) {
	group := &cobra.Command{Use: "bans", SuggestionsMinimumDistance: 2, Args: cobra.ArbitraryArgs, RunE: Group, SilenceErrors: true, SilenceUsage: true}
	root := &cobra.Command{Use: "prog"}
	root.AddCommand(group)
	group.AddCommand(&cobra.Command{Use: "remove", Args: Arguments("CLIENT"), RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true})
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"remvoe"}, `unknown command "remvoe" for prog bans; did you mean remove?`},
		{[]string{"nothing-like-it"}, `unknown command "nothing-like-it" for prog bans (prog bans --help lists all)`},
		{[]string{"remove"}, "bans remove: CLIENT missing; write prog bans remove"},
		{[]string{"remove", "a", "b"}, `bans remove: unexpected argument "b"`},
	} {
		root.SetArgs(append([]string{"bans"}, tt.args...))
		if err := root.Execute(); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q", tt.args, err, tt.want)
		}
	}
}

// serveState answers as the daemon of a state directory, until the test ends.
func serveState(t *testing.T, dir string) {
	t.Helper()
	if err := state.Create(dir); err != nil {
		t.Fatal(err)
	}
	l, err := state.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
}

// TestDaemonIsFound: the only one that runs; of several the one that is named.
func TestDaemonIsFound(t *testing.T) {
	home, err := os.MkdirTemp("/tmp", "d-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	variables := map[string]string{"XDG_STATE_HOME": home}
	p := Program{Name: "prog", Getenv: func(name string) string { return variables[name] }}
	one, two := filepath.Join(home, "prog", "one"), filepath.Join(home, "prog", "two")
	serveState(t, one)
	client, err := p.Daemon(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	serveState(t, two)
	_, err = p.Daemon(t.Context(), "")
	if want := "2 daemons run; say which:\n  --state " + one + "\n  --state " + two; err == nil || err.Error() != want || errors.Is(err, admin.ErrNotRunning) {
		t.Errorf("got %v, want %s", err, want)
	}
	if client, err = p.Daemon(t.Context(), two); err != nil {
		t.Error(err)
	} else {
		client.Close()
	}
	variables["PROG_STATE"] = one
	if client, err = p.Daemon(t.Context(), ""); err != nil {
		t.Errorf("with $PROG_STATE: %v", err)
	} else {
		client.Close()
	}
}

// TestOnSignal: each signal is acted on, one after the other, until the end.
func TestOnSignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stop := Survive() // a signal too early must not kill the test
	defer stop()
	acted := make(chan struct{}, 8)
	ended := make(chan error, 1)
	go func() { ended <- OnSignal(ctx, syscall.SIGHUP, func() { acted <- struct{}{} }) }()
	for range 2 {
		err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) {
			select {
			case <-acted:
				return true, nil
			default:
				return false, syscall.Kill(os.Getpid(), syscall.SIGHUP)
			}
		})
		if err != nil {
			t.Fatalf("a signal was not acted on: %v", err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestVersion(t *testing.T) {
	if got := Version("v1.2.3"); got != "v1.2.3" {
		t.Errorf("got %s", got)
	}
	if got := Version(""); got == "" {
		t.Error("no version at all")
	}
	var out strings.Builder
	cmd := Program{Name: "prog", Version: "v1.2.3", Stdout: &out}.VersionCommand()
	cmd.SetArgs([]string{})
	if err := cmd.Execute(); err != nil || !strings.HasPrefix(out.String(), "prog v1.2.3 (go") {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

// TestMistyped: a word that is nearly a command, and no file, is no app.
func TestMistyped(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("stats.py", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got bool
	root := &cobra.Command{Use: "supervisor", SuggestionsMinimumDistance: 2, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { got = Mistyped(cmd, args); return nil }}
	root.AddCommand(&cobra.Command{Use: "status", Run: func(*cobra.Command, []string) {}})
	for _, tt := range []struct {
		args []string
		want bool
	}{
		{[]string{"statsu"}, true},
		{[]string{"statsu", "x"}, true},
		{[]string{"stats"}, false}, // stats.py is there
		{[]string{"shop"}, false},
		{[]string{"stat.py"}, false},
		{[]string{"--", "statsu"}, false},
		{nil, false},
	} {
		root.SetArgs(tt.args)
		if err := root.Execute(); err != nil || got != tt.want {
			t.Errorf("%v: got %v, %v", tt.args, got, err)
		}
	}
}
