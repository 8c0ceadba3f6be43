package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestChooseUser(t *testing.T) {
	owner := func(uid uint32) func() (uint32, error) { return func() (uint32, error) { return uid, nil } }
	unknown := func() (uint32, error) { return 0, errors.New("no such file") }
	cases := []struct {
		name, user, group string
		ch                chooser
		uid               uint32
		drop, warns       bool
		err               string
	}{
		{name: "the flag wins", user: "nobody", ch: chooser{0, "1", owner(2)}, uid: 65534, drop: true},
		{name: "a number needs no entry", user: "54321", ch: chooser{0, "", owner(0)}, uid: 54321, drop: true},
		{name: "then who called sudo", ch: chooser{0, "1", owner(2)}, uid: 1, drop: true},
		{name: "then the owner", ch: chooser{0, "", owner(2)}, uid: 2, drop: true},
		{name: "sudo from root is root", ch: chooser{0, "0", owner(2)}, warns: true},
		{name: "root's app runs as root", ch: chooser{0, "", owner(0)}, warns: true},
		{name: "an unknown owner is root", ch: chooser{0, "", unknown}, warns: true},
		{name: "nonsense in SUDO_UID", ch: chooser{0, "x", owner(2)}, uid: 2, drop: true},
		{name: "no such user", user: "no-such-user", ch: chooser{0, "", owner(0)}, err: `look up user "no-such-user": there is no such user`},
		{name: "no such group", user: "nobody", group: "no-such-group", ch: chooser{0, "", owner(0)}, err: `look up group "no-such-group": there is no such group`},
		{name: "not as root", ch: chooser{65534, "1", owner(2)}, uid: 65534},
		{name: "not as root, oneself", user: "nobody", ch: chooser{65534, "", owner(2)}, uid: 65534},
		{name: "not as root, another", user: "daemon", ch: chooser{65534, "", owner(2)}, err: "run the app as daemon: only root can; start as root or without --user"},
		{name: "not as root, a group", group: "daemon", ch: chooser{65534, "", owner(2)}, err: "run the app in another group: only root can; start as root or without --group"},
	}
	for _, c := range cases {
		id, err := chooseUser(c.user, c.group, c.ch)
		if got := fmt.Sprint(err); err != nil && got != c.err || err == nil && c.err != "" {
			t.Errorf("%s: got error %v, want %s", c.name, err, c.err)
			continue
		}
		if id.uid != c.uid || id.drop != c.drop || (id.warning != "") != c.warns {
			t.Errorf("%s: got %+v", c.name, id)
		}
	}
}

func TestGroupReplacesTheUsersOwn(t *testing.T) {
	id, err := chooseUser("nobody", "daemon", chooser{0, "", nil})
	if err != nil || id.gid != 1 || !slices.Contains(id.groups, 1) {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestCleanEnv(t *testing.T) {
	base := []string{"PATH=/bin", "HOME=/root", "USER=root", "SUDO_UID=0", "XDG_RUNTIME_DIR=/run/0", "NOTIFY_SOCKET=/run/n",
		"LISTEN_FDS=1", "FLASK2BAN_ADMIN=x", "WERKZEUG_RUN_MAIN=true", "FLASK_DEBUG=1", "LANG=C"}
	got := cleanEnv(base, identity{}, []string{"LANG=de", "NEW=a=b"})
	if want := "PATH=/bin HOME=/root USER=root XDG_RUNTIME_DIR=/run/0 FLASK_DEBUG=1 LANG=de NEW=a=b"; strings.Join(got, " ") != want {
		t.Errorf("as us: got %s, want %s", got, want)
	}
	got = cleanEnv(base, identity{drop: true, name: "www", home: "/srv"}, nil)
	if want := "PATH=/bin FLASK_DEBUG=1 LANG=C HOME=/srv USER=www LOGNAME=www"; strings.Join(got, " ") != want {
		t.Errorf("as another: got %s, want %s", got, want)
	}
}

func TestRunsAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	text := hello + `
@app.route("/who")
def who():
    import os
    return " ".join(map(str, [os.getuid(), os.geteuid(), os.getgid(), sorted(os.getgroups()), os.environ["HOME"], os.environ["USER"], "SUDO_UID" in os.environ]))
app.run(port=18500)
`
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("65534 65534 65534 [65534] %s nobody False", nobody.HomeDir)

	t.Run("by flag", func(t *testing.T) {
		dir := write(t, map[string]string{"app.py": text})
		r := start(t, Config{App: filepath.Join(dir, "app.py"), User: "nobody"})
		if got := r.get("/who").body; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := r.State().User; got != "nobody" {
			t.Errorf("state: got %s", got)
		}
		checkHello(t, r)
	})
	t.Run("by owner", func(t *testing.T) {
		dir := write(t, map[string]string{"app.py": text})
		if err := os.Chown(filepath.Join(dir, "app.py"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		r := start(t, Config{App: filepath.Join(dir, "app.py"), Env: []string{"SUDO_UID=1"}})
		if got := r.get("/who").body; !strings.HasPrefix(got, "65534 65534 65534 [65534]") {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	t.Run("gunicorn", func(t *testing.T) {
		dir := write(t, map[string]string{"app.py": strings.Replace(text, "app.run(port=18500)", "", 1)})
		r := start(t, Config{Command: []string{"/usr/bin/gunicorn", "app:app"}, Dir: dir, User: "nobody"})
		if got := r.get("/who").body; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestRootsAppIsNamed: the warning of an app that runs as root names it as its operator did.
func TestRootsAppIsNamed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root's apps run as root")
	}
	t.Setenv("SUDO_UID", "0")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "shop.py"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]Config{
		"app=shop.py": {App: "shop.py"},
		"app=sleep":   {Command: []string{"sleep", "1"}},
	} {
		var log strings.Builder
		c.Dir, c.Log = dir, slog.New(slog.NewTextHandler(&log, nil))
		if _, err := prepare(c); err != nil {
			t.Fatal(err)
		}
		if got := log.String(); !strings.Contains(got, "name an unprivileged user with --user") || !strings.HasSuffix(got, want+"\n") {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
