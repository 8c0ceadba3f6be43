package store

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/flask2ban/flask2ban/ban"
)

const (
	// reconcileEvery is how often changes are read, whatever was heard: so
	// late does a decision come at most whose message was lost.
	reconcileEvery = 500 * time.Millisecond
	// knockEvery is how often a server that is away is tried.
	knockEvery = 250 * time.Millisecond
	// listenFor is how long nothing may be heard before the connection is
	// tried.
	listenFor = 10 * time.Second
	// pruneEvery is how often what is known of clients is cleared of those
	// whose time is over.
	pruneEvery = time.Minute
)

// Follow listens for decisions and reads changes until ctx ends.
func (s *shared) Follow(ctx context.Context, f ban.Follower) error {
	s.mu.Lock()
	s.follower = f
	s.mu.Unlock()
	var listening sync.WaitGroup
	listening.Go(func() { s.listen(ctx) })
	s.reconcile(ctx)
	listening.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follower = nil
	return nil
}

// reconcile reads changes again and again.
func (s *shared) reconcile(ctx context.Context) {
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	for {
		pause := reconcileEvery
		if err := s.catchUp(ctx); err == nil {
			s.back()
		} else if ctx.Err() == nil {
			s.lost(err)
			pause = knockEvery
		}
		select {
		case <-ctx.Done():
			return
		case now := <-prune.C:
			s.prune(now)
		case <-time.After(pause):
		}
	}
}

// catchUp reads all that has changed since the last time.
func (s *shared) catchUp(ctx context.Context) error {
	common := texts{}
	for {
		page, err := s.page(ctx, common)
		if err != nil {
			return err
		}
		if s.replaced(page) {
			continue // read it all from the beginning
		}
		for _, c := range page.clients {
			s.tell(c)
		}
		if !s.turn(page) {
			return nil
		}
	}
}

// page is a part of the changes.
type page struct {
	epoch   string
	seq     int64 // the server's last
	next    int64 // up to which the page goes
	full    bool  // there may be more
	clients []state
}

// page reads the changes after the last sequence known.
func (s *shared) page(ctx context.Context, t texts) (page, error) {
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	keys := []string{s.key("seq"), s.key("changes"), s.key("epoch")}
	values, err := s.read.Run(ctx, s.client, keys, last, redisPage, s.prefix+"client:").Slice()
	if err != nil {
		return page{}, err
	}
	if len(values) < 2 {
		return page{}, errReply
	}
	p := page{next: last, full: len(values) == redisPage+2}
	p.epoch, _ = values[0].(string)
	p.seq, _ = values[1].(int64)
	for _, v := range values[2:] {
		fields, _ := v.([]any)
		c, err := readState(fields, t)
		if err != nil {
			s.puzzled(err)
		}
		p.next = max(p.next, c.seq)
		if err == nil {
			p.clients = append(p.clients, c)
		}
	}
	return p, nil
}

// turn notes that a page was read, and says whether there is another.
func (s *shared) turn(p page) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, p.next)
	if p.epoch != "" {
		s.epoch = p.epoch
	}
	return p.full
}

// replaced says that the server has other data than it had: everything was
// deleted, or it came back with what it had earlier. Then all must be read,
// and all that is known here be saved again.
func (s *shared) replaced(p page) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	emptied := s.epoch != "" && p.epoch != s.epoch
	if !emptied && p.seq >= s.last {
		return false
	}
	if len(s.known) > 0 { // else its time was over
		s.log.Warn("redis has lost what it had: this instance's bans are saved there again", slog.String("store", s.name))
	}
	for client, m := range s.known {
		m.seq = 0
		s.known[client] = m
	}
	if emptied {
		clear(s.known) // generations begin anew
	}
	s.last, s.epoch = 0, p.epoch
	if s.follower != nil {
		s.follower.SaveAgain()
	}
	return true
}

// begun notes the epoch of a save or message where none is known. It returns
// false for those of another one.
func (s *shared) begun(epoch any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _ := epoch.(string)
	if s.epoch == "" {
		s.epoch = name
	}
	return name == s.epoch
}

// learn notes a client's state.
func (s *shared) learn(c state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[c.client] = c.mark()
}

func (c *state) mark() mark {
	return mark{gen: c.gen, seq: c.seq, at: c.at, banned: c.ban != nil, expires: later(c.expires, time.Now().Add(tombstone))}
}

// tell gives a client's state to the engine, unless it is what this instance
// has made it, or older than what it knows.
func (s *shared) tell(c state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.known[c.client]
	if c.gen < was.gen || c.gen == was.gen && c.seq <= was.seq || s.follower == nil {
		return
	}
	s.known[c.client] = c.mark()
	s.follower.Take(time.Now(), ban.News{Record: c.record(s.instance), Decided: c.gen > was.gen})
}

// settle takes in what the server answered to a save: who was overruled, and
// what others have.
func (s *shared) settle(records []ban.Record, replies []any) error {
	if len(replies) != len(records) {
		return fmt.Errorf("store %s: %w", s.name, errReply)
	}
	texts := texts{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range records {
		c, overruled, err := readReply(r, replies[i], texts)
		if err != nil {
			s.puzzled(fmt.Errorf("client %s: %w", r.Client, err))
		} else if !r.Forgotten {
			s.answer(r, c, overruled)
		}
	}
	return nil
}

// answer gives the engine what a save of its record has brought.
func (s *shared) answer(r ban.Record, c state, overruled bool) {
	was := s.known[c.client]
	if c.gen < was.gen {
		return // news have overtaken it
	}
	if !overruled {
		c.seen(r)
	}
	s.known[c.client] = c.mark()
	if s.follower != nil {
		s.follower.Take(time.Now(), ban.News{Record: c.record(s.instance), Decided: overruled && c.gen > was.gen, Answer: true})
	}
}

// seen adds the record's own ban to the state that it was saved into.
func (c *state) seen(r ban.Record) {
	if r.Ban != nil {
		own := decisionOf(r)
		c.ban, c.expires = &own, later(c.expires, expiry(time.Time{}, r))
	}
}

// readReply reads the script's answer for one record.
func readReply(r ban.Record, reply any, t texts) (c state, overruled bool, err error) {
	values, _ := reply.([]any)
	if len(values) < 5 {
		return state{}, false, errReply
	}
	c.client = r.Client
	c.gen, _ = values[0].(int64)
	c.seq, _ = values[1].(int64)
	n, _ := values[2].(int64)
	at, _ := values[3].(string)
	c.at = number(at)
	if data, _ := values[4].(string); data != "" {
		err = c.decide(data, t)
	}
	for _, v := range values[5:] {
		if data, _ := v.(string); err == nil {
			err = c.contribute("", data, t)
		}
	}
	return c, n == 1, err
}

// prune forgets clients whose keys have ended.
func (s *shared) prune(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for client, m := range s.known {
		if now.After(m.expires) {
			delete(s.known, client)
		}
	}
}

// listen hears decisions as they are made. What it misses is read by
// reconcile.
func (s *shared) listen(ctx context.Context) {
	for ctx.Err() == nil {
		s.hear(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(knockEvery):
		}
	}
}

// hear listens on one connection until it fails.
func (s *shared) hear(ctx context.Context) {
	channel := s.client.Subscribe(ctx, s.key("news"))
	defer channel.Close() // reconcile tells of errors
	defer context.AfterFunc(ctx, func() { channel.Close() })()
	silent := false
	for {
		message, err := channel.ReceiveTimeout(ctx, listenFor)
		switch m := message.(type) {
		case *redis.Message:
			s.heard(m.Payload)
		}
		if err == nil {
			silent = false
			continue
		}
		if silent || ctx.Err() != nil || channel.Ping(ctx) != nil {
			return
		}
		silent = true // one answer to the ping is awaited
	}
}

// heard takes in a decision: epoch, instance, sequence, generation, when it was made,
// until when it matters, client, ban.
func (s *shared) heard(message string) {
	epoch, message, _ := strings.Cut(message, " ")
	f := strings.SplitN(message, " ", 7)
	if len(f) < 7 || f[0] == s.instance || !s.begun(epoch) {
		return
	}
	client, err := netip.ParsePrefix(f[5])
	if err != nil {
		return
	}
	c := state{client: client, seq: number(f[1]), gen: number(f[2]), at: number(f[3]), expires: time.UnixMilli(number(f[4]))}
	if f[6] != "" && c.decide(f[6], texts{}) != nil {
		return // reconcile tells
	}
	s.tell(c)
}

// puzzled tells, once, of data that this version can't read. It is left alone.
func (s *shared) puzzled(err error) {
	s.once.Do(func() {
		s.log.Warn("redis has records that this flask2ban can't read; they are left alone, and no more is said of others",
			slog.String("store", s.name), slog.Any("error", s.hide(err)))
	})
}

func (s *shared) isAway() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}

// lost notes that the server can't be reached, and says so the first time.
func (s *shared) lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return
	}
	s.away = true
	s.log.Warn("redis can't be used: this instance decides alone until it is back",
		slog.String("store", s.name), slog.Any("error", s.hide(err)))
}

// back notes that the server answers again. What was decided meanwhile is
// saved then.
func (s *shared) back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.away {
		return
	}
	s.away = false
	s.log.Info("redis is back: bans are shared again", slog.String("store", s.name))
	s.follower.SaveAgain()
}
