package state_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flask2ban/flask2ban/internal/state"
)

func env(pairs ...string) func(string) string {
	return func(key string) string {
		for i := 0; i+1 < len(pairs); i += 2 {
			if pairs[i] == key {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestBaseFollowsXDG(t *testing.T) {
	for _, tt := range []struct {
		name string
		root bool
		env  []string
		want string
		err  string
	}{
		{"root", true, []string{"HOME", "/root", "XDG_STATE_HOME", "/x"}, "/var/lib/flask2ban", ""},
		{"xdg", false, []string{"HOME", "/home/a", "XDG_STATE_HOME", "/x"}, "/x/flask2ban", ""},
		{"home", false, []string{"HOME", "/home/a"}, "/home/a/.local/state/flask2ban", ""},
		{"relative xdg is ignored", false, []string{"HOME", "/home/a", "XDG_STATE_HOME", "x"}, "/home/a/.local/state/flask2ban", ""},
		{"nothing", false, nil, "", "no place for state: neither $XDG_STATE_HOME nor $HOME is an absolute path; name a directory with --state DIR"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := state.Base("flask2ban", tt.root, env(tt.env...))
			if got != tt.want || message(err) != tt.err {
				t.Errorf("got %q, %q; want %q, %q", got, message(err), tt.want, tt.err)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestDirIsReadable(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "hello", "app.py")
	write(t, file, "")
	t.Chdir(root)
	for _, tt := range []struct{ app, want string }{
		{file, "hello-app"},
		{"hello/app.py", "hello-app"},
		{"hello", "hello"},
		{"hello:app", "hello-app"},
		{"shop:create_app('x y')", "shop-create_app--x-y"},
		{"/", "app"},
		{strings.Repeat("long", 40), strings.Repeat("long", 10)},
	} {
		got, err := state.Dir("flask2ban", tt.app, false, env("XDG_STATE_HOME", "/x"))
		if err != nil {
			t.Fatal(err)
		}
		want := regexp.MustCompile("^/x/flask2ban/" + regexp.QuoteMeta(tt.want) + "-[0-9a-f]{8}$")
		if !want.MatchString(got) {
			t.Errorf("%s: got %s, want %s", tt.app, got, want)
		}
	}
}

func TestDirTellsAppsApart(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "one", "hello", "app.py"), "")
	write(t, filepath.Join(root, "two", "hello", "app.py"), "")
	dir := func(wd, app string) string {
		t.Helper()
		t.Chdir(filepath.Join(root, wd))
		got, err := state.Dir("flask2ban", app, false, env("XDG_STATE_HOME", "/x"))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if a, b := dir("one", "hello/app.py"), dir("two", "hello/app.py"); a == b {
		t.Errorf("two apps share %s", a)
	}
	if a, b := dir("one", "hello/app.py"), dir("one/hello", "./app.py"); a != b {
		t.Errorf("one app has two directories: %s and %s", a, b)
	}
	if a, b := dir("one", "hello:app"), dir("one", "hello:other"); a == b {
		t.Errorf("two objects share %s", a)
	}
	if err := os.Symlink(filepath.Join(root, "one"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	if a, b := dir("one", "hello/app.py"), dir("link", "hello/app.py"); a != b {
		t.Errorf("a symbolic link makes another directory: %s and %s", a, b)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mode(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestCreateMakesItPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := state.Create(dir); err != nil {
			t.Fatal(err)
		}
	}
	if got := mode(t, dir); got != 0o700 {
		t.Errorf("mode is %o, want 700", got)
	}
}

func TestCreateClosesAnEmptyDirectory(t *testing.T) {
	dir := t.TempDir()
	chmod(t, dir, 0o755)
	if err := state.Create(dir); err != nil {
		t.Fatal(err)
	}
	if got := mode(t, dir); got != 0o700 {
		t.Errorf("mode is %o, want 700", got)
	}
}

func TestCreateLeavesASharedDirectoryAlone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "letter.txt"), "mine")
	chmod(t, dir, 0o755)
	err := state.Create(dir)
	want := "state directory " + dir + " is open to other users (mode 0755) and not empty; close it with chmod 700 " + dir +
		", or name another with --state, such as " + dir + "/flask2ban"
	if message(err) != want {
		t.Errorf("got  %q\nwant %q", message(err), want)
	}
	if got := mode(t, dir); got != 0o755 {
		t.Errorf("mode became %o", got)
	}
}

func TestCreateRefusesAnothersDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving a directory away needs root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, -1); err != nil {
		t.Fatal(err)
	}
	err := state.Create(dir)
	if want := "state directory " + dir + " belongs to user 12345, not to user 0 who runs this"; !strings.HasPrefix(message(err), want) {
		t.Errorf("got %q, want %q...", message(err), want)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestTokenIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, err := state.Token(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != 43 {
		t.Errorf("token has %d characters, want 43 (256 bits)", len(first))
	}
	again, err := state.Token(dir)
	if err != nil || again != first {
		t.Errorf("second call: %q, %v; want the first token", again, err)
	}
	if got := mode(t, state.TokenFile(dir)); got != 0o600 {
		t.Errorf("mode is %o, want 600", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".token*")); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestTokenIsTheSameForAllWhoStartTogether(t *testing.T) {
	dir := t.TempDir()
	const starters = 16
	tokens := make(chan string, starters)
	for range starters {
		go func() {
			token, err := state.Token(dir)
			if err != nil {
				t.Error(err)
			}
			tokens <- token
		}()
	}
	first := <-tokens
	for range starters - 1 {
		if got := <-tokens; got != first {
			t.Fatalf("tokens differ: %q and %q", got, first)
		}
	}
}

func TestTokenRefusesWhatOthersCouldRead(t *testing.T) {
	dir := t.TempDir()
	path := state.TokenFile(dir)
	write(t, path, "0123456789abcdef0123")
	_, err := state.Token(dir)
	want := "API token " + path + " is open to other users (mode 0644): close it with chmod 600, and change it if someone may have read it"
	if message(err) != want {
		t.Errorf("got  %q\nwant %q", message(err), want)
	}
}

func TestTokenRefusesAShortOne(t *testing.T) {
	for _, text := range []string{"", "short\n", "two words of some length\n"} {
		dir := t.TempDir()
		path := state.TokenFile(dir)
		write(t, path, text)
		chmod(t, path, 0o600)
		_, err := state.Token(dir)
		want := "API token " + path + " is not one word of at least 16 characters: remove the file to get a new one"
		if message(err) != want {
			t.Errorf("%q: got %q, want %q", text, message(err), want)
		}
	}
}
