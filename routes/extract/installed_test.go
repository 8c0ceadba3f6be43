package extract

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// others is a project beside packages that pip put there: big registers on what
// it is handed, and is no part of the project.
const others = `
-- app.py --
from flask import Flask
import big, views
app = Flask(__name__, static_folder=None)
big.init_app(app)
app.register_blueprint(views.bp)
-- views.py --
from flask import Blueprint
bp = Blueprint("v", __name__)
@bp.get("/own")
def own(): pass
-- LIBS/big/__init__.py --
from flask import Flask
def init_app(app): app.add_url_rule("/big", "big", print)
other = Flask("other")
def never(app): app.add_url_rule(unknown, "never", print)
-- LIBS/big-1.0.dist-info/RECORD --
big/__init__.py,sha256=x,1
../../bin/big,sha256=x,1
big-1.0.dist-info/RECORD,,
`

// $PYTHONPATH, sys.path and a bundle of pip install --target name packages of
// others; what they do is not read as the project's.
func TestInstalledBesideTheProject(t *testing.T) {
	for _, c := range []struct{ libs, pythonPath, head string }{
		{"lib/python3/site-packages", "lib/python3/site-packages", ""},
		{"vendor", "vendor", ""},
		{"lib", "", "import sys; sys.path.insert(0, 'lib')\n"},
		{".", "", ""},
	} {
		t.Run(c.libs, func(t *testing.T) {
			dir := t.TempDir()
			src := strings.ReplaceAll(others, "LIBS", c.libs)
			unpack(t, dir, txtar.Parse([]byte(strings.Replace(src, "from flask", c.head+"from flask", 1))))
			if c.pythonPath != "" {
				t.Setenv("PYTHONPATH", filepath.Join(dir, c.pythonPath))
			}
			p := readIn(t, dir, "app:app", Options{})
			if got := strings.Join(rulesOf(p), " "); got != "/big /own" || !p.Complete || len(p.Lint) > 0 {
				t.Errorf("got %s, unresolved %+v, lint %+v", got, p.Unresolved, p.Lint)
			}
		})
	}
}

// The app itself may have been installed: alone, or with modules beside it.
func TestInstalledApp(t *testing.T) {
	files := `
-- site-packages/shop/__init__.py --
from flask import Flask
import pricing, big
app = Flask(__name__, static_folder=None)
app.register_blueprint(pricing.bp)
-- site-packages/pricing.py --
from flask import Blueprint
bp = Blueprint("p", __name__, url_prefix="/pricing")
@bp.get("/list")
def list_(): pass
-- site-packages/big.py --
from flask import Flask
unrelated = Flask(__name__)
-- site-packages/shop-1.dist-info/RECORD --
shop/__init__.py,,
pricing.py,,
-- site-packages/big-1.dist-info/RECORD --
big.py,,
`
	for _, entry := range []string{"shop:app", "vendor/shop/__init__.py"} {
		dir := t.TempDir()
		at := "vendor"
		unpack(t, dir, txtar.Parse([]byte(strings.ReplaceAll(files, "site-packages", at))))
		t.Setenv("PYTHONPATH", filepath.Join(dir, at))
		p := readIn(t, dir, entry, Options{})
		if got := strings.Join(rulesOf(p), " "); got != "/pricing/list" || !p.Complete {
			t.Errorf("%s: got %s, unresolved %+v", entry, got, p.Unresolved)
		}
	}
}
