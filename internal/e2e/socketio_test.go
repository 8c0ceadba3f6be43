package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSocketIO: a chat by Flask-SocketIO, run as shipped, to its own Python
// client: long polling where the server has no WebSocket, else the upgrade to
// one; rooms, acknowledgements, a crash of the app. /socket.io/ is no route of
// Flask's, and nobody gets evidence for it.
func TestSocketIO(t *testing.T) {
	tests := []struct{ mode, transport string }{
		{"threading", "polling"},
		{"gevent", "websocket"},
		{"eventlet", "websocket"},
	}
	for _, tt := range tests {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			d := start(t, t.TempDir(), "", testApp(t, "chat.py"), "--python", debianPython, "--env", "CHAT_MODE="+tt.mode)
			chat(t, d, "127.0.7.1", tt.transport, 5, true)
			var group sync.WaitGroup
			for n := range 3 {
				group.Go(func() { chat(t, d, fmt.Sprintf("127.0.7.%d", 10+n), tt.transport, 10, false) })
			}
			group.Wait()
			if n := d.metric("flask2ban_evidence_total"); n != 0 {
				t.Errorf("%v pieces of evidence against clients of Socket.IO", n)
			}
			if bans := d.bans(); len(bans) != 0 {
				t.Errorf("banned: %q", bans)
			}
			// What lies beside it is judged as ever.
			d.from("127.0.7.99").want(404, "/socket/")
			d.await("evidence of a path beside it", func() bool { return d.metric("flask2ban_evidence_total") == 1 })
		})
	}
}

// chat runs chatclient.py.
func chat(t *testing.T, d *daemon, source, transport string, count int, crash bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	what := "stay"
	if crash {
		what = "crash"
	}
	out, err := exec.CommandContext(ctx, debianPython, testApp(t, "chatclient.py"), "http://"+d.addr, source, transport, fmt.Sprint(count), what).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all went well") {
		t.Errorf("%d clients from %s: %v\n%s", count, source, err, tail(string(out), 3000))
	}
}
