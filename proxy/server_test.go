package proxy

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestHTTP2BesideHTTP: who offers HTTP/2 to TLS clients speaks it, too, also
// where an address without TLS is served first.
func TestHTTP2BesideHTTP(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) })
	certified := httptest.NewTLSServer(hello)
	defer certified.Close()
	trusting := certified.Client().Transport.(*http.Transport).TLSClientConfig
	for range 10 { // the order of the two is the scheduler's
		s, err := Listen(ServerConfig{
			Listen: []string{"127.0.0.1:0"}, ListenTLS: []string{"127.0.0.1:0"},
			TLS: &tls.Config{Certificates: certified.TLS.Certificates},
		}, hello)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx) }()
		transport := &http.Transport{TLSClientConfig: trusting.Clone(), ForceAttemptHTTP2: true}
		res, err := (&http.Client{Transport: transport}).Get("https://" + s.listeners[1].Addr().String())
		if err != nil {
			t.Errorf("GET: %v", err)
		} else {
			res.Body.Close()
			if res.ProtoMajor != 2 {
				t.Errorf("answered in %s, want HTTP/2", res.Proto)
			}
		}
		transport.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}
