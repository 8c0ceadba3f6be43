package extract

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

const withExtensions = `
-- site/strange_ext/__init__.py --
from flask import Blueprint
from .inner import more
import unrelated_heavy_package

class Strange:
    def __init__(self, app=None, path="/strange"):
        self.path = path
        if app is not None:
            self.init_app(app)

    def init_app(self, app):
        bp = Blueprint("strange", __name__, url_prefix=self.path, static_folder="static")
        bp.add_url_rule("/page", "page", lambda: "")
        app.register_blueprint(bp)
        more(app)

pages = Blueprint("pages", __name__, url_prefix="/pages")
pages.add_url_rule("/all", "all", lambda: "")
-- site/strange_ext/inner.py --
def more(app):
    app.add_url_rule("/more", "more", lambda: "")
-- site/quiet_ext.py --
def setup(app):
    app.before_request(lambda: None)
-- site/eager_ext-1.0.dist-info/entry_points.txt --
[my.plugins]
one = plugin_one:load
[my.hooks]
two = plugin_two:load
three = plugin_one:load
-- app/app.py --
import importlib.metadata
from flask import Flask
from strange_ext import Strange, pages
import quiet_ext
app = Flask(__name__, static_folder=None)
Strange(app, path="/own")
s = Strange()
s.init_app(app)
quiet_ext.setup(app)
for ep in importlib.metadata.entry_points(group="my.plugins"):
    ep.load()(app)
for dist in importlib.metadata.distributions():
    for ep in dist.entry_points:
        if ep.group == "my.hooks" and ep.name == "two":
            ep.load()(app)
app.register_blueprint(pages)
-- app/plugin_two.py --
def load(app):
    app.add_url_rule("/hook", "hook", lambda: "")
-- app/plugin_one.py --
def load(app):
    app.add_url_rule("/plugin", "plugin", lambda: "")
`

// The source of an installed extension that nobody described is read where the
// app is handed to it.
func TestInstalledExtensionsAreRead(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(withExtensions)))
	p := readIn(t, dir+"/app", "app.py", Options{Path: []string{dir + "/site"}})
	got := map[string]int{}
	for _, r := range p.Routes {
		got[r.Rule] = r.Line
		if r.Rule != "/plugin" && r.Rule != "/hook" && r.File != "app.py" {
			t.Errorf("%s is registered at %s, not where the app calls the extension", r.Rule, r.File)
		}
	}
	want := map[string]int{"/own/page": 6, "/own/static/<path:filename>": 6, "/more": 6, "/strange/page": 8, "/strange/static/<path:filename>": 8, "/plugin": 2, "/hook": 2, "/pages/all": 6}
	for rule, line := range want {
		if rule == "/more" { // at both calls
			line = got[rule]
		}
		if got[rule] != line {
			t.Errorf("%s at line %d, want %d", rule, got[rule], line)
		}
	}
	if !p.Complete {
		t.Errorf("unresolved: %+v", p.Unresolved)
	}
}

// Without their source, extensions that nobody described open what they were
// handed, as narrowly as their arguments say.
func TestUnknownExtensionsAreUnresolved(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(withExtensions)))
	p := readIn(t, dir+"/app", "app.py", Options{})
	var got []string
	for _, u := range p.Unresolved {
		got = append(got, u.Prefix+" "+itoa(u.Line))
	}
	if diff := cmp.Diff([]string{"/own 6", "/ 8", "/ 9", "/ 11", "/ 15", "/ 16"}, got); diff != "" {
		t.Errorf("%s\n%+v", diff, p.Unresolved)
	}
}

func TestAppsThatAreNoFlask(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte("-- app.py --\nfrom some_framework import make\napp = make()\n@app.route('/x')\ndef x(): pass\n")))
	p := readIn(t, dir, "app:app", Options{})
	if len(p.Routes) != 1 || p.Routes[0].Rule != "/x" || p.Complete {
		t.Errorf("%+v %+v", p.Routes, p.Unresolved)
	}
}

// What only a server object's method would register is allowed.
func TestUnreachedRegistrationsAreAllowed(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(`
-- app.py --
from flask import Flask, Blueprint
app = Flask(__name__, static_folder=None)
never = Blueprint("never", __name__, url_prefix="/never")
@never.route("/called")
def view(): pass
class Server:
    def run(self):
        app.add_url_rule("/late", "late", lambda: "")
def hook(something):
    something.add_url_rule("/hooked", "hooked", lambda: "")
`)))
	p := readIn(t, dir, "app:app", Options{})
	got := map[string]bool{}
	for _, r := range p.Routes {
		got[r.Rule] = true
	}
	if diff := cmp.Diff(map[string]bool{"/never/called": true, "/late": true, "/hooked": true}, got); diff != "" || !p.Complete {
		t.Errorf("complete %v\n%s", p.Complete, diff)
	}
}

// What a method that nobody calls in sight imports, hands on and puts below a
// prefix is read; what it would register anywhere is a finding.
func TestServersThatStartLater(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(`
-- server.py --
import functools
from flask import Flask
app = Flask(__name__, static_folder=None)
class Server:
    def run(self, plugins, anything):
        import views
        from parts.api import api
        calls = [functools.partial(app.register_blueprint, api, url_prefix="/api")]
        def put(blueprint, prefix):
            app.register_blueprint(blueprint, url_prefix=prefix)
        calls += [functools.partial(put, p.blueprint, "/plugin/" + p.name) for p in plugins]
        for c in calls:
            c()
        app.register_blueprint(anything)
-- views.py --
from server import app
@app.route("/")
def index(): pass
-- parts/__init__.py --
-- parts/api.py --
from flask import Blueprint
api = Blueprint("api", __name__)
@api.route("/jobs")
def jobs(): pass
`)))
	p := readIn(t, dir, "server:app", Options{})
	if diff := cmp.Diff([]string{"/", "/api/jobs"}, rulesOf(p)); diff != "" {
		t.Error(diff)
	}
	for _, u := range p.Unresolved {
		if u.Prefix != "/plugin" {
			t.Errorf("open at %+v", u)
		}
	}
	if len(p.Unresolved) == 0 {
		t.Error("nothing is open below /plugin")
	}
	found := false
	for _, l := range p.Lint {
		found = found || l.Check == "uncalled" && l.Line == 14
	}
	if !found {
		t.Errorf("no finding of what is registered anywhere: %+v", p.Lint)
	}
}

// An entry that is set only while the program runs says nothing of what the app
// will have.
func TestEntryThatIsNoApp(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte("-- app.py --\nfrom flask import Flask\napp = None\nother = Flask(__name__, static_folder=None)\nother.add_url_rule('/x', 'x', lambda: '')\n")))
	p := readIn(t, dir, "app:app", Options{})
	if len(p.Routes) != 1 || p.Complete || p.Unresolved[0].Prefix != "/" {
		t.Errorf("%+v %+v", p.Routes, p.Unresolved)
	}
}
