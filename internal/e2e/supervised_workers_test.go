package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/flask2ban/flask2ban/internal/app"
	"github.com/flask2ban/flask2ban/internal/testbed"
)

// instances are the processes that serve.
func (s *supervised) instances() []int {
	s.t.Helper()
	out, err := s.ask("status", "--json")
	var st struct{ Instance app.State }
	if jsonErr := json.Unmarshal([]byte(out), &st); jsonErr != nil {
		s.t.Fatalf("status: %v, %v: %s", err, jsonErr, out)
	}
	all := st.Instance.Instances
	if len(all) == 0 {
		all = []app.InstanceState{{Name: st.Instance.Name, PID: st.Instance.PID}}
	}
	var pids []int
	for _, i := range all {
		if i.Name == app.Ready {
			pids = append(pids, i.PID)
		}
	}
	return pids
}

// TestSupervisedWorkers: three instances share the app's own port. One is
// killed, then all are replaced; nobody is refused.
func TestSupervisedWorkers(t *testing.T) {
	s := supervise(t, nil, "--workers", "3")
	s.await("all three serve", func() bool { return len(s.instances()) == 3 })
	for _, e := range s.status().Events {
		if strings.Contains(e.Seen, "ended") {
			t.Errorf("at the start: %s: %s", e.Seen, e.Done)
		}
	}
	seen := map[string]bool{}
	v := visitAllTheTime(s.url+"/slow/0.02", 6)
	s.await("each answers", func() bool {
		_, body, err := visitOnce(s.url + "/")
		seen[body] = err == nil
		return len(seen) == 3
	})
	first := s.instances()
	syscall.Kill(first[0], syscall.SIGKILL)
	s.await("there are three again", func() bool {
		now := s.instances()
		return len(now) == 3 && !slices.Contains(now, first[0])
	})
	sent, refused, lost := v.end()
	if refused > 0 || len(lost) > 6 { // what was in the one that died is lost
		t.Errorf("a kill: of %d %d refused, lost %v", sent, refused, lost)
	}

	v = visitAllTheTime(s.url+"/slow/0.02", 6)
	before := s.instances()
	if out, err := s.ask("restart"); err != nil {
		t.Errorf("restart: %v: %s", err, out)
	}
	s.await("all are others", func() bool {
		now := s.instances()
		for _, pid := range before {
			if slices.Contains(now, pid) || testbed.Alive(pid) {
				return false
			}
		}
		return len(now) == 3
	})
	sent, refused, lost = v.end()
	if refused > 0 || len(lost) > 0 {
		t.Errorf("a restart: of %d %d refused, lost %v", sent, refused, lost)
	}
}

// TestSupervisedMaxRequests: an instance that has had its requests is replaced
// by one that serves before it ends, and nothing is lost.
func TestSupervisedMaxRequests(t *testing.T) {
	s := supervise(t, nil, "--max-requests", "300")
	first := s.instances()[0]
	v := visitAllTheTime(s.url+"/", 4)
	s.await("another has taken over", func() bool { return !slices.Contains(s.instances(), first) && !testbed.Alive(first) })
	sent, refused, lost := v.end()
	if refused > 0 || len(lost) > 0 || sent < 300 {
		t.Errorf("of %d %d refused, lost %v", sent, refused, lost)
	}
	found := false
	for _, e := range s.status().Events {
		found = found || strings.Contains(e.Seen, "the instance has had 3") && strings.Contains(e.Done, "took over")
	}
	if !found {
		t.Errorf("no event says why: %+v", s.status().Events)
	}
}

// TestSupervisedNoOverlap: there are never two instances, and nobody is refused
// while there is none.
func TestSupervisedNoOverlap(t *testing.T) {
	s := supervise(t, nil, "--no-overlap")
	first := s.instances()[0]
	where, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", first))
	if err != nil {
		t.Fatal(err)
	}
	v := visitAllTheTime(s.url+"/", 4)
	if out, err := s.ask("restart"); err != nil {
		t.Errorf("restart: %v: %s", err, out)
	}
	s.await("another serves", func() bool {
		now := servingIn(t, where)
		if len(now) > 1 {
			t.Fatalf("two at a time: %v", now)
		}
		got := s.instances()
		return len(got) == 1 && got[0] != first
	})
	sent, refused, lost := v.end()
	if refused > 0 || len(lost) > 0 {
		t.Errorf("of %d %d refused, lost %v", sent, refused, lost)
	}
}

// servingIn are the living Python processes that work in a directory.
func servingIn(t *testing.T, where string) []int {
	t.Helper()
	var found []int
	paths, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		var other int
		fmt.Sscanf(path, "/proc/%d/cwd", &other)
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", other))
		if dir, err := os.Readlink(path); err == nil && dir == where && strings.HasPrefix(string(line), "/usr/bin/python3") && testbed.Alive(other) {
			found = append(found, other)
		}
	}
	return found
}

// TestSupervisedElastic: connections wait in the shared socket, so there are to
// be more instances.
func TestSupervisedElastic(t *testing.T) {
	s := supervise(t, nil, "--workers", "auto:1-2", "--env", "APP_ONE_BY_ONE=1")
	v := visitAllTheTime(s.url+"/slow/0.1", 8)
	s.await("two serve", func() bool { return len(s.instances()) == 2 })
	sent, refused, lost := v.end()
	if refused > 0 || len(lost) > 0 {
		t.Errorf("of %d %d refused, lost %v", sent, refused, lost)
	}
	if out, err := s.ask("status"); err != nil || !strings.Contains(out, "requests for 1 instance: started another") {
		t.Errorf("status does not say why: %v\n%s", err, out)
	}
}
