package extract

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzRead holds that no source makes reading panic, hang or grow without bound.
func FuzzRead(f *testing.F) {
	files, _ := filepath.Glob("testdata/apps/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range a.Files {
			f.Add(string(part.Data))
		}
	}
	for _, src := range endless {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) { readSource(t, src) })
}

func readSource(t *testing.T, src string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	e, err := resolveIn(dir, "app.py")
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	p, err := Read(context.Background(), e, Options{Limits: Limits{Steps: 200_000, Time: 20 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 40*time.Second {
		t.Errorf("reading took %v", took)
	}
	for _, u := range p.Unresolved {
		if strings.Contains(u.Reason, "defect") {
			t.Errorf("%+v", u)
		}
	}
}

// endless are programs that don't end, or grow without bound, in Python too.
var endless = map[string]string{
	"recursion":   "def f(x):\n    return f(x + 1) + f(x)\nf(1)\n",
	"mutual":      "def f(x):\n    return g(x)\ndef g(x):\n    return [f(x), f(x)]\nf(1)\n",
	"while":       "x = 1\nwhile x:\n    x = x + 1\n",
	"text":        "s = 'ab'\nfor i in range(10000):\n    s = s + s\nfor i in range(10000):\n    s = s.replace('a', s)\n",
	"list":        "s = [1, 2]\nfor i in range(10000):\n    s = s + s\n    s += s\n    s.extend(s)\n",
	"self list":   "a = []\na.append(a)\nb = []\nb.append(b)\nx = a == b\ny = a in b\n",
	"self dict":   "import connexion\nd = {}\nd['d'] = d\na = connexion.App(__name__)\na.add_api(d)\n",
	"iterator":    "class I:\n    def __iter__(self):\n        return self\nclass A:\n    def __iter__(self):\n        return B()\nclass B:\n    def __iter__(self):\n        return A()\nfor x in I(): pass\nfor x in A(): pass\n",
	"property":    "class P:\n    @property\n    def p(self):\n        return self.p\n    def __getattr__(self, n):\n        return getattr(self, n + 'x')\nP().p\nP().q\n",
	"str":         "class S:\n    def __str__(self):\n        return str(self) + str(self)\nx = str(S())\n",
	"branches":    "import x\n" + strings.Repeat("if x.a:\n    v = (v, 1)\nelse:\n    v = (v, 2)\n", 300),
	"choices":     "import x\ns = ''\n" + strings.Repeat("s = s + ('/a' if x.a else '/b')\n", 300),
	"comps":       "r = range(10000)\nx = [a + b + c for a in r for b in r for c in r]\n",
	"product":     "import itertools\nr = range(10000)\nx = list(itertools.product(r, r, r, r))\n",
	"subclasses":  "class A: pass\n" + strings.Repeat("class A(A, object): pass\n", 500),
	"nested bp":   "from flask import Blueprint, Flask\na = Blueprint('a', __name__)\nb = Blueprint('b', __name__)\na.register_blueprint(b)\nb.register_blueprint(a)\na.register_blueprint(a)\napp = Flask(__name__)\napp.register_blueprint(a)\n",
	"record":      "from flask import Blueprint, Flask\na = Blueprint('a', __name__)\n@a.record\ndef f(state):\n    state.app.register_blueprint(a)\napp = Flask(__name__)\napp.register_blueprint(a)\n",
	"decorators":  "def d(f):\n    return d(f)\n@d\ndef x(): pass\n",
	"override":    "from flask import Flask\nclass A(Flask):\n    def add_url_rule(self, *a, **k):\n        self.add_url_rule(*a, **k)\napp = A(__name__)\n",
	"metaclass":   "class M(type):\n    def __init__(cls, n, b, d):\n        class X(metaclass=M): pass\nclass Y(metaclass=M): pass\n",
	"mounts":      "from flask import Flask\nfrom werkzeug.middleware.dispatcher import DispatcherMiddleware as D\napp = Flask(__name__)\napp.wsgi_app = D(app, {'/a': app})\napp.wsgi_app = D(app.wsgi_app, {'/b': app.wsgi_app})\n",
	"import self": "import app\nfrom app import *\nimport importlib\nimportlib.import_module('app')\n",
	"deep":        "x = " + strings.Repeat("(", 150) + "1" + strings.Repeat(")", 150) + "\ny = " + strings.Repeat("1+", 20000) + "1\n",
}

func TestProgramsThatNeverEnd(t *testing.T) {
	for name, src := range endless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			readSource(t, src)
		})
	}
}
