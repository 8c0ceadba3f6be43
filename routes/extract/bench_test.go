package extract

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeProject makes a project of about the given number of lines: packages of
// blueprints with views, models and plain code, all reachable from app.py.
func writeProject(tb testing.TB, lines int) (dir string, rules int) {
	tb.Helper()
	dir = tb.TempDir()
	const perFile = 600
	files := lines / perFile
	var imports, registers strings.Builder
	for i := range files {
		pkg := fmt.Sprintf("pkg%02d", i%40)
		name := fmt.Sprintf("part%04d", i)
		path := filepath.Join(dir, pkg, name+".py")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		src, n := modulePart(name, perFile)
		rules += n
		if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(&imports, "from %s import %s\n", pkg, name)
		fmt.Fprintf(&registers, "    app.register_blueprint(%s.bp, url_prefix='/%s')\n", name, name)
	}
	for i := range min(files, 40) {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("pkg%02d", i), "__init__.py"), nil, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	app := "from flask import Flask\n" + imports.String() + "\n\ndef create_app():\n    app = Flask(__name__, static_folder=None)\n" + registers.String() + "    return app\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(app), 0o644); err != nil {
		tb.Fatal(err)
	}
	return dir, rules
}

// modulePart is one module with about n lines, a fifth of it views.
func modulePart(name string, n int) (string, int) {
	var b strings.Builder
	fmt.Fprintf(&b, "import os\nimport json\nfrom flask import Blueprint, request, jsonify\n\nbp = Blueprint(%q, __name__)\nLIMIT = int(os.environ.get('LIMIT', '20'))\n\n", name)
	rules := 0
	for i := 0; strings.Count(b.String(), "\n") < n; i++ {
		if i%3 == 0 {
			rules++
			fmt.Fprintf(&b, "@bp.route('/view%d/<int:pk>', methods=['GET', 'POST'])\n", i)
		}
		fmt.Fprintf(&b, "def thing_%d(pk=None, *, limit: int = LIMIT) -> dict:\n", i)
		fmt.Fprintf(&b, "    \"\"\"Does one thing, and says so in a docstring.\"\"\"\n    rows = []\n")
		for j := range 6 {
			fmt.Fprintf(&b, "    for row in load(%d, limit):\n        if row.get('kind') == %d and row['name'] is not None:\n            rows.append({'id': row['id'], 'label': f\"{row['name']}-{pk}\"})\n", j, j)
		}
		b.WriteString("    return jsonify(rows=rows, total=len(rows))\n\n\n")
		if i%4 == 0 {
			fmt.Fprintf(&b, "class Model%d:\n    table = 'model_%d'\n    fields = ('a', 'b', 'c')\n\n    def save(self, session):\n        session.add(self)\n        return json.dumps(self.fields)\n\n\n", i, i)
		}
	}
	return b.String(), rules
}

func TestLargeProjectIsComplete(t *testing.T) {
	dir, rules := writeProject(t, 30_000)
	p := readIn(t, dir, "app:create_app()", Options{})
	if len(p.Routes) != rules || !p.Complete {
		t.Errorf("%d routes, complete %v; want %d, true: %v", len(p.Routes), p.Complete, rules, p.Unresolved)
	}
}

// Target: 300,000 lines below 2 s on two cores.
func BenchmarkRead300kLines(b *testing.B) {
	dir, rules := writeProject(b, 300_000)
	e, err := resolveIn(dir, "app:create_app()")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := Read(context.Background(), e, Options{})
		if err != nil || len(p.Routes) != rules {
			b.Fatalf("%v, %d routes of %d, %v", err, len(p.Routes), rules, p.Unresolved)
		}
	}
}

func BenchmarkReadHello(b *testing.B) {
	dir := b.TempDir()
	src := "from flask import Flask\napp = Flask(__name__)\n\n@app.route('/')\ndef index():\n    return ''\n"
	if err := os.WriteFile(filepath.Join(dir, "app.py"), []byte(src), 0o644); err != nil {
		b.Fatal(err)
	}
	e, err := resolveIn(dir, "app.py")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Read(context.Background(), e, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
