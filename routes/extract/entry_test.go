package extract

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/flask2ban/flask2ban/routes"
)

const tree = `
-- app.py --
app = 1
-- pkg/__init__.py --
-- pkg/sub/__init__.py --
-- pkg/sub/web.py --
-- plain/wsgi.py --
from x import app
-- env/.flaskenv --
FLASK_APP=other.py
-- env/other.py --
from flask import Flask
-- src/layout/__init__.py --
-- made/some/__init__.py --
from flask import Flask
def create_app(): return Flask(__name__)
-- empty/readme --
`

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(tree)))
	for _, c := range []struct {
		app, file, module, object, args string
		factory, script                 bool
		root                            string
	}{
		{app: "app.py", file: "app.py", module: "app", script: true},
		{app: "./app.py:make", file: "app.py", module: "app", object: "make"},
		{app: "app:create_app('x', n=1)", file: "app.py", module: "app", object: "create_app", factory: true, args: "'x', n=1"},
		{app: "app:create('a:b')", file: "app.py", module: "app", object: "create", factory: true, args: "'a:b'"},
		{app: "pkg.sub.web:app", file: "pkg/sub/web.py", module: "pkg.sub.web", object: "app"},
		{app: "pkg/sub/web.py", file: "pkg/sub/web.py", module: "pkg.sub.web", script: true},
		{app: "pkg", file: "pkg/__init__.py", module: "pkg"},
		{app: "plain", file: "plain/wsgi.py", module: "wsgi", root: "plain"},
		{app: "env/", file: "env/other.py", module: "other", root: "env"},
		{app: "layout", file: "src/layout/__init__.py", module: "layout", root: "src"},
		{app: "made", file: "made/some/__init__.py", module: "some", root: "made"},
	} {
		t.Run(c.app, func(t *testing.T) {
			e, err := resolveIn(dir, c.app)
			if err != nil {
				t.Fatal(err)
			}
			got := []any{rel(dir, e.File), e.Module, e.Object, e.Factory, e.Args, e.Script, rel(dir, e.Root)}
			root := c.root
			if root == "" {
				root = "."
			}
			want := []any{c.file, c.module, c.object, c.factory, c.args, c.script, root}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func rel(dir, name string) string {
	r, _ := filepath.Rel(dir, name)
	return r
}

func TestResolveSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(tree)))
	for app, want := range map[string]string{
		"nothere.py":    "there is no file",
		"empty":         "neither FLASK_APP in .flaskenv nor one of wsgi.py",
		"not a name:x":  "is no file, directory or module name",
		"no/such/thing": "there is no file",
	} {
		_, err := resolveIn(dir, app)
		if err == nil || !errors.Is(err, ErrNoEntry) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", app, err, want)
		}
	}
	e, err := resolveIn(dir, "no_such_module:app")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(context.Background(), e, Options{Path: []string{dir}}); !errors.Is(err, ErrNoEntry) || !strings.Contains(err.Error(), "no module no_such_module") {
		t.Errorf("reading a module that is nowhere: %v", err)
	}
}

func TestReadStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(tree)))
	e, err := resolveIn(dir, "app.py")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Read(ctx, e, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("read with a cancelled context: %v", err)
	}
}

// sysPath is what the system's Python would search.
func sysPath(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command(python3, "-c", "import json, sys; print(json.dumps([p for p in sys.path if p]))").Output()
	if err != nil {
		t.Fatal(err)
	}
	var path []string
	if err := json.Unmarshal(out, &path); err != nil {
		t.Fatal(err)
	}
	return path
}

// httpbin is an app that nobody here wrote; nothing of it is in the current
// directory.
func TestInstalledPackage(t *testing.T) {
	dir := t.TempDir()
	p := readIn(t, dir, "httpbin:app", Options{Path: sysPath(t), Werkzeug: "2.2.2"})
	f := fixture{dir: dir, oracle: []string{"httpbin", "app"}}
	if diff := cmp.Diff(askFlask(t, f), tableOf(p)); diff != "" || !p.Complete {
		t.Errorf("complete %v, Flask's url_map (-) and ours (+):\n%s", p.Complete, diff)
	}
	for _, r := range p.Routes {
		if r.File != "httpbin/core.py" || r.Line == 0 {
			t.Errorf("%s is registered at %s:%d", r.Rule, r.File, r.Line)
		}
	}
}

func TestExamplesOfTheRepository(t *testing.T) {
	for _, c := range []struct{ dir, entry, module, app string }{
		{"hello", "app.py", "app", "app"},
		{"factory", "shop:create_app()", "shop", "create_app()"},
		{"factory", "shop", "shop", "create_app()"},
	} {
		dir, err := filepath.Abs(filepath.Join("../../examples", c.dir))
		if err != nil {
			t.Fatal(err)
		}
		p := readIn(t, dir, c.entry, Options{Werkzeug: "2.2.2"})
		f := fixture{dir: dir, oracle: []string{c.module, c.app}}
		if diff := cmp.Diff(askFlask(t, f), tableOf(p)); diff != "" || !p.Complete {
			t.Errorf("%s: complete %v, Flask's url_map (-) and ours (+):\n%s", c.entry, p.Complete, diff)
		}
	}
}

func TestPlacesOfRoutes(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(`
-- pkg/__init__.py --
from flask import Flask
from .views import bp
app = Flask(__name__)
app.register_blueprint(bp)
@app.route("/a")
@app.route(
    "/b")
def a(): pass
-- pkg/views.py --
from flask import Blueprint
import flask_restful
bp = Blueprint("v", __name__)

@bp.get("/c")
def c(): pass
class R(flask_restful.Resource):
    def get(self): pass
api = flask_restful.Api(bp)
api.add_resource(R, "/d",
                 "/e")
`)))
	p := readIn(t, dir, "pkg:app", Options{})
	got := map[string]string{}
	for _, r := range p.Routes {
		got[r.Rule] = r.File + ":" + itoa(r.Line)
	}
	want := map[string]string{"/static/<path:filename>": "pkg/__init__.py:3", "/a": "pkg/__init__.py:5", "/b": "pkg/__init__.py:6",
		"/c": "pkg/views.py:5", "/d": "pkg/views.py:10", "/e": "pkg/views.py:10"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestOptionsOfTheMap(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(`
-- app.py --
from flask import Flask
from werkzeug.routing import BaseConverter, UnicodeConverter
class Hex(BaseConverter):
    regex = "[0-9a-f]+"
    weight = 20
class Path(BaseConverter):
    regex = ".*?"
    part_isolating = False
class Slashed(BaseConverter):
    regex = "a/b"
class Arg(BaseConverter):
    def __init__(self, map, *items):
        super(Arg, self).__init__(map)
        self.regex = items[0]
class Computed(BaseConverter):
    def __init__(self, map, arg=None):
        super().__init__(map)
        self.regex = "(?:%s)" % arg
class Word(UnicodeConverter):
    pass
app = Flask(__name__, host_matching=True, static_folder=None, subdomain_matching=True)
app.config["SERVER_NAME"] = "example.org:8080"
app.url_map.converters["hex"] = Hex
app.url_map.converters.update(path2=Path, slashed=Slashed, arg=Arg, computed=Computed, word=Word)
app.url_map.converters["other"] = __import__("elsewhere").Converter
app.url_map.strict_slashes = False
app.url_map.merge_slashes = False
app.add_url_rule("/<hex:a>/<arg('x'):b>/<int:c>", "x", lambda: "")
`)))
	p := readIn(t, dir, "app.py", Options{Prefix: "/mounted", Werkzeug: "3.1.3"})
	o := p.Options
	if o.StrictSlashes || o.MergeSlashes || !o.HostMatching || !o.SubdomainMatching || o.ServerName != "example.org:8080" || o.Prefix != "/mounted" || o.Werkzeug != "3.1.3" {
		t.Errorf("options are %+v", o)
	}
	want := map[string]routes.Converter{
		"hex":      {Regex: "[0-9a-f]+", Weight: 20, PartIsolating: true},
		"path2":    {Regex: ".*?", Weight: 100},
		"slashed":  {Regex: "a/b", Weight: 100},
		"arg":      {Weight: 100, PartIsolating: true, RegexFromArg: true},
		"computed": {Weight: 100, PartIsolating: true},
		"word":     {Regex: "[^/]{1,}", Weight: 100, PartIsolating: true},
		"other":    {Weight: 100},
	}
	if diff := cmp.Diff(want, o.Converters); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]routes.Converter{"a": want["hex"], "b": want["arg"]}, p.Routes[0].Converters); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentDecidesWhereItIsKnown(t *testing.T) {
	dir := t.TempDir()
	src := "import os\nfrom flask import Flask\napp = Flask(__name__, static_folder=None)\napp.add_url_rule(os.environ.get('P', '/default') + '/x', 'x', lambda: '')\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, env := range map[string]map[string]string{"/default/x": nil, "/set/x": {"P": "/set"}} {
		p := readIn(t, dir, "app.py", Options{Env: env})
		if len(p.Routes) != 1 || p.Routes[0].Rule != want || !p.Complete {
			t.Errorf("with %v: %+v %+v", env, p.Routes, p.Unresolved)
		}
	}
}

func TestLimitsAreReported(t *testing.T) {
	dir := t.TempDir()
	src := "from flask import Flask\napp = Flask(__name__)\n" + strings.Repeat("x = [1, 2, 3]\n", 500)
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	p := readIn(t, dir, "app.py", Options{Limits: Limits{Steps: 100}})
	if p.Complete || len(p.Unresolved) == 0 || p.Unresolved[0].Prefix != "/" || !strings.Contains(p.Unresolved[0].Reason, "too many steps") {
		t.Errorf("unresolved: %+v", p.Unresolved)
	}
}

// A project of another framework is told so.
func TestOtherFrameworksAreNamed(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte("-- manage.py --\nimport os\ndef main():\n    from django.core.management import execute\n    execute()\n-- plain.py --\nprint(1)\n")))
	for _, c := range []struct{ entry, want string }{
		{"manage.py", "no Flask app was found from here (the file imports django, whose routes are not read); name it as module:object"},
		{"plain.py", "no Flask app was found from here; name it as module:object"},
	} {
		p := readIn(t, dir, c.entry, Options{})
		if len(p.Unresolved) != 1 || p.Unresolved[0].Reason != c.want || p.NoApp != c.entry+": "+c.want {
			t.Errorf("%s: got %q %+v, want %s", c.entry, p.NoApp, p.Unresolved, c.want)
		}
	}
}
