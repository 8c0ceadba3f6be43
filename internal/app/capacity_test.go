package app

import (
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
