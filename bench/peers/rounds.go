package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// measurement is one round of one peer in one scenario.
type measurement struct {
	rate     float64       // requests a second
	cpu      float64       // µs a request
	p50, p99 time.Duration // of an answer
	rss      int64         // bytes, of the proxy's processes
	wrong    int           // answers of another kind
}

// result is all rounds of one scenario, by peer.
type result struct {
	scenario scenario
	rounds   map[string][]measurement
}

// measureAll runs the chosen scenarios, one after the other.
func measureAll(ctx context.Context, o options, peers []*peer, out io.Writer) ([]result, error) {
	var chosen []scenario
	p := progress{out: out, began: time.Now()}
	for _, sc := range scenarios {
		if o.only.MatchString(sc.name) {
			chosen = append(chosen, sc)
			p.planned += time.Duration(len(able(peers, sc))) * (warmTime + time.Duration(o.rounds)*o.length)
		}
	}
	var results []result
	for i, sc := range chosen {
		fmt.Fprintf(out, "%2d/%d %s, %s left: ", i+1, len(chosen), sc.name, p.left(time.Now()))
		r, err := measure(ctx, o, sc, able(peers, sc), &p)
		fmt.Fprintln(out)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sc.name, err)
		}
		results = append(results, r)
	}
	fmt.Fprintf(out, "took %s\n", time.Since(p.began).Round(time.Second))
	return results, nil
}

// able are the peers that have a scenario's front.
func able(peers []*peer, sc scenario) []*peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p *peer) bool {
		_, ok := p.fronts[sc.front]
		return !ok
	})
}

// progress tells how far a run is. Work is told as the time that its load takes.
type progress struct {
	out           io.Writer
	began         time.Time
	planned, done time.Duration
}

// step notes work that is done.
func (p *progress) step(load time.Duration) {
	p.done += load
	fmt.Fprint(p.out, ".")
}

// left is how long the rest takes if it goes on as so far.
func (p *progress) left(now time.Time) time.Duration {
	left := p.planned - p.done
	if p.done > 0 {
		left = time.Duration(float64(left) * float64(now.Sub(p.began)) / float64(p.done))
	}
	return left.Round(time.Second)
}

// measure interleaves the rounds: each round takes every peer once, beginning
// with another one each time, so that what else the machine does hits all.
func measure(ctx context.Context, o options, sc scenario, able []*peer, tell *progress) (result, error) {
	r := result{scenario: sc, rounds: map[string][]measurement{}}
	for _, p := range able {
		if err := warmUp(ctx, sc, p); err != nil {
			return r, fmt.Errorf("%s: %w", p.name, err)
		}
		tell.step(warmTime)
	}
	for round := range o.rounds {
		for i := range able {
			p := able[(i+round)%len(able)]
			m, err := measureOnce(ctx, sc, p.fronts[sc.front], trip{p.fronts[sc.front].addr, o.length, round})
			if err != nil {
				return r, fmt.Errorf("%s: %w", p.name, err)
			}
			r.rounds[p.name] = append(r.rounds[p.name], m)
			tell.step(o.length)
		}
	}
	return r, nil
}

// warmTime is the load before the first round.
const warmTime = time.Second

func warmUp(ctx context.Context, sc scenario, p *peer) error {
	e := p.fronts[sc.front]
	if sc.prepare != nil {
		return sc.prepare(ctx, e)
	}
	_, err := sc.drive(ctx, trip{e.addr, warmTime, -1})
	return err
}

// measureOnce drives one peer and reads what its processes took meanwhile.
func measureOnce(ctx context.Context, sc scenario, e entrance, t trip) (measurement, error) {
	counted := func() taken {
		list := e.proxy()
		if sc.withApp {
			list = append(list, e.app()...)
		}
		return sum(list)
	}
	before := counted()
	s, err := sc.drive(ctx, t)
	if err != nil {
		return measurement{}, err
	}
	after := counted()
	if ctx.Err() != nil {
		return measurement{}, ctx.Err()
	}
	if s.requests == 0 {
		return measurement{}, errors.New("no request was answered")
	}
	n := float64(s.requests)
	return measurement{
		rate: n / s.elapsed.Seconds(),
		cpu:  float64((after.cpu-before.cpu)/time.Microsecond) / n,
		p50:  s.p50, p99: s.p99,
		rss:   sum(e.proxy()).rss,
		wrong: s.wrong,
	}, nil
}

// summary is the median of each figure, and the spread of the CPU.
type summary struct {
	measurement
	least, most float64 // CPU
}

func summarise(rounds []measurement) summary {
	s := summary{measurement: measurement{
		rate: median(rounds, func(m measurement) float64 { return m.rate }),
		cpu:  median(rounds, func(m measurement) float64 { return m.cpu }),
		p50:  time.Duration(median(rounds, func(m measurement) float64 { return float64(m.p50) })),
		p99:  time.Duration(median(rounds, func(m measurement) float64 { return float64(m.p99) })),
		rss:  int64(median(rounds, func(m measurement) float64 { return float64(m.rss) })),
	}}
	for i, m := range rounds {
		s.wrong += m.wrong
		if i == 0 {
			s.least, s.most = m.cpu, m.cpu
		}
		s.least, s.most = min(s.least, m.cpu), max(s.most, m.cpu)
	}
	return s
}

// median of one figure; 0 of none.
func median(rounds []measurement, of func(measurement) float64) float64 {
	if len(rounds) == 0 {
		return 0
	}
	values := make([]float64, len(rounds))
	for i, m := range rounds {
		values[i] = of(m)
	}
	slices.Sort(values)
	mid := len(values) / 2
	if len(values)%2 == 1 {
		return values[mid]
	}
	return (values[mid-1] + values[mid]) / 2
}
