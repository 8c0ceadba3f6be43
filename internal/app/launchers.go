package app

import (
	"fmt"
	"slices"
)

// launcher is what we know of one server that Flask apps are run with. A server
// that is not in the table is run all the same: the hook takes its first bind,
// or it gets a port.
type launcher struct {
	// names are what the hook calls it: the package that binds.
	names []string
	// runs are command lines that lead to it, for docs/servers.md.
	runs string
	// variables hand our socket over where no hook runs (python -E, a frozen
	// app). Without any it takes the port in PORT, or is discovered.
	variables []string
	// concurrency says, for docs/servers.md, how many requests it works on at
	// a time, and where the hook reads that (served.py, binding.py).
	concurrency string
	// learns says that it begins on as many requests as come, each in a
	// thread of one process: how many are good must be found out.
	learns bool
	// replaces says that a worker can be killed alone, by SIGKILL: its master
	// starts another.
	replaces bool
}

// launchers is the table of all servers that tests start with real apps.
var launchers = []launcher{
	// Its bind is that of the standard library's base class.
	{names: []string{"werkzeug", "socketserver"}, runs: "`python app.py`, `flask run`, APP as `module:object`",
		variables:   []string{"WERKZEUG_RUN_MAIN=true", fmt.Sprintf("WERKZEUG_SERVER_FD=%d", listenerFD)},
		concurrency: "as many as come, in threads: learned; 1 where `threaded=False`", learns: true},
	{names: []string{"gunicorn"}, runs: "`gunicorn -k sync\\|gthread\\|gevent\\|eventlet app:app`",
		variables:   []string{gunicornPID, fmt.Sprintf("GUNICORN_FD=%d", listenerFD)},
		concurrency: "its settings: workers × threads, or × worker connections", replaces: true},
	{names: []string{"waitress"}, runs: "`waitress-serve app:app`, `waitress.serve(app)`", concurrency: "its setting: threads"},
	{names: []string{"gevent"}, runs: "`gevent.pywsgi.WSGIServer`", concurrency: "not bounded"},
	{names: []string{"flask_socketio"}, runs: "`socketio.run(app)`", concurrency: "that of the server that it chooses"},
	{names: []string{"wsgiref"}, runs: "`wsgiref.simple_server`", concurrency: "1"},
	{names: []string{"uvicorn"}, runs: "`uvicorn --interface wsgi app:app`",
		variables: []string{fmt.Sprintf("UVICORN_FD=%d", listenerFD)}, concurrency: "not known"},
	{names: []string{"hypercorn"}, runs: "`hypercorn app:asgi`, where `asgi = asgiref.wsgi.WsgiToAsgi(app)`", concurrency: "not known"},
}

// gunicornPID stands where the guard puts its own process id: gunicorn takes
// sockets from its previous master only.
const gunicornPID = "GUNICORN_PID=guard"

// socketVariables are those of all servers; each takes its own.
func socketVariables() []string {
	var all []string
	for _, l := range launchers {
		all = append(all, l.variables...)
	}
	return all
}

// launcherOf finds a server by its name; the zero value is an unknown one.
func launcherOf(server string) launcher {
	for _, l := range launchers {
		if slices.Contains(l.names, server) {
			return l
		}
	}
	return launcher{}
}

// replacesWorkers says that the server starts another worker where one dies.
func (i *instance) replacesWorkers() bool {
	b := i.binding.Load()
	return b != nil && launcherOf(b.server).replaces
}

// slots is how many requests one instance works on at a time; 0 where that isn't
// known or bounded.
func (b *binding) slots() int { return max(1, b.processes) * b.threads }

// Concurrency is how many requests the running instances work on at one time;
// 0 means that it isn't bounded, or not known. Where an instance starts again,
// it is what the one before said: the requests that wait meanwhile must not all
// be let go at once.
// One that is slow gets half as many, see health.Relief.
func (a *App) Concurrency() int {
	n := 0
	for _, p := range a.history.accepting() {
		b := p.binding.Load()
		if b == nil || b.threads == 0 {
			return 0
		}
		slots := b.slots()
		if p.relieved.Load() {
			slots = max(1, slots/2)
		}
		n += slots
	}
	return n
}
