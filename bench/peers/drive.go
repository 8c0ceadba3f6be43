package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// concurrency is the number of connections that each load keeps busy.
const concurrency = 64

// bodySize is the size of large bodies.
const bodySize = 1 << 20

// trip is one round's load on one proxy.
type trip struct {
	addr   string
	length time.Duration
	round  int // from 0; -1 warms up
}

// sample is what a load saw.
type sample struct {
	requests int
	wrong    int // answers of another kind than the scenario's
	elapsed  time.Duration
	p50, p99 time.Duration
}

// driver sends a scenario's load.
type driver func(context.Context, trip) (sample, error)

// wrk drives with wrk over kept connections; headers go with each request.
func wrk(scheme, target string, headers ...string) driver {
	return func(ctx context.Context, t trip) (sample, error) {
		args := []string{"-t1", "-c" + strconv.Itoa(concurrency), "-d" + seconds(t.length), "--latency"}
		for _, h := range headers {
			args = append(args, "-H", h)
		}
		out, err := exec.CommandContext(ctx, "wrk", append(args, scheme+"://"+t.addr+target)...).Output()
		if err != nil {
			return sample{}, fmt.Errorf("wrk: %w\n%s", err, out)
		}
		return parseWrk(out)
	}
}

// seconds is a length as wrk and h2load take it: whole, at least 1.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(d.Round(time.Second)/time.Second)))
}

// What wrk prints with --latency.
var (
	wrkTotal   = regexp.MustCompile(`(\d+) requests in ([\d.]+[a-z]+),`)
	wrkHalf    = regexp.MustCompile(`50%\s+([\d.]+[a-z]+)`)
	wrkMost    = regexp.MustCompile(`99%\s+([\d.]+[a-z]+)`)
	wrkOther   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkTimeout = regexp.MustCompile(`Socket errors: connect (\d+), read \d+, write \d+, timeout (\d+)`)
)

func parseWrk(out []byte) (sample, error) {
	var s sample
	total := wrkTotal.FindSubmatch(out)
	if total == nil {
		return s, fmt.Errorf("wrk: cannot read %q", out)
	}
	s.requests = number(total[1])
	var err error
	if s.elapsed, err = time.ParseDuration(string(total[2])); err != nil {
		return s, fmt.Errorf("wrk: %w", err)
	}
	for re, to := range map[*regexp.Regexp]*time.Duration{wrkHalf: &s.p50, wrkMost: &s.p99} {
		if m := re.FindSubmatch(out); m != nil {
			if *to, err = time.ParseDuration(string(m[1])); err != nil {
				return s, fmt.Errorf("wrk: %w", err)
			}
		}
	}
	if m := wrkOther.FindSubmatch(out); m != nil {
		s.wrong += number(m[1])
	}
	if m := wrkTimeout.FindSubmatch(out); m != nil {
		s.wrong += number(m[1]) + number(m[2])
	}
	return s, nil
}

// number is a run of digits that a pattern has found.
func number(digits []byte) int {
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		return 0
	}
	return n
}

// h2load drives over HTTP/2 without TLS: few connections, several streams each.
func h2load(target string) driver {
	return func(ctx context.Context, t trip) (sample, error) {
		dir, err := os.MkdirTemp("", "h2load-")
		if err != nil {
			return sample{}, err
		}
		defer os.RemoveAll(dir)
		log := filepath.Join(dir, "log")
		cmd := exec.CommandContext(ctx, "h2load", "-t1", "-c16", "-m4", "-D"+seconds(t.length), "--log-file="+log, "http://"+t.addr+target)
		start := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			return sample{}, fmt.Errorf("h2load: %w\n%s", err, out)
		}
		elapsed := time.Since(start)
		lines, err := os.ReadFile(log)
		if err != nil {
			return sample{}, err
		}
		s, err := parseH2load(lines)
		s.elapsed = elapsed
		return s, err
	}
}

// parseH2load reads h2load's log: start, status and microseconds of each request.
func parseH2load(log []byte) (sample, error) {
	var s sample
	var took []time.Duration
	for line := range bytes.Lines(log) {
		fields := bytes.Fields(line)
		if len(fields) < 3 {
			return s, fmt.Errorf("h2load: cannot read %q", line)
		}
		if number(fields[1]) != http.StatusOK {
			s.wrong++
		}
		took = append(took, time.Duration(number(fields[2]))*time.Microsecond)
	}
	slices.Sort(took)
	s.requests, s.p50, s.p99 = len(took), quantile(took, .5), quantile(took, .99)
	return s, nil
}

// quantile is that part of a sorted list; 0 of an empty one.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// ownLoad drives with a load that depends on the trip; wants are the answers
// that belong to the scenario, none for any.
func ownLoad(shape func(trip) load, wants ...int) driver {
	return func(ctx context.Context, t trip) (sample, error) {
		l := shape(t)
		l.addr, l.limit, l.workers = t.addr, t.length, concurrency
		got, err := l.run(ctx)
		if err != nil {
			return sample{}, err
		}
		s := sample{elapsed: got.elapsed, p50: quantile(got.latencies, .5), p99: quantile(got.latencies, .99)}
		for status, n := range got.answers {
			s.requests += n
			if len(wants) > 0 && !slices.Contains(wants, status) {
				s.wrong += n
			}
		}
		return s, nil
	}
}
