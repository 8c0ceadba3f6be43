package python

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// oracle asks CPython for its tree of files, one after another.
type oracle struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// newOracle starts python3, or $ORACLE_PYTHON. Without it the test is skipped:
// the same snippets are held by golden trees besides.
func newOracle(t testing.TB) *oracle {
	t.Helper()
	name := os.Getenv("ORACLE_PYTHON")
	if name == "" {
		name = "python3"
	}
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("no %s to compare with: apt-get install python3", name)
	}
	cmd := exec.Command(name, "-W", "ignore", "testdata/canon.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("python3: %v", err)
		}
	})
	return &oracle{in, bufio.NewReaderSize(out, 1<<20)}
}

// tree returns CPython's tree of a file in canonical form, or false where it
// does not parse.
func (o *oracle) tree(t testing.TB, file string) (string, bool) {
	t.Helper()
	if _, err := fmt.Fprintln(o.in, file); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for {
		line, err := o.out.ReadString('\n')
		if err != nil {
			t.Fatalf("python3 ended at %s: %v", file, err)
		}
		if status, done := strings.CutPrefix(line, "=== "); done {
			return b.String(), strings.HasPrefix(status, "ok")
		}
		b.WriteString(line)
	}
}

// firstDifference returns the first lines in which two trees differ.
func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		var a, b string
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			same := 0
			for same < min(len(a), len(b)) && a[same] == b[same] {
				same++
			}
			cut := func(s string) string { return s[max(0, same-80):min(len(s), same+120)] }
			return fmt.Sprintf("%.20s\ngot  %s\nwant %s", a, cut(a), cut(b))
		}
	}
	return ""
}

// TestTreesOfDirectories compares whole directories of Python source, named
// in $ORACLE_DIRS, with CPython's trees, and prints the totals.
func TestTreesOfDirectories(t *testing.T) {
	dirs := strings.Fields(os.Getenv("ORACLE_DIRS"))
	if len(dirs) == 0 {
		t.Skip("ORACLE_DIRS names no directories: this is the check against real projects, which are not in the repository")
	}
	o := newOracle(t)
	for _, dir := range dirs {
		compareDirectory(t, o, dir)
	}
}

func compareDirectory(t *testing.T, o *oracle, dir string) {
	var files, same, refused, different, opaque, statements int
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".py") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return nil // a dangling link
		}
		files++
		m := Parse(src, Limits{})
		d := &dumper{}
		d.list(m.Body, 0)
		statements += strings.Count(d.b.String(), "\n")
		want, ok := o.tree(t, path)
		switch {
		case !ok:
			refused++
		case d.b.String() == want:
			same++
		default:
			different++
			if different <= 20 {
				t.Logf("%s:\n%s", path, firstDifference(d.b.String(), want))
			}
		}
		if ok {
			opaque += d.opaque
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%s: %d files, %d statements: %d trees the same, %d differ (%d opaque statements), %d that CPython refuses",
		dir, files, statements, same, different, opaque, refused)
}
