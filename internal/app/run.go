package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	target   atomic.Pointer[target]
	python   Python
	identity identity
	env      []string
	log      *slog.Logger
	output   *lineWriter

	secrets    secrets
	socket     *socket // the first place's; where it is the operator's, all places'
	spawner    *spawner
	history    *history
	traffic    *traffic
	tls        atomic.Bool
	takingOver atomic.Bool // until our first instance is ready
	exceptions *exceptions
	orders     chan order
	rolling    sync.Mutex  // held by the one roll
	vouched    atomic.Bool // an instance of this app has vouched
	effort     effort
	// closesFiles says that the app closes what it inherits, so that the
	// servers' variables lead nowhere.
	closesFiles atomic.Bool
	ticked      atomic.Int64 // keepAlive's last tick, in nanoseconds since 1970
	slowAt      atomic.Int64 // when a slow app was restarted, in nanoseconds since 1970

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
	a.spawner = &spawner{self: a.config.SelfExe, settings: settings{
		requestHeader: a.secrets.request, responseHeader: a.secrets.response,
		proxyFix: !c.NoProxyFix, debugger: c.AllowDebugger, ownPort: c.OwnPort, count: countEvery(c),
	}}
	return a, nil
}

// countEvery is after how many requests a process says so, where they don't
// pass through us and their number matters: a hundredth of it.
func countEvery(c Config) int {
	if !c.Unseen || c.MaxRequests == 0 {
		return 0
	}
	return int(min(max(1, c.MaxRequests/100), 100))
}

// prepare is New without the socket.
func prepare(c Config) (*App, error) {
	c, err := withDefaults(c)
	if err != nil {
		return nil, err
	}
	a := &App{
		config: c, log: c.Log, output: &lineWriter{w: c.Output}, secrets: newSecrets(), history: newHistory(),
		traffic: newTraffic(), orders: make(chan order), news: make(chan func(), 1024), closed: make(chan struct{}),
	}
	a.takingOver.Store(c.TakesOver)
	a.exceptions = &exceptions{deliver: c.Observer.Exception}
	target, err := resolveTarget(c)
	if err != nil {
		return nil, err
	}
	a.target.Store(&target)
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
	c.Program = cmp.Or(c.Program, "flask2ban")
	if c.StartTimeout == 0 {
		c.StartTimeout = DefaultStartTimeout
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = DefaultAnswerTimeout
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = DefaultStopTimeout
	}
	if c.NoFile != 0 && c.NoFile < minNoFile {
		return c, fmt.Errorf("limit open files to %d: less than %d leave no room for ours in the app", c.NoFile, minNoFile)
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

// minNoFile leaves room for the app's files above pipeFD.
const minNoFile = 256

// nobody is the Observer where there is none.
type nobody struct{}

func (nobody) URLMap(routes.URLMap) {}
func (nobody) Exception(Exception)  {}
func (nobody) State(State)          {}
func (nobody) Event(Event)          {}

func (a *App) chooseUser() error {
	id, err := chooseUser(a.config.User, a.config.Group, chooser{
		euid: os.Geteuid(), sudoUID: os.Getenv("SUDO_UID"),
		owner: func() (uint32, error) { return ownerOf(a.target.Load().owned()) },
	})
	if err != nil {
		return err
	}
	if id.warning != "" {
		name := a.config.App
		if name == "" {
			name = a.config.Command[0]
		}
		a.log.Warn(id.warning, "app", name)
	}
	a.identity = id
	return nil
}

func (a *App) choosePython() error {
	target := a.target.Load()
	search := Search{Python: a.config.Python, Dir: target.home, Module: target.module(), Env: a.env, as: a.identity.credential()}
	if target.needsPython() {
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
	if _, err := lookPath(target.argv[0], a.env, target.dir); err != nil {
		return fmt.Errorf("run the app: %w", err)
	}
	return nil
}

// orderFor is one start of the app, with a hook directory of its own.
func (a *App) orderFor(p *place) (guardOrder, error) {
	dir, err := writeHook(a.identity)
	if err != nil {
		return guardOrder{}, err
	}
	target := a.target.Load()
	argv := target.command(a.python.Path, dir)
	env, own := hookEnv(a.env, dir, p.socket.bound() && !a.closesFiles.Load())
	env, named, err := a.namePort(env)
	if err != nil {
		os.RemoveAll(dir)
		return guardOrder{}, fmt.Errorf("run the app: %w", err)
	}
	own = append(own, named.own...)
	path, err := lookPath(argv[0], env, target.dir)
	if err != nil {
		os.RemoveAll(dir)
		return guardOrder{}, fmt.Errorf("run the app: %w", err)
	}
	a.history.set(p, func(s *State) { s.Command, s.User = argv, a.identity.name })
	return guardOrder{Path: path, Argv: argv, Env: env, Dir: target.dir, As: a.identity.credential(), Cleanup: dir, own: own, named: named,
		Umask: a.config.Umask, NoFile: a.config.NoFile, NoAdmin: a.config.NoNetAdmin}, nil
}

// Python is the interpreter that runs the app; zero where the command brings
// its own.
func (a *App) Python() Python { return a.python }

// Addr is where the app listens, as "127.0.0.1:port"; empty while it has not
// opened its own port.
func (a *App) Addr() string {
	if p := a.history.only(); p != nil && p.elsewhere.Load() != nil {
		return p.address()
	}
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
	a.ended(err)
	cancel()
	own.Wait()
	return err
}

// keepAlive runs the app's places until ctx ends, or the app has ended with
// nothing to serve.
func (a *App) keepAlive(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var tasks sync.WaitGroup
	begin := func(p *place) {
		tasks.Go(func() {
			if err := p.keepAlive(ctx); err != nil {
				cancel(err)
			}
		})
	}
	for n := range max(1, a.config.Workers) {
		p, err := a.newPlace(n == 0)
		if err != nil {
			cancel(err)
			break
		}
		a.history.accept(p)
		begin(p)
	}
	if a.config.Watch {
		tasks.Go(func() { a.watch(ctx) })
	}
	scale := &scaler{min: max(1, a.config.Workers), max: a.config.MaxWorkers}
	tick := time.NewTicker(scaleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case o := <-a.orders:
			tasks.Go(func() { o.done <- o.do(ctx, begin) })
		case now := <-tick.C:
			a.ticked.Store(now.UnixNano())
			a.scale(scale, now, begin)
		}
	}
	tasks.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// aliveWithin is how long keepAlive's tick may be late on a loaded machine.
const aliveWithin = 20 * time.Second

// Alive says whether what keeps the app alive is itself at work, for a watchdog.
func (a *App) Alive() bool {
	last := a.ticked.Load()
	return last == 0 || time.Since(time.Unix(0, last)) < aliveWithin
}

// order is what keepAlive is to do beside the rest: begin serves a place.
type order struct {
	do   func(ctx context.Context, begin func(*place)) error
	done chan error
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

// change sets a place's state and tells the Observer of the app's.
func (a *App) change(p *place, change func(*State)) {
	state := a.history.set(p, change)
	a.tell(func() { a.config.Observer.State(state) })
}

// ended is the last change.
func (a *App) ended(err error) {
	reason := a.config.Program + " ended it"
	if err != nil {
		reason = err.Error()
	}
	state := a.history.end(reason)
	a.tell(func() { a.config.Observer.State(state) })
}

// note adds an event to the history and tells the Observer.
func (a *App) note(e Event) {
	e.At = time.Now()
	a.history.note(e)
	a.tell(func() { a.config.Observer.Event(e) })
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
