package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// setMode asks the API over TCP, with the token, and returns the status.
func (d *daemon) setMode(body string) int {
	d.t.Helper()
	token, err := os.ReadFile(filepath.Join(d.state, "token"))
	if err != nil {
		d.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", "http://"+d.admin+"/api/v1/mode", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// TestModeSwitchedWhileRunning: a rule, and all judging, is observed at once when
// a person says so, still after a restart, and as configured when that is taken
// back.
func TestModeSwitchedWhileRunning(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "flask2ban.yaml")
	writeFile(t, file, rulesFile)
	args := []string{testApp(t, "rules.py"), "--config", file}
	d := start(t, dir, state, args...)
	unwanted := func() *client { return d.from("127.0.7.1") }
	set := func(want int, body string) {
		t.Helper()
		if got := d.setMode(body); got != want {
			t.Fatalf("%s: %d, want %d", body, got, want)
		}
	}
	unwanted().want(403, "/")
	set(422, `{"rule": "nonsense", "mode": "observe"}`)
	set(422, `{"rule": "unwanted", "mode": "off"}`)
	unwanted().want(403, "/")
	set(204, `{"rule": "unwanted", "mode": "observe"}`)
	unwanted().want(200, "/")

	d.stop()
	d = start(t, dir, state, args...)
	unwanted().want(200, "/")
	if got := d.rules()["unwanted"]; got.Mode != "observe" || got.Would == 0 {
		t.Errorf("after the restart: %+v", got)
	}
	set(204, `{"rule": "unwanted", "mode": ""}`)
	unwanted().want(403, "/")

	set(204, `{"mode": "observe"}`)
	unwanted().want(200, "/")
	prober := d.from("127.0.1.1")
	prober.want(404, "/.env")
	prober.want(200, "/")
	set(204, `{"mode": ""}`)
	unwanted().want(403, "/")
	prober.want(404, "/.git/config")
	prober.want(403, "/")
}
