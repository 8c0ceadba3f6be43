package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/admin"
	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

// supervised serves the API of an app's supervisor as it is given.
func supervised(t *testing.T, c admin.Supervised) *daemon {
	t.Helper()
	d := &daemon{dir: t.TempDir()}
	c.Log = slog.New(slog.NewTextHandler(d, nil))
	d.serve(t, admin.NewSupervised(c))
	return d
}

// instance is an app in a state, as a supervisor tells of it.
func instance(name string) func() app.State {
	return func() app.State { return app.State{Name: name, PID: 4711} }
}

func TestSupervisedStatus(t *testing.T) {
	// As app.App keeps them; no call may turn what it keeps around.
	events := []app.Event{{Seen: "first"}, {Seen: "second"}, {Seen: "third"}}
	var addr atomic.Value
	addr.Store("")
	d := supervised(t, admin.Supervised{
		Info:   admin.Info{Version: "v1.2.3", App: "app.py", Mode: "supervise", PID: 42, Started: time.Now().Add(-time.Hour)},
		State:  instance(app.Ready),
		Events: func() []app.Event { return events },
		Addr:   func() string { return addr.Load().(string) },
	})
	for range 2 {
		st, err := d.client.Supervised(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, e := range st.Events {
			seen = append(seen, e.Seen)
		}
		if got, want := strings.Join(seen, " "), "third second first"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if !st.Ready || st.Instance.PID != 4711 || st.App != "app.py" || st.UptimeSeconds < 3600 || len(st.Listen) != 0 {
			t.Errorf("got %+v", st)
		}
	}
	addr.Store("127.0.0.1:5000")
	if st, err := d.client.Supervised(t.Context()); err != nil || len(st.Listen) != 1 || st.Listen[0] != "127.0.0.1:5000" {
		t.Errorf("got %+v, %v", st, err)
	}
}

// TestSupervisedReadiness: only what serves is ready, and what is not says so.
func TestSupervisedReadiness(t *testing.T) {
	for name, want := range map[string]string{app.Ready: "", app.Starting: "the app is starting", app.CrashLoop: "the app is crash_loop"} {
		d := supervised(t, admin.Supervised{State: instance(name)})
		got := request(t, "GET", d.local, "/readyz", "")
		status := http.StatusOK
		if want != "" {
			status = http.StatusServiceUnavailable
		}
		if got.status != status || !strings.Contains(got.body, want) {
			t.Errorf("%s: got %+v, want %d %q", name, got, status, want)
		}
		if got := request(t, "GET", d.local, "/healthz", ""); got.status != http.StatusOK {
			t.Errorf("%s: healthz %+v", name, got)
		}
	}
}

// TestSupervisedLogs: what is asked for comes line by line while it is written,
// until who asks has enough.
func TestSupervisedLogs(t *testing.T) {
	type asked struct {
		lines  int
		follow bool
	}
	calls, more, ended := make(chan asked, 1), make(chan string), make(chan struct{}, 1)
	d := supervised(t, admin.Supervised{
		State: instance(app.Ready),
		Logs: func(ctx context.Context, w io.Writer, lines int, follow bool) error {
			calls <- asked{lines, follow}
			defer func() { ended <- struct{}{} }()
			_, err := io.WriteString(w, "kept\n")
			for follow && err == nil {
				select {
				case text := <-more:
					_, err = io.WriteString(w, text)
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return err
		},
	})
	var out testbed.Log
	if err := d.client.Logs(t.Context(), &out, 20, false); err != nil || out.String() != "kept\n" || <-calls != (asked{20, false}) {
		t.Errorf("got %q, %v", out.String(), err)
	}
	<-ended

	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var followed testbed.Log
	done := make(chan error, 1)
	go func() { done <- d.client.Logs(ctx, &followed, 0, true) }()
	if got := <-calls; got != (asked{0, true}) {
		t.Errorf("asked for %+v", got)
	}
	more <- "a new line\n"
	if err := testbed.Poll(t.Context(), time.Minute, func() (bool, error) { return followed.String() == "kept\na new line\n", nil }); err != nil {
		t.Errorf("while it is followed: %q", followed.String())
	}
	enough()
	if err := <-done; err != nil {
		t.Errorf("who has enough is told %v", err)
	}
	<-ended

	for _, query := range []string{"", "?lines=", "?lines=-1", "?lines=all"} {
		if got := request(t, "GET", d.local, "/api/v1/logs"+query, ""); got.status != http.StatusBadRequest || !strings.Contains(got.body, "write a number") {
			t.Errorf("%q: got %+v", query, got)
		}
	}
}

// TestSupervisedActions: each is in the log, a failed one is explained, and over
// TCP nobody has the token that they need.
func TestSupervisedActions(t *testing.T) {
	var failed error
	restarts, stops := 0, 0
	d := supervised(t, admin.Supervised{
		State:   instance(app.Ready),
		Restart: func(context.Context) error { restarts++; return failed },
		Stop:    func() { stops++ },
	})
	if err := d.client.Restart(t.Context()); err != nil || restarts != 1 {
		t.Errorf("restart: %v after %d", err, restarts)
	}
	failed = errors.New("SyntaxError in app.py")
	if err := d.client.Restart(t.Context()); err == nil || err.Error() != "the app was not restarted: SyntaxError in app.py" {
		t.Errorf("a restart that fails: %v", err)
	}
	if err := d.client.Stop(t.Context()); err != nil || stops != 1 {
		t.Errorf("stop: %v after %d", err, stops)
	}
	if got := d.logged(); strings.Count(got, "action=restart") != 2 || strings.Count(got, "action=stop") != 1 {
		t.Errorf("logged:\n%s", got)
	}
	for _, path := range []string{"/api/v1/restart", "/api/v1/stop"} {
		for _, token := range []string{"", "x"} {
			if got := request(t, "POST", d.local, path, "", bearer(token)); got.status != http.StatusUnauthorized {
				t.Errorf("%s with token %q over TCP: %+v", path, token, got)
			}
		}
	}
	if restarts != 2 || stops != 1 {
		t.Errorf("%d restarts and %d stops by who may not", restarts, stops)
	}
}
