package extract

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

const withHeavyWork = `
-- app.py --
from flask import Flask
import sums, pages
app = Flask(__name__, static_folder=None)
app.add_url_rule("/first", "first", lambda: "")
total = sums.explode(30)
table = [sums.explode(n) for n in range(30)]
pages.put_all(app)
-- sums.py --
import later
def explode(n):
    if later.unknown(n):
        return explode(n - 1) + explode(n - 2) + explode(n - 3)
    return explode(n - 4) + explode(n - 5)
-- pages.py --
def put_all(app):
    app.add_url_rule("/last", "last", lambda: "")
`

// Work that has nothing to do with routes does not use up what they need.
func TestIdleWorkIsCutShort(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(withHeavyWork)))
	p := readIn(t, dir, "app:app", Options{Limits: Limits{Steps: 2_000_000}})
	if diff := cmp.Diff([]string{"/first", "/last"}, rulesOf(p)); diff != "" || !p.Complete {
		t.Errorf("%s\n%+v", diff, p.Unresolved)
	}
}

// Where such work was given an app, or its file registers, what it might have
// done is open.
func TestCutWorkWithAnAppIsOpen(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(`
-- app.py --
from flask import Flask
import heavy
app = Flask(__name__, static_folder=None)
heavy.explode(app, 30)
-- heavy.py --
import later
def explode(app, n):
    if later.unknown(n):
        explode(app, n - 1); explode(app, n - 2); explode(app, n - 3)
    else:
        explode(app, n - 4); explode(app, n - 5)
    app.add_url_rule("/end", "end", lambda: "")
`)))
	p := readIn(t, dir, "app:app", Options{Limits: Limits{Steps: 200_000}})
	if p.Complete || p.Unresolved[0].Prefix != "/" {
		t.Errorf("complete, or not open everywhere: %+v", p.Unresolved)
	}
}

// A module that takes long does not cut short the function that imports it.
func TestImportsAreNotTheImportersWork(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(`
-- app.py --
from flask import Flask
def create_app():
    app = Flask(__name__, static_folder=None)
    import long
    app.register_blueprint(long.bp)
    return app
-- long.py --
from flask import Blueprint
bp = Blueprint("bp", __name__)
for a in range(300):
    for b in range(300):
        a, b, a, b
bp.add_url_rule("/long", "long", lambda: "")
`)))
	p := readIn(t, dir, "app:create_app()", Options{})
	if diff := cmp.Diff([]string{"/long"}, rulesOf(p)); diff != "" || !p.Complete {
		t.Errorf("%s\n%+v", diff, p.Unresolved)
	}
}

// A repetition that no memory holds, or of nothing without end, takes no time and
// no memory, and what it might have been is open.
func TestRepetitionIsBounded(t *testing.T) {
	dir := t.TempDir()
	unpack(t, dir, txtar.Parse([]byte(`
-- app.py --
from flask import Flask
app = Flask(__name__, static_folder=None)
none = [] * 1000000000000000
empty = "" * 1000000000000000
app.add_url_rule("/long/" + "abcd" * (1 << 62), "long", lambda: "")
for n in ["a", "b", "c", "d"] * (1 << 62):
    app.add_url_rule("/many/" + n, "many", lambda: "")
app.add_url_rule("/joined/" + "a".join(["b" * 60000] * 40000), "joined", lambda: "")
app.add_url_rule("/grown/" + ("a" * 60000).replace("a", "b" * 60000), "grown", lambda: "")
app.add_url_rule("/few/" + "ab" * 2, "few", lambda: "")
`)))
	p := readIn(t, dir, "app:app", Options{})
	if !slices.Contains(rulesOf(p), "/few/abab") || p.Complete {
		t.Errorf("%v, complete: %t, %+v", rulesOf(p), p.Complete, p.Unresolved)
	}
}
