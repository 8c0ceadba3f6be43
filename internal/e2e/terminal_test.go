package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAppHasNoTerminal starts flask2ban at a terminal. The app gets neither it,
// whose input it could write, nor a session of its own: Linux would give that
// its own share of the processor.
func TestAppHasNoTerminal(t *testing.T) {
	dir, addr := t.TempDir(), freePort(t)
	write(t, dir, "app.py", `
import os
from flask import Flask
app = Flask(__name__)
@app.route("/")
def index():
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
        return "a terminal %d %d" % (os.getsid(0), os.getsid(os.getppid()))
    except OSError:
        return "none %d %d" % (os.getsid(0), os.getsid(os.getppid()))
app.run()
`)
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	x := startTmux(t, 200, 50, "cd "+dir+" && exec "+path+" app.py --listen "+addr+" --admin off --state "+t.TempDir())
	var text string
	within(t, patience, "the app answers", func() bool {
		res, body, err := fetch(&http.Client{Timeout: 5 * time.Second}, "http://"+addr+"/")
		text = body
		return err == nil && res.StatusCode == http.StatusOK
	})
	x.keys("C-c") // the terminal's end alone is a SIGHUP, so a reload
	x.ends()
	words := strings.Fields(text)
	if len(words) != 3 || words[0] != "none" || words[1] != words[2] {
		t.Fatalf("the app says %q; want none and its guard's session twice", text)
	}
	session, err := strconv.Atoi(words[1])
	if mine, _ := unix.Getsid(0); err != nil || session == mine {
		t.Errorf("the app is in the session of this test, %d: it was not started at a terminal", mine)
	}
}
