package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/flask2ban/flask2ban/internal/testbed"
)

// mustNotRestart is what looks like a fault to one signal alone, and is none.
var mustNotRestart = []test{
	{name: "40 SSE streams", calm: true, fault: streams(40)},
	{name: "2 SSE clients on two sync workers", calm: true, busy: true, fault: streams(2),
		// gunicorn itself ends a sync worker that streams for longer than its time-out.
		site: site{command: []string{"gunicorn", "--workers", "2", "--timeout", "0", "app:app"}}},
	{name: "an 8 s report, threaded=False, again and again", calm: true, site: unthreaded, fault: again(report)},
	{name: "a slow upload, threaded=False, again and again", calm: true, site: unthreaded, fault: again(slowUpload)},
	{name: "a slow reader, again and again", calm: true, fault: again(slowReader)},
	{name: "one stuck thread", calm: true, fault: stuck},
}

// streams holds n streams until the case ends. None may break off before.
func streams(n int) fault {
	return func(ctx context.Context, d *daemon) error {
		var all sync.WaitGroup
		broken := make([]error, n)
		for i := range n {
			all.Go(func() {
				err := d.get(ctx, "/events", i)
				if ctx.Err() == nil {
					broken[i] = fmt.Errorf("stream %d ended: %v", i, err)
				}
			})
		}
		all.Wait()
		d.tell("%d streams", n)
		return errors.Join(broken...)
	}
}

// stuck has one thread of the app wait for ever. Its client gets 504 some time,
// and goes.
func stuck(ctx context.Context, d *daemon) error {
	_ = d.get(ctx, "/deadlock?now=1", 0) // nobody could answer it
	<-ctx.Done()
	return nil
}

// again does something until the case ends.
func again(do fault) fault {
	return func(ctx context.Context, d *daemon) error {
		for n := 0; ; n++ {
			err := do(ctx, d)
			if ctx.Err() != nil {
				d.tell("done %d times", n)
				return nil
			}
			if err != nil {
				return fmt.Errorf("after %d times: %w", n, err)
			}
			testbed.Pause(ctx, 10*time.Second)
		}
	}
}

// report takes 8 s to be made.
func report(ctx context.Context, d *daemon) error { return d.get(ctx, "/sleep?s=8", 0) }

// slowUpload sends 20 KB at 1 KB/s.
func slowUpload(ctx context.Context, d *daemon) error {
	body, feed := io.Pipe()
	go func() {
		for range 20 {
			if _, err := feed.Write(make([]byte, 1000)); err != nil {
				return // the other end has gone, and says why
			}
			testbed.Pause(ctx, time.Second)
		}
		feed.Close()
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+d.Addr+"/upload", body)
	if err != nil {
		return err
	}
	req.ContentLength = 20000
	status, err := finish(from(net.IPv4(127, 78, 1, 1), 0).Do(req))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("PUT /upload: status %d", status)
	}
	return err
}

// slowReader takes an answer of 20 MB, the first MB of it at 20 KB/s.
func slowReader(ctx context.Context, d *daemon) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Addr+"/large", nil)
	if err != nil {
		return err
	}
	res, err := from(net.IPv4(127, 78, 1, 1), 0).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	part := make([]byte, 20<<10)
	for range 50 {
		if _, err := io.ReadFull(res.Body, part); err != nil {
			return err
		}
		testbed.Pause(ctx, time.Second)
	}
	rest, err := io.Copy(io.Discard, res.Body)
	if want := int64(largeSize - 50*len(part)); err == nil && rest != want {
		err = errors.New("GET /large: it is not whole")
	}
	return err
}

// largeSize is that of the app's /large.
const largeSize = 20 << 20
