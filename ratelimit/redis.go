package ratelimit

// The Redis store: one script decides and charges, in one call for each
// reservation, on one server, behind Sentinel or in a Cluster. Any number of
// processes share it. docs/ledger.md tells how its keys look.

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/redis/go-redis/v9"
)

// RedisOptions are what a Redis store is opened with.
type RedisOptions struct {
	Options
	// KeyID names the key by which accounts and recipients are hashed. All
	// that share a Redis must have the same, or each would count by itself.
	KeyID string
	// Prefix begins every key; "" is q1. Whoever has another prefix has
	// another ledger.
	Prefix string

	// argumentClock takes the time from Options.Now, for tests.
	argumentClock bool
}

const defaultPrefix = "q1"

// redisNames bounds how many aliases a process remembers the accounts of.
const redisNames = 100_000

// Redis is a Store in Redis.
type Redis struct {
	client      redis.UniversalClient
	ratesClient redis.UniversalClient
	script      *redis.Script
	log         *slog.Logger
	wall        func() time.Time
	prefix      string
	db          int
	cluster     bool
	replicas    bool // wait for a replica: durability=replica
	tested      bool // the clock is the caller's
	watch       serverWatch

	process string // begins the tokens of this process
	calls   atomic.Uint64
	names   *lru.Cache[string, string] // alias → account
	mu      sync.Mutex
	open    map[string]*ticket
	closed  atomic.Bool
	lagging atomic.Bool
	marker  atomic.Pointer[string] // that the last beat has seen
	ordinal *atomic.Int64          // for tests
}

var _ Store = (*Redis)(nil)

// A ticket is what this process knows of a reservation that it made.
type ticket struct {
	home    string // the account under which its record lies
	account string
	token   string
	booked  bool
	leased  bool // it has leases, or a number that others may repeat: Keep tells
	same    string
	places  []Place // that it has and others may wait for
	scopes  []string
	replace string   // the token of a Replace whose end nobody knows
	parts   []string // on a Cluster: the scopes that have reservations of their own
	kept    Decision // on a Cluster: what a booking was answered
}

// OpenRedis opens the store that an address names:
//
//	redis://user:password@host:6379/0      rediss:// with TLS, unix:// a socket
//	redis+sentinel://host1,host2,host3/master/0
//	redis+cluster://host1,host2,host3
//
// with go-redis's options as query (pool_size, read_timeout, …), and
// durability=replica to answer only after a replica has it as well.
func OpenRedis(ctx context.Context, rawURL string, o RedisOptions) (*Redis, error) {
	o.Options = o.withDefaults()
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	clock := ""
	if o.argumentClock {
		clock = argumentClock
	}
	script, err := newScript(clock)
	if err != nil {
		return nil, err
	}
	names, err := lru.New[string, string](redisNames)
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	process := make([]byte, 8)
	if _, err := rand.Read(process); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	s := &Redis{
		script: script, log: o.Log, wall: o.Now, prefix: o.Prefix, tested: o.argumentClock,
		process: hex.EncodeToString(process), names: names, open: map[string]*ticket{}, ordinal: &testOrdinal,
	}
	s.watch.another = names.Purge
	if err := s.connect(rawURL); err != nil {
		return nil, err
	}
	if err := s.agree(ctx, o.KeyID); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// testOrdinal orders what tests book, among all their stores.
var testOrdinal atomic.Int64

// ErrKey says that others hash by another key in the same Redis.
var ErrKey = errors.New("this Redis was counted in under another hash key: give all that share it the same QUOTAGATE_HASH_KEY_FILE, or another database or prefix")

// agree compares the hash key with that of those who were here before.
func (s *Redis) agree(ctx context.Context, keyID string) error {
	if keyID == "" {
		return nil
	}
	key := s.prefix + ":meta"
	if err := s.client.SetNX(ctx, key, keyID, 0).Err(); err != nil {
		return fmt.Errorf("open redis: %w", err)
	}
	was, err := s.client.Get(ctx, key).Result()
	if err != nil {
		return fmt.Errorf("open redis: %w", err)
	}
	if was != keyID {
		return fmt.Errorf("open redis: key %s… instead of %s…: %w", keyID[:min(8, len(keyID))], was[:min(8, len(was))], ErrKey)
	}
	return nil
}

// Rates returns the rates that are counted in the same Redis.
func (s *Redis) Rates() Rates { return newRedisRates(s.ratesClient) }

// Close implements Store.
func (s *Redis) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	return errors.Join(s.client.Close(), s.ratesClient.Close())
}

// tag is the part of a key by which a Cluster finds its slot.
func tag(account string) string {
	if strings.ContainsAny(account, "{}%") {
		account = strings.NewReplacer("%", "%25", "{", "%7b", "}", "%7d").Replace(account)
	}
	return "{" + account + "}"
}

func (s *Redis) keys(names []string, home, id string) []string {
	keys := make([]string, 0, 2*len(names)+1)
	for _, n := range names {
		base := s.prefix + ":" + tag(n)
		keys = append(keys, base+":a", base+":q")
	}
	return append(keys, s.prefix+":"+tag(home)+":i:"+id)
}

// token names one incarnation of a reservation: a repetition of a call that
// comes late is told from another reservation of the same id.
func (s *Redis) token() string {
	return s.process + strconv.FormatUint(s.calls.Add(1), 36)
}

// A redisCall is one verb of the script.
type redisCall struct {
	verb  string
	names []string // the account first
	more  int      // so many after it are scopes and services, the rest aliases
	home  string   // "" is the account's
	id    string
	rest  func(c *redisCall, b []byte) []byte // the header after the names
	body  []byte
	told  map[string]string // holds of services on other servers
	quick []string          // see redis_quick.go
}

// run carries a call out, on the account that its first name stands for.
func (s *Redis) run(ctx context.Context, c *redisCall) (scriptReply, error) {
	if s.closed.Load() {
		return scriptReply{}, ErrClosed
	}
	if name, ok := s.names.Get(c.names[0]); ok {
		c.names[0] = name
	}
	generation := s.watch.generation()
	for range maxHops {
		r, err := s.once(ctx, c)
		if err != nil {
			return r, err
		}
		switch r.what {
		case 'm', 'n', 'N':
			r.body = unescape(r.body)
		}
		switch r.what {
		case 'm': // the account stands for another
			if err := s.finishMove(ctx, c.names[0], r.body); err != nil {
				return r, err
			}
			if c.home == "" && c.verb != "reserve" {
				c.home = c.names[0]
			}
			s.learn(c.names[0], r.body, generation)
			c.names[0] = r.body
		case 'n': // a scope's counters are among what is to be given back
			if s.cluster {
				if err := s.askHolds(ctx, c, r.body); err != nil {
					return r, err
				}
				continue
			}
			c.names = slices.Insert(c.names, 1+c.more, r.body)
			c.more++
		case 'N': // an alias stands for one that is not among the keys
			c.names = append(c.names, r.body)
		default:
			s.note(&r)
			return r, nil
		}
	}
	return scriptReply{}, fmt.Errorf("%s %q: its aliases go round in a circle: %w", c.verb, c.names[0], ErrCorrupt)
}

func (s *Redis) once(ctx context.Context, c *redisCall) (scriptReply, error) {
	head := append(c.rest(c, appendTexts(append(make([]byte, 0, 256), '['), escaped(c.names))), ']')
	quick := c.quick
	if c.verb != "reserve" || len(c.names) > 1 || len(c.told) > 0 {
		quick = nil // only a request of this account alone goes that way
	}
	args := make([]any, 0, 7+len(quick))
	args = append(args, c.verb, head, c.body, toldOf(c.told))
	for i := range quick {
		args = append(args, &quick[i])
	}
	if quick == nil {
		args = append(args, "")
	}
	if s.tested {
		args = append(args, s.wall().UnixMilli(), s.ordinal.Add(1))
	}
	home := c.home
	if home == "" {
		home = c.names[0]
	}
	text, err := s.eval(ctx, s.keys(c.names, home, c.id), args)
	if err != nil {
		return scriptReply{}, fmt.Errorf("%s in redis: %w", c.verb, err)
	}
	return readReply(text)
}

func (s *Redis) eval(ctx context.Context, keys []string, args []any) (string, error) {
	if s.replicas {
		return s.evalAndWait(ctx, keys, args)
	}
	return s.script.Run(ctx, s.client, keys, args...).Text()
}

// lagTold is by how much the server's clock may lie behind an account's before
// that is reported (ms): more than clocks are put right by.
const lagTold = 2000

// note reports a server whose clock lies behind what it has counted.
func (s *Redis) note(r *scriptReply) {
	behind := r.lag > lagTold
	if s.lagging.Swap(behind) != behind && behind {
		s.log.Warn("the clock of the redis server went back; the time of its accounts stands still until it has caught up",
			"behind", time.Duration(r.lag)*time.Millisecond, "ledger_time", time.UnixMilli(r.now).UTC())
	}
}
