package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/flask2ban/flask2ban/ban"
)

// Load calls the function for each client's record. A store that is away
// loads nothing: Follow tells the rest when it is back.
func (s *shared) Load(ctx context.Context, each func(ban.Record) error) error {
	if s.isAway() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan page, 1)
	failed := make(chan error, 1)
	go func() {
		defer close(pages)
		failed <- s.readAll(ctx, pages)
	}()
	var err error
	for p := range pages {
		if err == nil {
			if err = s.restore(p, each); err != nil {
				cancel()
			}
		}
	}
	if err != nil {
		return err
	}
	err = <-failed
	if err != nil && ctx.Err() == nil && !refused(err) {
		s.lost(err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("store %s: load: %w", s.name, s.hide(err))
	}
	return nil
}

// restore hands out a page of clients.
func (s *shared) restore(p page, each func(ban.Record) error) error {
	for _, c := range p.clients {
		s.learn(c)
		if r := c.record(s.instance); !r.Empty() || !r.Others.Empty() {
			if err := each(r); err != nil {
				return err
			}
		}
	}
	s.turn(p)
	return nil
}

// readAll reads all clients, a page ahead of who takes them. The clients of a
// page are asked for together with the list of the next: one round trip each.
// A script would need no list, and three times as long.
func (s *shared) readAll(ctx context.Context, pages chan<- page) error {
	epoch, err := s.client.Get(ctx, s.key("epoch")).Result()
	if err != nil && err != redis.Nil {
		return err
	}
	var list []redis.Z
	texts := texts{}
	for first := true; first || len(list) > 0; first = false {
		pipe := s.client.Pipeline()
		p := page{epoch: epoch}
		fields := make([]*redis.Cmd, len(list))
		for i, z := range list {
			fields[i] = pipe.Do(ctx, "hgetall", s.prefix+"client:"+z.Member.(string))
			p.next = int64(z.Score)
		}
		next := pipe.ZRangeByScoreWithScores(ctx, s.key("changes"), &redis.ZRangeBy{
			Min: "(" + strconv.FormatInt(p.next, 10), Max: "+inf", Count: redisPage,
		})
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		for i, z := range list {
			s.addTo(&p, z, fields[i], texts)
		}
		list = next.Val()
		select {
		case pages <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// addTo adds a client to a page, unless it can't be read.
func (s *shared) addTo(p *page, z redis.Z, fields *redis.Cmd, t texts) {
	values, err := fields.Slice()
	if err == nil {
		var c state
		if c, err = readFields(z.Member.(string), int64(z.Score), values, t); err == nil {
			p.clients = append(p.clients, c)
			return
		}
	}
	s.puzzled(err)
}
