package proxy

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"sync/atomic"
	"testing"
)

// TestResetWithinHints: the clients of an app that sends many hints leave at the first
// over HTTP/2, while the next are being encoded: nobody may write to what is encoded
// (with -race; else it is the process that ends).
func TestResetWithinHints(t *testing.T) {
	t.Parallel()
	g := newRig(t, func(w http.ResponseWriter, r *http.Request) {
		for n := range 50 {
			for field := range 30 {
				w.Header().Set(fmt.Sprintf("X-Hint-%d", field), fmt.Sprint(n))
			}
			w.WriteHeader(http.StatusEarlyHints)
		}
		<-r.Context().Done()
	}, nil)
	front := httptest.NewUnstartedServer(g.handler)
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(front.Close)
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for range 40 {
				ctx, leave := context.WithCancel(t.Context())
				var hinted atomic.Bool
				r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
					Got1xxResponse: func(int, textproto.MIMEHeader) error {
						hinted.Store(true)
						leave()
						return nil
					},
				}), "GET", front.URL+"/", nil)
				if err != nil {
					t.Error(err)
				}
				if res, err := front.Client().Do(r); err == nil {
					res.Body.Close()
				}
				leave()
				if !hinted.Load() {
					t.Error("no hint has come")
				}
			}
		})
	}
	clients.Wait()
}
