package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestNotifications: a real receiver hears of a ban, an unban, the app's death
// and recovery, and a reload that failed, in the words of the Slack example.
func TestNotifications(t *testing.T) {
	var mu sync.Mutex
	var texts []string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ Text string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, of type %s", err, r.Header.Get("Content-Type"))
		}
		mu.Lock()
		defer mu.Unlock()
		texts = append(texts, body.Text)
	}))
	defer hook.Close()
	heard := func(words ...string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, text := range texts {
				all := true
				for _, w := range words {
					all = all && strings.Contains(text, w)
				}
				if all {
					return true
				}
			}
			return false
		}
	}
	example, err := os.ReadFile(filepath.Join("..", "..", "examples", "notify", "slack.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const theirs = "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX"
	if !strings.Contains(string(example), theirs) {
		t.Fatalf("the example lacks %s", theirs)
	}
	file := write(t, t.TempDir(), "flask2ban.yaml", strings.ReplaceAll(string(example), theirs, hook.URL+"/hunter2"))
	d := start(t, filepath.Join("..", "..", "examples", "hello"), "", "app.py", "--config", file)
	d.from("127.0.1.1").want(404, "/.env?<!channel>")
	d.await("it hears of the ban", heard("*ban* on ", "127.0.1.1 banned until", "1 honeypath"))
	if out, err := d.cli("bans", "remove", "127.0.1.1"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.await("it hears of the unban", heard("127.0.1.1 is no longer banned: its ban was lifted"))
	replace(t, file, "maxretries: 3\n") // at once: an empty file would end the notifications
	d.await("it hears of the bad configuration", heard("reload of the configuration", "maxretries: unknown key"))
	if err := syscall.Kill(d.appPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("it hears of the app's death", heard("the app is down"))
	d.await("it hears that it is up", heard("the app is up again"))
	d.await("it hears of the restart", heard("the app was started again (restart 1)"))
	d.stop()
	if strings.Contains(d.out.String(), "hunter2") {
		t.Error("the webhook's secret is in the log")
	}
}

// TestNotifyExamples: each is a valid configuration.
func TestNotifyExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "notify", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("got %v, %v", files, err)
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if out, err := exec.Command(path, "check", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", file, err, out)
		}
	}
}
