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
	var results []result
	for _, sc := range scenarios {
		if !o.only.MatchString(sc.name) {
			continue
		}
		fmt.Fprintf(out, "\n%s: ", sc.name)
		r, err := measure(ctx, o, sc, peers, out)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", sc.name, err)
		}
		results = append(results, r)
	}
	fmt.Fprintln(out)
	return results, nil
}

// measure interleaves the rounds: each round takes every peer once, beginning
// with another one each time, so that what else the machine does hits all.
func measure(ctx context.Context, o options, sc scenario, peers []*peer, out io.Writer) (result, error) {
	r := result{scenario: sc, rounds: map[string][]measurement{}}
	var able []*peer
	for _, p := range peers {
		if _, ok := p.fronts[sc.front]; ok {
			able = append(able, p)
		}
	}
	for _, p := range able {
		if err := warmUp(ctx, sc, p); err != nil {
			return r, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for round := range o.rounds {
		for i := range able {
			p := able[(i+round)%len(able)]
			m, err := measureOnce(ctx, sc, p.fronts[sc.front], trip{p.fronts[sc.front].addr, o.length, round})
			if err != nil {
				return r, fmt.Errorf("%s: %w", p.name, err)
			}
			r.rounds[p.name] = append(r.rounds[p.name], m)
			fmt.Fprint(out, ".")
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
