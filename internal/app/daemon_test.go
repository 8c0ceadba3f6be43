package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// insecure takes an app's ad-hoc certificate, as the proxy does on loopback.
var insecure = &http.Client{
	Timeout: patience,
	Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// daemon is flask2ban in short: it serves one script and prints when it is
// ready, for tests that kill the process.
func daemon(script string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	a, err := New(Config{App: script, Python: python, Output: os.Stderr, StopTimeout: 5 * time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	go func() {
		if err := a.Wait(ctx); err != nil {
			fmt.Println("failed", err)
			return
		}
		fmt.Println("ready", a.Addr(), a.State().PID)
	}()
	if err := a.Serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
