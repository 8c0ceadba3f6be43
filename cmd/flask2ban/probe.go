package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/flask2ban/flask2ban/internal/cmdline"
)

// Defaults of probe.
const (
	probeEvery   = time.Second
	probeTimeout = 5 * time.Second
	probeCount   = 10
	// probeBody is how much of an answer is read: enough to know that it
	// comes, whatever its size.
	probeBody = 1 << 20
)

// prober asks one URL again and again.
type prober struct {
	url            string
	every, timeout time.Duration
	// count is how many requests to send; 0 means until told to stop.
	count int
	quiet bool
	out   io.Writer
}

func (c *cli) probeCommand() *cobra.Command {
	p := prober{out: c.stdout}
	cmd := &cobra.Command{
		Use:   "probe URL",
		Short: "Ask a URL again and again, and print its availability and latency",
		Long: `An answer with a status below 500 counts as available; errors, time-outs and
5xx as not. The exit code is 1 where one request failed. Stop with Ctrl-C.

A certificate must be good: SSL_CERT_FILE names a file of authorities of your own.`,
		Example: cmdline.Example(
			"flask2ban probe http://127.0.0.1:8080/",
			"flask2ban probe https://example.org/health --every 100ms --count 0"),
		Args: cmdline.Arguments("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.url = args[0]
			if err := p.check(); err != nil {
				return err
			}
			return p.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.DurationVar(&p.every, "every", probeEvery, "pause between requests")
	f.DurationVar(&p.timeout, "timeout", probeTimeout, "how long one request may take")
	f.IntVarP(&p.count, "count", "n", probeCount, "how many requests; 0: until stopped")
	f.BoolVarP(&p.quiet, "quiet", "q", false, "print the summary alone")
	return cmd
}

func (p *prober) check() error {
	u, err := url.Parse(p.url)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return cmdline.Usagef("%q is no URL to ask: write http://127.0.0.1:8080/", p.url)
	case p.every <= 0 || p.timeout <= 0:
		return cmdline.Usagef("--every and --timeout must be above zero")
	case p.count < 0:
		return cmdline.Usagef("--count %d: must be 0 or more", p.count)
	}
	return nil
}

// run asks until the count is reached or ctx ends, and sums up.
func (p *prober) run(ctx context.Context) error {
	client := &http.Client{
		Timeout: p.timeout,
		// Each request connects anew, as a new visitor would.
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	var s probeSummary
	for n := 1; ; n++ {
		sample, ok := p.ask(ctx, client)
		if !ok {
			break
		}
		s.add(sample)
		if !p.quiet {
			fmt.Fprintln(p.out, sample)
		}
		if n == p.count || !waitTick(ctx, tick.C) {
			break
		}
	}
	s.write(p.out)
	if s.failed > 0 || len(s.samples) == 0 {
		return &cmdline.ExitError{Code: cmdline.Failed}
	}
	return nil
}

// waitTick is false where ctx ended first.
func waitTick(ctx context.Context, tick <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-tick:
		return true
	}
}

// ask sends one request; ok is false where it was cut short by ctx.
func (p *prober) ask(ctx context.Context, client *http.Client) (s probeSample, ok bool) {
	s.at = time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		s.err = err
		return s, true
	}
	req.Header.Set("User-Agent", "flask2ban-probe")
	resp, err := client.Do(req)
	if err == nil {
		s.status = resp.StatusCode
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, probeBody))
		resp.Body.Close()
	}
	s.took, s.err = time.Since(s.at), err
	return s, ctx.Err() == nil
}
