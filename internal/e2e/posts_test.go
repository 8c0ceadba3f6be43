package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/flask2ban/flask2ban/internal/app"
)

// posts is testdata/posts.py behind flask2ban.
type posts struct {
	*daemon
	notes string
}

func startPosts(t *testing.T, server string, args ...string) *posts {
	t.Helper()
	notes := filepath.Join(t.TempDir(), "notes")
	if err := os.WriteFile(notes, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	args = append([]string{testApp(t, "posts.py"), "--python", debianPython, "--env", "NOTES=" + notes, "--env", "SERVER=" + server}, args...)
	return &posts{start(t, t.TempDir(), "", args...), notes}
}

// ran counts how often each request was begun.
func (p *posts) ran() map[string]int {
	p.t.Helper()
	data, err := os.ReadFile(p.notes)
	if err != nil {
		p.t.Fatal(err)
	}
	times := map[string]int{}
	for name := range strings.Lines(string(data)) {
		times[strings.TrimSpace(name)]++
	}
	return times
}

// letGo ends the views that hold.
func (p *posts) letGo() {
	if err := os.WriteFile(p.notes+".go", nil, 0o666); err != nil {
		p.t.Error(err)
	}
}

// keptInFiles is how many bytes of request bodies the daemon keeps in files
// without a name.
func (p *posts) keptInFiles() (sum int64) {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err != nil || !strings.HasPrefix(name, filepath.Join(p.state, "bodies")) {
			continue
		}
		if info, err := os.Stat(fd); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// killApp kills the app's process, and returns it.
func (p *posts) killApp() int {
	p.t.Helper()
	pid := p.appPID()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		p.t.Error(err)
	}
	return pid
}

// gated is a body whose second half is sent when open is closed.
func gated(body []byte, open chan struct{}) io.Reader {
	half := len(body) / 2
	return io.MultiReader(bytes.NewReader(body[:half]), waits{open}, bytes.NewReader(body[half:]))
}

type waits struct{ open chan struct{} }

func (w waits) Read([]byte) (int, error) {
	<-w.open
	return 0, io.EOF
}

const fiveMB = 5 << 20

// TestLargeUnreadPostsSurviveTheApp: a server that reads requests whole before a
// view begins (waitress) is killed while it has eight of 5 MB, half of them not
// yet complete, and one that it has begun: that one is lost and never runs
// again, the others run once.
func TestLargeUnreadPostsSurviveTheApp(t *testing.T) {
	p := startPosts(t, "waitress", "--app-concurrency", "off")
	first := make(chan int, 1)
	go func() {
		status, _ := p.from("127.0.21.1").do("POST", "/hold/first", strings.NewReader("x"))
		first <- status
	}()
	p.await("the one thread is busy", func() bool { return p.ran()["first"] == 1 })
	body := make([]byte, fiveMB)
	rand.Read(body)
	open := make(chan struct{})
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			sent := io.Reader(bytes.NewReader(body))
			if n%2 == 1 {
				sent = gated(body, open)
			}
			name := fmt.Sprint("post", n)
			status, got := p.from(fmt.Sprintf("127.0.21.%d", 10+n)).do("POST", "/post/"+name, sent)
			if want := fmt.Sprint(name, " ", fiveMB); status != 200 || got != want {
				t.Errorf("%s: %d %.200s, want %s", name, status, got, want)
			}
		})
	}
	// What is beyond the first MiB of each.
	sent := int64(4*(fiveMB-1<<20) + 4*(fiveMB/2-1<<20))
	p.await("the app has all that was sent", func() bool { return p.keptInFiles() >= sent-8*64<<10 })
	p.killApp()
	if status := <-first; status != http.StatusBadGateway {
		t.Errorf("the request that had begun: %d, want 502", status)
	}
	close(open)
	group.Wait()
	times := p.ran()
	for name, n := range times {
		if n != 1 {
			t.Errorf("%s ran %d times", name, n)
		}
	}
	if len(times) != 9 {
		t.Errorf("%d requests ran, want 9: %v", len(times), times)
	}
	p.await("nothing is kept", func() bool { return p.keptInFiles() == 0 })
}

// TestLargePostsAndKills: each of the POSTs of 5 MB that come while the app is
// killed five times runs once; only one that had begun may be lost.
func TestLargePostsAndKills(t *testing.T) {
	for _, server := range []string{"werkzeug", "waitress"} {
		t.Run(server, func(t *testing.T) {
			p := startPosts(t, server, "--app-concurrency", "off")
			body := make([]byte, fiveMB)
			rand.Read(body)
			answers := sync.Map{} // name → status
			var done atomic.Int64
			stop := make(chan struct{})
			var group sync.WaitGroup
			for client := range 4 {
				c := p.from(fmt.Sprintf("127.0.22.%d", client+1))
				group.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
						name := fmt.Sprintf("c%dn%d", client, n)
						status, _ := c.do("POST", "/post/"+name, bytes.NewReader(body))
						answers.Store(name, status)
						done.Add(1)
					}
				})
			}
			for range 5 {
				before := done.Load()
				p.await("requests flow", func() bool { return done.Load() >= before+3 })
				pid := p.killApp()
				p.await("a new instance", func() bool { now := p.readyPID(); return now != 0 && now != pid })
			}
			close(stop)
			group.Wait()
			times, lost := p.ran(), 0
			answers.Range(func(name, status any) bool {
				n := times[name.(string)]
				switch {
				case status == http.StatusOK && n != 1, n > 1:
					t.Errorf("%s: %d, and it ran %d times", name, status, n)
				case status == http.StatusOK:
				case status != http.StatusBadGateway && status != 0: // 0: cut off while it still sent
					t.Errorf("%s: %d", name, status)
				default:
					lost++ // killed between its announcement and its note, or after
				}
				return true
			})
			t.Logf("%d POSTs of 5 MB over 5 kills, %d lost that had begun", done.Load(), lost)
			if lost > 5*4 {
				t.Errorf("%d lost: more than were under way", lost)
			}
			p.await("nothing is kept", func() bool { return p.keptInFiles() == 0 })
		})
	}
}

// readyPID is the process of the app where it is ready; 0 else.
func (p *posts) readyPID() int {
	out, err := p.cli("status", "--json")
	var status struct{ Instance app.State }
	if err != nil || json.Unmarshal([]byte(out), &status) != nil || status.Instance.Name != app.Ready {
		return 0
	}
	return status.Instance.PID
}

// TestLateAnswersAreGivenUp, with the client's Expect or without, also of an app
// that speaks TLS itself.
func TestLateAnswersAreGivenUp(t *testing.T) {
	for _, server := range []string{"werkzeug", "tls"} {
		t.Run(server, func(t *testing.T) {
			p := startPosts(t, server, "--answer-timeout", "2s")
			defer p.letGo()
			c := p.from("127.0.23.1")
			post := func(size int, head ...string) func(string) (int, string) {
				return func(target string) (int, string) {
					return c.do("POST", target, bytes.NewReader(make([]byte, size)), head...)
				}
			}
			for name, ask := range map[string]func(string) (int, string){
				"GET":          func(target string) (int, string) { return c.get(target) },
				"POST":         post(1),
				"large":        post(fiveMB),
				"expect":       post(1, "Expect", "100-continue"),
				"expect-large": post(fiveMB, "Expect", "100-continue"),
			} {
				status, body := ask("/hold/late-" + name)
				if status != http.StatusGatewayTimeout {
					t.Errorf("%s: %d %.200s, want 504", name, status, body)
				}
				if n := p.ran()["late-"+name]; n != 1 {
					t.Errorf("%s ran %d times", name, n)
				}
			}
		})
	}
}

// TestUnreadByAnAppThatSpeaksTLS: POSTs that come while it is stopped, and then
// killed, run once.
func TestUnreadByAnAppThatSpeaksTLS(t *testing.T) {
	p := startPosts(t, "tls")
	for n := range 3 {
		name := fmt.Sprint("stopped", n)
		pid := p.appPID()
		syscall.Kill(pid, syscall.SIGSTOP)
		answered := make(chan string, 1)
		go func() {
			status, body := p.from("127.0.23.2").do("POST", "/post/"+name, bytes.NewReader(make([]byte, fiveMB)))
			answered <- fmt.Sprint(status, " ", body)
		}()
		p.await("it is with the app", func() bool { return p.metric("flask2ban_http_requests_in_flight") >= 1 })
		syscall.Kill(pid, syscall.SIGKILL)
		if got, want := <-answered, fmt.Sprint("200 ", name, " ", fiveMB); got != want {
			t.Errorf("unread when the app was killed: %.200s, want %s", got, want)
		}
	}
	for name, n := range p.ran() {
		if n != 1 {
			t.Errorf("%s ran %d times", name, n)
		}
	}
}

// TestAHangBehindTLS is seen though the app speaks TLS itself, and ended; what
// waited is answered.
func TestAHangBehindTLS(t *testing.T) {
	p := startPosts(t, "tls", "--env", "SINGLE=1", "--hang-after", "3s")
	pid := p.appPID()
	held := make(chan int, 1)
	go func() {
		status, _ := p.from("127.0.24.1").do("POST", "/hold/one", bytes.NewReader(make([]byte, fiveMB)))
		held <- status
	}()
	p.await("it hangs", func() bool { return p.ran()["one"] == 1 })
	began := time.Now()
	if got := p.from("127.0.24.2").want(200, "/"); got == fmt.Sprint(pid) {
		t.Errorf("process %d still answers", pid)
	}
	t.Logf("answered %s after the hang began", time.Since(began).Round(time.Millisecond))
	if status := <-held; status != http.StatusBadGateway {
		t.Errorf("what hung got %d, want 502", status)
	}
	if n := p.ran()["one"]; n != 1 {
		t.Errorf("what hung ran %d times", n)
	}
}
