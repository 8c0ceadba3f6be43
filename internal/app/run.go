package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flask2ban/flask2ban/routes"
)

// App is one app that is kept running.
type App struct {
	config   Config
	target   target // only Serve changes it
	python   Python
	identity identity
	env      []string
	log      *slog.Logger
	output   *lineWriter

	secrets    secrets
	socket     *socket
	spawner    *spawner
	history    *history
	begun      *begunLog
	current    atomic.Pointer[instance] // nil between instances
	tls        atomic.Bool
	exceptions *exceptions

	news   chan func() // for the Observer, in order
	closed chan struct{}
	urlMap routes.URLMap // the last one told; of the goroutine that reads news
}

// New checks c, chooses the user and the interpreter, and opens the socket,
// which only the end of [App.Serve] or [App.Close] closes.
func New(c Config) (*App, error) {
	a, err := prepare(c)
	if err != nil {
		return nil, err
	}
	if a.socket, err = socketFor(c); err != nil {
		return nil, err
	}
	a.spawner = &spawner{self: a.config.SelfExe, socket: a.socket, settings: settings{
		requestHeader: a.secrets.request, responseHeader: a.secrets.response,
		proxyFix: !c.NoProxyFix, debugger: c.AllowDebugger, ownPort: c.OwnPort,
	}}
	return a, nil
}

// prepare is New without the socket.
func prepare(c Config) (*App, error) {
	c, err := withDefaults(c)
	if err != nil {
		return nil, err
	}
	a := &App{
		config: c, log: c.Log, output: &lineWriter{w: c.Output}, secrets: newSecrets(), history: newHistory(),
		begun: newBegunLog(), news: make(chan func(), 1024), closed: make(chan struct{}),
	}
	a.exceptions = &exceptions{deliver: c.Observer.Exception}
	if a.target, err = resolveTarget(c); err != nil {
		return nil, err
	}
	if err := a.chooseUser(); err != nil {
		return nil, err
	}
	a.env = cleanEnv(os.Environ(), a.identity, c.Env)
	if err := a.choosePython(); err != nil {
		return nil, err
	}
	return a, nil
}

func withDefaults(c Config) (Config, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = DefaultStartTimeout
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = DefaultStopTimeout
	}
	for _, entry := range c.Env {
		if name, _, ok := strings.Cut(entry, "="); !ok || name == "" {
			return c, fmt.Errorf("the app's environment: %q is not NAME=value", entry)
		}
	}
	var err error
	if c.SelfExe == "" {
		if c.SelfExe, err = os.Executable(); err != nil {
			return c, fmt.Errorf("find our own program for the guard: %w", err)
		}
	}
	return c, nil
}

// nobody is the Observer where there is none.
type nobody struct{}

func (nobody) URLMap(routes.URLMap) {}
func (nobody) Exception(Exception)  {}
func (nobody) State(State)          {}

func (a *App) chooseUser() error {
	home := a.target.home
	id, err := chooseUser(a.config.User, a.config.Group, chooser{
		euid: os.Geteuid(), sudoUID: os.Getenv("SUDO_UID"),
		owner: func() (uint32, error) { return ownerOf(a.target.owned()) },
	})
	if err != nil {
		return err
	}
	if id.warning != "" {
		a.log.Warn(id.warning, "app", home)
	}
	a.identity = id
	return nil
}

func (a *App) choosePython() error {
	search := Search{Python: a.config.Python, Dir: a.target.home, Module: a.target.module(), Env: a.env, as: a.identity.credential()}
	if a.target.needsPython() {
		python, err := FindPython(context.Background(), search)
		if err != nil {
			return err
		}
		a.python = python
		a.env = inVirtualEnv(a.env, python.Path)
		return nil
	}
	// A command brings its own, but those of the app's virtual environment
	// go first, as if it were activated.
	for _, path := range search.candidates() {
		a.env = inVirtualEnv(a.env, path)
		break
	}
	if _, err := lookPath(a.target.argv[0], a.env, a.target.dir); err != nil {
		return fmt.Errorf("run the app: %w", err)
	}
	return nil
}

// order is one start of the app, with a hook directory of its own.
func (a *App) order() (guardOrder, error) {
	dir, err := writeHook(a.identity)
	if err != nil {
		return guardOrder{}, err
	}
	argv := a.target.command(a.python.Path, dir)
	env, own := hookEnv(a.env, dir, a.socket.bound())
	a.spawner.settings.remove = own
	path, err := lookPath(argv[0], env, a.target.dir)
	if err != nil {
		os.RemoveAll(dir)
		return guardOrder{}, fmt.Errorf("run the app: %w", err)
	}
	a.history.set(func(s *State) { s.Command, s.User = argv, a.identity.name })
	return guardOrder{Path: path, Argv: argv, Env: env, Dir: a.target.dir, As: a.identity.credential(), Cleanup: dir}, nil
}

// Python is the interpreter that runs the app; zero where the command brings
// its own.
func (a *App) Python() Python { return a.python }

// Addr is the address of our socket, as "127.0.0.1:port"; empty while the app
// has not opened its own port.
func (a *App) Addr() string {
	if !a.socket.bound() {
		return ""
	}
	return a.socket.address().String()
}

// URL is where the app answers: over TLS where it brings a certificate.
func (a *App) URL() string {
	if a.tls.Load() {
		return "https://" + a.Addr()
	}
	return "http://" + a.Addr()
}

// TLS says whether the running instance speaks TLS itself, as with
// app.run(ssl_context=...).
func (a *App) TLS() bool { return a.tls.Load() }

// Wait returns nil as soon as an instance is ready; an error that is
// [ErrCrashLoop] or [ErrStopped] says why none will be soon, with the end of
// the app's output.
func (a *App) Wait(ctx context.Context) error { return a.history.wait(ctx) }

// Begun says whether the app may have begun to read the request with this
// [Forwarded.ID], sent at or after since. Only false is proof, and only for
// requests of the last minutes.
func (a *App) Begun(id string, since time.Time) bool {
	state, _ := a.history.now()
	if i := a.current.Load(); i != nil && !i.words.drained() {
		return true
	}
	return state.Launcher != "hook" || a.begun.maybe(id, since)
}

// Close gives up the socket of an App that is never served.
func (a *App) Close() { a.socket.close() }

// Serve starts the app, keeps it alive and, when ctx ends, ends all of it:
// SIGTERM, StopTimeout, SIGKILL. Requests in flight should be done by then.
// It returns nil after that, or an [ExitError] where the app ended by itself
// with nothing to serve. Serve can be called once.
func (a *App) Serve(ctx context.Context) error {
	defer a.socket.close()
	if err := adopt(); err != nil {
		return fmt.Errorf("serve the app: %w", err)
	}
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var own sync.WaitGroup
	own.Go(func() { reapOrphans(inner) })
	own.Go(func() { a.deliver(inner) })
	err := a.keepAlive(ctx)
	a.change(func(s *State) {
		s.Name, s.PID, s.Reason = Stopped, 0, "flask2ban ended it"
		if err != nil {
			s.Reason = err.Error()
		}
	})
	cancel()
	own.Wait()
	return err
}

// ending is how one instance ended.
type ending struct {
	exit     exit
	err      error // the instance could not be started at all
	ready    bool
	bound    bool
	healthy  time.Duration
	reason   string
	lastSaid []string
}

func (a *App) keepAlive(ctx context.Context) error {
	back := &backoff{random: rand.Float64}
	for {
		end := a.runOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := a.isFinal(end); err != nil {
			return err
		}
		var wait time.Duration
		if !a.servesItself(end) {
			wait = a.afterFailure(end, back)
		}
		if !sleep(ctx, wait) {
			return nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// runOnce runs one instance to its end.
func (a *App) runOnce(ctx context.Context) ending {
	i, err := a.launchInstance()
	if err != nil {
		return ending{err: err, reason: err.Error()}
	}
	a.current.Store(i)
	defer a.current.Store(nil)
	a.change(func(s *State) { s.PID = i.pid })
	end := a.attend(ctx, i)
	i.finish(end.exit)
	end.bound = i.wasBound.Load()
	end.lastSaid = i.errors.last()
	if end.reason == "" {
		end.reason = a.explain(end)
	}
	return end
}

// attend watches an instance until its first process has ended.
func (a *App) attend(ctx context.Context, i *instance) ending {
	starting, cancel := context.WithTimeout(ctx, a.config.StartTimeout)
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- i.awaitReady(starting) }()
	select {
	case e := <-i.exited:
		cancel()
		<-ready
		return ending{exit: e}
	case err := <-ready:
		if err != nil {
			return a.notReady(ctx, i, err)
		}
	}
	return a.whileReady(ctx, i)
}

// notReady ends an instance that takes too long, or because we are to end.
func (a *App) notReady(ctx context.Context, i *instance, err error) ending {
	if ctx.Err() != nil {
		a.change(func(s *State) { s.Name, s.Reason = Stopping, "flask2ban ends" })
		return ending{exit: i.stop(a.config.StopTimeout)}
	}
	reason := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		reason = fmt.Sprintf("it did not serve within %s%s", a.config.StartTimeout, i.listensElsewhere())
	}
	return ending{exit: i.stop(orphanGrace), reason: reason}
}

func (a *App) whileReady(ctx context.Context, i *instance) ending {
	since := time.Now()
	a.change(func(s *State) {
		s.Name, s.Reason, s.Output = Ready, "", nil
		if s.Launcher == "" {
			s.Launcher = "variables"
		}
	})
	a.history.note("the app serves", fmt.Sprintf("ready %s after its start", since.Sub(i.started).Round(time.Millisecond)))
	select {
	case e := <-i.exited:
		return ending{exit: e, ready: true, healthy: time.Since(since)}
	case <-ctx.Done():
	}
	a.change(func(s *State) { s.Name, s.Reason = Stopping, "flask2ban ends" })
	return ending{exit: i.stop(a.config.StopTimeout), ready: true, healthy: time.Since(since)}
}

// explain says why an instance ended, with the last thing that it said.
func (a *App) explain(end ending) string {
	text := "it ended (" + end.exit.String() + ")"
	if !end.ready {
		text += " before it served"
	}
	if !end.exit.status.Signaled() && end.exit.code() != 0 && len(end.lastSaid) > 0 {
		text += ": " + end.lastSaid[len(end.lastSaid)-1]
	}
	return text
}

// wrongName is the runner's exit code where APP names no app.
const wrongName = 78

// isFinal is an error where starting the app again makes no sense.
func (a *App) isFinal(end ending) error {
	code := end.exit.code()
	switch {
	case end.err != nil || end.ready || end.bound || end.exit.status.Signaled():
		return nil
	case code == wrongName && a.target.launch == asObject:
		return &ExitError{Code: 2, Reason: strings.Join(end.lastSaid, "\n")}
	case code == 0 && end.exit.left > 0:
		return &ExitError{Code: 1, Reason: "the app went into the background, where it can't be kept alive: leave its --daemon option out"}
	case code == 0 && a.target.launch != asScript:
		return &ExitError{Code: 0, Reason: "the app ended by itself (exit status 0) without serving anything"}
	}
	return nil
}

// servesItself changes to importing a script that has defined an app and
// ended, as scripts for flask run do.
func (a *App) servesItself(end ending) bool {
	if a.target.launch != asScript || end.ready || end.bound || end.err != nil ||
		end.exit.status.Signaled() || end.exit.code() != 0 {
		return false
	}
	a.history.note(a.target.path+" ended without serving", "imported it and serve its app, as flask run does")
	a.target = a.target.asImported()
	return true
}

// afterFailure records a failure and says how long to wait.
func (a *App) afterFailure(end ending, back *backoff) time.Duration {
	wait, loop := back.failed(time.Now(), end.healthy)
	a.change(func(s *State) {
		s.Name, s.PID, s.Restarts = Restarting, 0, s.Restarts+1
		if loop {
			s.Name = CrashLoop
		}
		s.LastExit, s.Reason, s.Output = end.exit.String(), end.reason, end.lastSaid
		if end.err != nil {
			s.LastExit = ""
		}
	})
	done := "start it again at once"
	if wait > 0 {
		done = "start it again in " + wait.Round(time.Millisecond).String()
	}
	a.history.note(end.reason, done)
	a.log.Error("the app ended", "reason", end.reason, "next", done, "crash_loop", loop)
	return wait
}

// change sets the state and tells the Observer.
func (a *App) change(change func(*State)) {
	state := a.history.set(change)
	a.tell(func() { a.config.Observer.State(state) })
}

// tell has f called by the one goroutine that speaks to the Observer.
func (a *App) tell(f func()) {
	select {
	case a.news <- f:
	case <-a.closed:
	}
}

func (a *App) tellURLMap(u routes.URLMap) {
	a.tell(func() {
		if reflect.DeepEqual(u, a.urlMap) {
			return // each worker reports
		}
		a.urlMap = u
		a.config.Observer.URLMap(u)
	})
}

// deliver calls the Observer until ctx ends and all news are told.
func (a *App) deliver(ctx context.Context) {
	defer close(a.closed)
	for {
		select {
		case f := <-a.news:
			f()
			continue
		default:
		}
		select {
		case f := <-a.news:
			f()
		case <-ctx.Done():
			return
		}
	}
}
