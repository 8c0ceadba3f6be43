package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// delivery is how messages get to the receiver.
type delivery struct {
	client *http.Client
	// wait is the pause after the first failure, twice as long after each
	// further one up to waitMost; after patience a message is given up.
	wait, waitMost, patience time.Duration
}

const (
	// tryFor bounds one attempt, farewell what is tried at the end in all.
	tryFor   = 10 * time.Second
	farewell = 2 * time.Second
	// readAnswer is how much of an answer is read, in bytes.
	readAnswer = 4 << 10
)

func newDelivery() delivery {
	return delivery{
		client: &http.Client{
			Timeout: tryFor,
			// A webhook that moved is a mistake to be mended, not followed: the
			// new place might be anywhere, inside our network too.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		wait: time.Second, waitMost: time.Minute, patience: 10 * time.Minute,
	}
}

// Serve delivers until ctx ends; then it tries for farewell to get rid of the
// rest.
func (n *Notifier) Serve(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.pileUp(ctx)
	}()
	for {
		select {
		case <-ctx.Done():
			<-ended
			n.sayGoodbye(ctx)
			return nil
		case m := <-n.queue:
			n.deliver(ctx, m)
		}
	}
}

func (n *Notifier) pileUp(ctx context.Context) {
	tick := time.NewTicker(pileEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			n.collect(time.Now(), true)
			return
		case now := <-tick.C:
			n.collect(now, false)
		}
	}
}

func (n *Notifier) sayGoodbye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	for {
		select {
		case m := <-n.queue:
			if err := n.post(ctx, m); err != nil {
				n.config.Log.Error("a notification was not delivered", "event", m.Event, "receiver", n.host, "error", err)
			}
		default:
			return
		}
	}
}

// deliver tries until the receiver has the message, or it is given up.
func (n *Notifier) deliver(ctx context.Context, m Message) {
	began, wait := time.Now(), n.delivery.wait
	m.Lost = int(n.lost.Load())
	for attempt := 1; ; attempt++ {
		err := n.post(ctx, m)
		var final *refusal
		switch {
		case err == nil:
			n.lost.Add(-int64(m.Lost))
			return
		case ctx.Err() != nil:
			return
		case errors.As(err, &final) && final.final(), time.Since(began)+wait > n.delivery.patience:
			n.lost.Add(1)
			n.config.Log.Error("a notification is given up", "event", m.Event, "receiver", n.host, "attempts", attempt, "error", err)
			return
		case attempt == 1:
			n.config.Log.Warn("a notification was not taken; it is tried again", "event", m.Event, "receiver", n.host, "error", err)
		}
		pause := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		wait = min(2*wait, n.delivery.waitMost)
	}
}

// refusal is an answer other than 2xx.
type refusal struct{ status int }

func (r *refusal) Error() string {
	text := fmt.Sprintf("it answered %d %s", r.status, http.StatusText(r.status))
	if r.status/100 == 3 {
		text += ": redirects aren't followed; set notify to the URL where it is now"
	}
	return text
}

// final says that the same message would be refused again.
func (r *refusal) final() bool {
	return r.status < http.StatusInternalServerError && r.status != http.StatusRequestTimeout && r.status != http.StatusTooManyRequests
}

// post makes one attempt. Its errors don't name the URL.
func (n *Notifier) post(ctx context.Context, m Message) error {
	body, err := render(n.body, m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.config.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("the URL is not valid")
	}
	req.Header.Set("User-Agent", "flask2ban")
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	if json.Valid(body) {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := n.delivery.client.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return err
	}
	defer res.Body.Close()
	// So much is read for the connection to be used again, and no more.
	_, _ = io.CopyN(io.Discard, res.Body, readAnswer)
	if res.StatusCode/100 != 2 {
		return &refusal{res.StatusCode}
	}
	return nil
}
