package app

import (
	"sync"
	"testing"
	"time"
)

// TestAnUploadMayOutliveItsRequest: an app that answers early has us leave while
// its client's body is still being read.
func TestAnUploadMayOutliveItsRequest(t *testing.T) {
	all := newTraffic()
	p := &place{app: &App{traffic: all}}
	for range 200 {
		f := &Flight{ID: "x", Method: "POST", Route: "/"}
		all.enter(f, p, time.Now())
		var body sync.WaitGroup
		body.Go(func() {
			f.AwaitsClient(true)
			f.AwaitsClient(false)
		})
		all.leave(f)
		body.Wait()
	}
	if all.first != nil || len(all.byID) > 0 || p.flights != 0 {
		t.Errorf("%d flights are left", p.flights)
	}
}
