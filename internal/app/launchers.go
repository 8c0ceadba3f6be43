package app

// launcher is what we know of one way to serve a Flask app.
type launcher struct {
	// server is its name as the hook gives it: the package that binds.
	server string
	// runs are command lines that lead to it, for people.
	runs string
	// handOver says how our socket reaches it. First choice is always the
	// hook, which makes its bind a dup2 of our descriptor; what stands here
	// is left where no hook runs (python -E, a frozen app).
	handOver string
	// concurrency says how we know how many requests it works on at a time.
	concurrency string
	// worker says how one of its workers is killed alone; empty where the
	// whole instance has to go.
	worker string
}

// launchers is the table of all servers that tests start with real apps. A
// server that is not in it is run all the same: as a command whose first bind
// the hook takes.
var launchers = []launcher{
	{server: "werkzeug", runs: "python app.py; flask run; APP as module:object", handOver: "WERKZEUG_SERVER_FD with WERKZEUG_RUN_MAIN",
		concurrency: "its class: ThreadingMixIn, ForkingMixIn, or one at a time"},
	{server: "gunicorn", runs: "gunicorn -k sync|gthread|gevent app:app", handOver: "GUNICORN_FD with GUNICORN_PID",
		concurrency: "settings: workers × threads, or worker_connections", worker: "SIGKILL; the arbiter starts another"},
	{server: "waitress", runs: "waitress-serve app:app; waitress.serve(app)", handOver: "the hook only",
		concurrency: "adjustments: threads"},
	{server: "gevent", runs: "gevent.pywsgi.WSGIServer", handOver: "the hook only",
		concurrency: "not bounded"},
	{server: "flask_socketio", runs: "socketio.run(app)", handOver: "that of the server it chooses",
		concurrency: "that of the server it chooses"},
	{server: "wsgiref", runs: "wsgiref.simple_server.make_server", handOver: "the hook only",
		concurrency: "one at a time"},
	{server: "uvicorn", runs: "uvicorn --interface wsgi app:app", handOver: "UVICORN_FD",
		concurrency: "not known"},
	{server: "hypercorn", runs: "hypercorn wsgi:app", handOver: "the hook only",
		concurrency: "not known"},
}

// launcherOf finds a server by its name; the zero value is an unknown one.
func launcherOf(server string) launcher {
	for _, l := range launchers {
		if l.server == server {
			return l
		}
	}
	return launcher{server: server}
}

// replacesWorkers says that the server starts another worker where one dies.
func (i *instance) replacesWorkers() bool {
	b := i.binding.Load()
	return b != nil && launcherOf(b.server).worker != ""
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
