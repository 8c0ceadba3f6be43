package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestMemoryIsGivenBackWhenCalm(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name        string
		before, now heapSample
		want        bool
	}{
		{"after a flood", heapSample{allocated: 500 * mib}, heapSample{allocated: 501 * mib, held: 300 * mib, live: 60 * mib}, true},
		{"in it", heapSample{allocated: 100 * mib}, heapSample{allocated: 500 * mib, held: 300 * mib, live: 60 * mib}, false},
		{"little to gain", heapSample{allocated: 500 * mib}, heapSample{allocated: 500 * mib, held: 75 * mib, live: 60 * mib}, false},
		{"grown since the last collection", heapSample{}, heapSample{allocated: 40 * mib, held: 50 * mib, live: 60 * mib}, false},
		{"a trickle", heapSample{allocated: 500 * mib}, heapSample{allocated: 505 * mib, held: 100 * mib, live: 60 * mib}, true},
	}
	for _, tt := range tests {
		if got := tt.now.spare(tt.before); got != tt.want {
			t.Errorf("%s: spare = %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestHeapSample: the runtime's own figures say what the decision is made of.
func TestHeapSample(t *testing.T) {
	debug.FreeOSMemory()
	before := sampleHeap()
	garbage := make([][]byte, 40)
	for i := range garbage {
		garbage[i] = make([]byte, 1<<20)
	}
	now := sampleHeap()
	runtime.KeepAlive(garbage)
	if got := now.allocated - before.allocated; got < 40<<20 {
		t.Errorf("allocated %d bytes, want at least %d", got, 40<<20)
	}
	if now.held < 40<<20 {
		t.Errorf("%d bytes held, want at least %d", now.held, 40<<20)
	}
	debug.FreeOSMemory()
	if after := sampleHeap(); after.held > after.live+calmWorth {
		t.Errorf("%d bytes held after all was given back, %d live", after.held, after.live)
	}
}
