package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Memory is traded for speed: a proxy's heap is small and short-lived, and
// collecting it at four times its size instead of twice costs a tenth less CPU
// a request (bench/RESULTS.md). Above softMemory the collector works as hard as
// it must, so that a million tracked clients don't cost the same factor.
const (
	gcPercent  = 400
	softMemory = 512 << 20 // bytes
)

// tuneMemory leaves the runtime alone where the environment sets it.
func (c *cli) tuneMemory() {
	if c.getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if c.getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
}

// What a busy time leaves is given back once it is calm: by itself Go keeps as
// much as it had, and 10,000 idle WebSockets would cost us three times what they
// hold.
const (
	calmEvery = 10 * time.Second
	// calmWorth is the least memory that is worth a collection, in bytes.
	calmWorth = 16 << 20
	// calmShare is the part of it that may have been allocated since the last
	// look: more, and it would soon be taken again.
	calmShare = 4
)

// heapSample is what the runtime says of its memory, in bytes.
type heapSample struct {
	allocated uint64 // since the start
	held      uint64 // objects, dead ones too, and what is free but not given back
	live      uint64 // as the last collection found
}

// spare says whether giving back now is worth its work.
func (h heapSample) spare(before heapSample) bool {
	if h.held < h.live+calmWorth {
		return false
	}
	return h.allocated-before.allocated < (h.held-h.live)/calmShare
}

// giveBack returns memory to the system when it is calm, until ctx ends.
func giveBack(ctx context.Context) error {
	tick := time.NewTicker(calmEvery)
	defer tick.Stop()
	before := sampleHeap()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			now := sampleHeap()
			if now.spare(before) {
				debug.FreeOSMemory()
			}
			before = now
		}
	}
}

func sampleHeap() heapSample {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	of := func(i int) uint64 { return samples[i].Value.Uint64() }
	return heapSample{allocated: of(0), held: of(1) + of(2), live: of(3)}
}
