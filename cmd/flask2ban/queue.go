package main

import (
	"github.com/flask2ban/flask2ban/internal/overview"
	"github.com/flask2ban/flask2ban/proxy"
)

// queue says how many requests the app gets at a time: what the operator said,
// else what its server says, else what is found out.
func (s *service) queue() proxy.QueueConfig {
	c := proxy.QueueConfig{Wait: s.config.QueueWait}
	switch n := s.config.AppConcurrency; {
	case n > 0:
		c.Slots = func() int { return n }
	case n == 0 && s.app != nil:
		c.Slots, c.Work = s.app.Slots, s.app.Work().Used
	}
	return c
}

// busy is how busy the app is.
func (s *service) busy() overview.Queue {
	load := s.proxy.Load()
	q := overview.Queue{Limit: load.Limit, InFlight: load.InFlight, Held: load.Held, Waiting: map[string]int{}, LongestWaitSeconds: load.LongestWait.Seconds()}
	for class, n := range s.proxy.ClassDepths() {
		if n > 0 {
			q.Waiting[class.String()] = n
		}
	}
	return q
}
