package store

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/flask2ban/flask2ban/ban"
)

// The layout in Redis or Valkey, each name after the prefix ("flask2ban", or
// what ?prefix= says) and the layout's version, as in
// {flask2ban:1}:client:192.0.2.1/32. Every key has a time to live. The braces
// keep all keys in one slot of a cluster.
//
//	client:PREFIX  hash   gen: how many decisions there were (bans, ends of bans)
//	                      at:  when the last one was made, Unix microseconds
//	                      ban: the last ban, while it is remembered
//	                      i:INSTANCE: what one instance has counted since then:
//	                      until when it matters (Unix milliseconds), a space,
//	                      the record in the encoding of this package
//	changes        zset   clients by the sequence number of their last change
//	expiry         zset   clients by when their key ends, so that changes shrink
//	seq            string the last sequence number
//	epoch          string made with the first record: another one means that
//	                      everything was deleted meanwhile
//	news           channel each decision, as it is made
//
// Each instance writes only its own contribution, so that nothing is counted
// twice however often it is saved. What is contributed to a generation that is
// over is refused: the evidence was spent on a ban, or forgiven.
const redisLayout = "1"

const (
	// redisTimeout bounds each dial, write and read: as long a server that
	// hangs can keep the one goroutine that saves, never a request.
	redisTimeout = 2 * time.Second
	// redisConnections is enough for saving, reading and listening.
	redisConnections = 4
	// redisChunk is how many records one script call saves: some ten thousand
	// commands, a few milliseconds in which the server does nothing else.
	redisChunk = 256
	// redisPage is how many clients one call reads.
	redisPage = 1000
	// tombstone is how long the end of a ban is remembered at least, for those
	// who were away.
	tombstone = time.Hour
	// endless bounds a record that doesn't say how long it matters.
	endless = 24 * time.Hour
)

//go:embed redis_save.lua
var redisSave string

//go:embed redis_read.lua
var redisRead string

// shared keeps records in Redis, for several instances at once.
type shared struct {
	client     *redis.Client
	save, read *redis.Script
	instance   string // this process
	prefix     string
	name       string // the URL without its password
	secret     string
	log        *slog.Logger
	once       sync.Once // guards the warning of puzzled

	// mu is held while news are given to the follower, so that none overtakes
	// a later one. No command is sent meanwhile.
	mu       sync.Mutex
	follower ban.Follower
	known    map[netip.Prefix]mark
	last     int64 // the sequence up to which changes are known
	epoch    string
	away     bool
}

// mark is what is known of a client's state in Redis.
type mark struct {
	gen, seq int64
	at       int64 // of the last decision, in microseconds
	banned   bool
	expires  time.Time
}

var _ ban.Shared = (*shared)(nil)

// quiet keeps go-redis from writing to standard error: what matters comes back
// as an error.
var quiet = sync.OnceFunc(logging.Disable)

// openRedis connects. A server that can't be reached is waited for while the
// engine runs; one that refuses us is an error.
func openRedis(ctx context.Context, spec string, o options) (ban.Store, error) {
	quiet()
	s, err := newShared(spec)
	if err != nil {
		return nil, err
	}
	s.log = o.log
	err = s.client.Ping(ctx).Err()
	switch {
	case err == nil:
		return s, nil
	case refused(err):
		return nil, errors.Join(fmt.Errorf("store %s: %w; check user, password and database number", s.name, s.hide(err)), s.client.Close())
	case ctx.Err() != nil:
		return nil, errors.Join(fmt.Errorf("store %s: %w", s.name, ctx.Err()), s.client.Close())
	}
	s.lost(err)
	return s, nil
}

// newShared reads the URL; it connects with the first command.
func newShared(spec string) (*shared, error) {
	u, err := url.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("store %s: not a URL such as redis://:password@127.0.0.1:6379/0", redacted(spec))
	}
	query := u.Query()
	prefix := query.Get("prefix")
	query.Del("prefix")
	u.RawQuery = query.Encode()
	options, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", redacted(spec), err)
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = redisTimeout, redisTimeout, redisTimeout
	options.Protocol = 2
	options.MaxRetries, options.DialerRetries, options.PoolSize = -1, 1, redisConnections
	options.ContextTimeoutEnabled, options.DisableIdentity = true, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if prefix == "" {
		prefix = "flask2ban"
	}
	return &shared{
		client: redis.NewClient(options), save: redis.NewScript(redisSave), read: redis.NewScript(redisRead),
		instance: strings.ToLower(rand.Text()[:12]), prefix: "{" + prefix + ":" + redisLayout + "}:",
		name: redacted(spec), secret: options.Password, log: slog.Default(), known: map[netip.Prefix]mark{},
	}, nil
}

// redacted is a URL without its password; what is no URL loses all that could
// be one.
func redacted(spec string) string {
	if u, err := url.Parse(spec); err == nil {
		return u.Redacted()
	}
	scheme, rest, _ := strings.Cut(spec, "://")
	return scheme + "://xxxxx" + rest[max(0, strings.LastIndexByte(rest, '@')):]
}

// hide takes the password out of an error, in case a server repeats it.
func (s *shared) hide(err error) error {
	if err == nil || s.secret == "" || !strings.Contains(err.Error(), s.secret) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), s.secret, "xxxxx"))
}

// refused says that the server is there, and that waiting won't help.
func refused(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !redis.IsLoadingError(err) && !redis.IsMasterDownError(err)
}

func (s *shared) key(name string) string { return s.prefix + name }

func (s *shared) clientKey(p netip.Prefix) string { return s.prefix + "client:" + p.String() }

// Save keeps what this instance knows beside what others do, in one round
// trip. After an error some of it may be saved; saving it again is harmless.
func (s *shared) Save(ctx context.Context, records []ban.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.isAway() {
		return fmt.Errorf("store %s: %w", s.name, ban.ErrAway)
	}
	replies, err := s.send(ctx, records)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		if err = s.save.Load(ctx, s.client).Err(); err == nil {
			replies, err = s.send(ctx, records)
		}
	}
	if errors.Is(err, errEpoch) {
		if err = s.catchUp(ctx); err == nil {
			replies, err = s.send(ctx, records)
		}
	}
	if err == nil {
		return s.settle(records, replies)
	}
	if ctx.Err() == nil && !refused(err) && s.followed() {
		s.lost(err)
		err = fmt.Errorf("%w: %w", ban.ErrAway, err)
	}
	return fmt.Errorf("store %s: %w", s.name, s.hide(err))
}

// followed says whether someone waits for a server that is away.
func (s *shared) followed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.follower != nil
}

// send runs the saving script for all records, in chunks sent together.
func (s *shared) send(ctx context.Context, records []ban.Record) (replies []any, err error) {
	pipe := s.client.Pipeline()
	var calls []*redis.Cmd
	for part := records; len(part) > 0; part = part[min(len(part), redisChunk):] {
		keys, args := s.call(part[:min(len(part), redisChunk)])
		calls = append(calls, pipe.EvalSha(ctx, s.save.Hash(), keys, args...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	for _, c := range calls {
		part, err := c.Slice()
		if err != nil {
			return nil, err
		}
		if len(part) == 1 {
			return nil, errEpoch
		}
		if len(part) == 0 || !s.begun(part[len(part)-1]) {
			return nil, errReply
		}
		replies = append(replies, part[:len(part)-1]...)
	}
	return replies, nil
}

// Close ends the use of the server.
func (s *shared) Close() error { return s.client.Close() }
