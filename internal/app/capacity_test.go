package app

import (
	"syscall"
	"testing"
	"time"
)

func TestParseUsed(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"7 (py) thon) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1 2 3": 3 * time.Second,
		"7 (python) S 1": 0,
		"7 (python) S 1 7 7 0 -1 4194560 100 0 0 0 x 50 0 0 20 0 4 0 1 2 3": 0,
	} {
		if got := parseUsed([]byte(line)); got != want {
			t.Errorf("%q: got %v, want %v", line, got, want)
		}
	}
}

func TestNoInstanceHasNoCapacity(t *testing.T) {
	a := &App{history: newHistory()}
	if n := a.Slots(); n != 0 {
		t.Errorf("%d slots", n)
	}
	if _, ok := a.Work().Used(); ok {
		t.Error("processor time of no process")
	}
}

// While the app starts again, what it could do before holds: else all that
// waits would be let go at once, in no order.
func TestCapacityOutlivesAnInstance(t *testing.T) {
	dir := write(t, map[string]string{"app.py": hello})
	r := start(t, Config{Command: []string{"/usr/bin/gunicorn", "-w", "2", "--threads", "2", "app:app"}, Dir: dir})
	if got := r.Slots(); got != 4 {
		t.Fatalf("%d slots, want 4", got)
	}
	pid := r.State().PID
	syscall.Kill(pid, syscall.SIGKILL)
	eventually(t, "another serves", func() bool {
		if got := r.Slots(); got != 4 {
			t.Errorf("%d slots meanwhile, want 4", got)
			return true
		}
		s := r.State()
		return s.Name == Ready && s.PID != pid
	})
}

// A slow instance gets half as many requests at a time, and others all.
func TestARelievedInstanceGetsHalf(t *testing.T) {
	for _, c := range []struct{ processes, threads, want, relieved int }{
		{4, 1, 8, 6}, {1, 4, 8, 6}, {2, 3, 12, 9}, {1, 1, 2, 2}, {0, 3, 6, 4},
	} {
		a := &App{history: newHistory()}
		for range 2 {
			p := &place{app: a}
			p.binding.Store(&binding{processes: c.processes, threads: c.threads})
			a.history.accept(p)
		}
		if got := a.Slots(); got != c.want {
			t.Errorf("%d × %d: got %d, want %d", c.processes, c.threads, got, c.want)
		}
		a.history.places[0].relieved.Store(true)
		if got := a.Slots(); got != c.relieved {
			t.Errorf("%d × %d, one relieved: got %d, want %d", c.processes, c.threads, got, c.relieved)
		}
	}
}
