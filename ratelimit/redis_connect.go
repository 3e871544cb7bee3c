package ratelimit

// Connecting: one server, Sentinel or a Cluster, with bounds on time and on
// connections.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// The bounds, where the address does not give others. A store that is slow
// must not hold messages for long: see Guarded.
const (
	redisTimeout = 300 * time.Millisecond
	redisPool    = 64
	// redisRetries are safe: every call of the script may be repeated.
	redisRetries = 2
)

// An address is what an URL says beside what go-redis reads by itself.
type address struct {
	scheme string
	hosts  []string
	path   string // for Sentinel: the master's name
	query  url.Values
	user   *url.Userinfo
}

func parseAddress(raw string) (*address, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("it must look like redis://host:6379/0, rediss://…, unix://…, redis+sentinel://host1,host2/master or redis+cluster://host1,host2")
	}
	rest, query, _ := strings.Cut(rest, "?")
	a := &address{scheme: scheme}
	var err error
	if a.query, err = url.ParseQuery(query); err != nil {
		return nil, errors.New("its query cannot be read")
	}
	authority, path, _ := strings.Cut(rest, "/")
	a.path = path
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		u, err := url.Parse("redis://" + authority[:at+1] + "host")
		if err != nil {
			return nil, errors.New("its user or password cannot be read; write them with % escapes")
		}
		a.user, authority = u.User, authority[at+1:]
	}
	a.hosts = strings.Split(authority, ",")
	return a, nil
}

// one is the address of the host of that number, for go-redis to parse.
func (a *address) one(scheme, path string) string {
	u := url.URL{Scheme: scheme, User: a.user, Host: a.hosts[0], Path: "/" + path, RawQuery: a.query.Encode()}
	return u.String()
}

func (a *address) take(name string) string {
	v := a.query.Get(name)
	a.query.Del(name)
	return v
}

// go-redis writes to standard error by itself, beside the log and past its
// levels; what it would write there is in the errors of its calls.
var muted sync.Once

type mute struct{}

func (mute) Printf(context.Context, string, ...any) {}

// ErrAddress says that an address of a Redis cannot be understood.
var ErrAddress = errors.New("read the address of redis")

// connect makes the clients. It opens no connection yet.
func (s *Redis) connect(raw string) error {
	muted.Do(func() { redis.SetLogger(mute{}) })
	fail := func(err error) error {
		// The address has a password: the error says nothing of it.
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	a, err := parseAddress(raw)
	if err != nil {
		return fail(err)
	}
	switch d := a.take("durability"); d {
	case "":
	case "replica":
		s.replicas = true
	default:
		return fail(fmt.Errorf("durability is %q; it may be replica", d))
	}
	if p := a.take("prefix"); p != "" {
		s.prefix = p
	}
	tls := strings.HasPrefix(a.scheme, "rediss")
	scheme := "redis"
	if tls {
		scheme = "rediss"
	}
	switch strings.TrimPrefix(strings.TrimPrefix(a.scheme, "rediss"), "redis") {
	case "", "unix":
		base := a.one(a.scheme, a.path)
		if a.scheme == "unix" {
			base = (&url.URL{Scheme: "unix", User: a.user, Path: "/" + a.path, RawQuery: a.query.Encode()}).String()
		}
		o, err := redis.ParseURL(base)
		if err != nil {
			return fail(err)
		}
		s.bound(o)
		s.db = o.DB
		s.client = redis.NewClient(o)
		r := *o
		r.MaxRetries = -1
		s.ratesClient = redis.NewClient(&r)
	case "+sentinel":
		return s.connectSentinel(a, scheme, fail)
	case "+cluster":
		return s.connectCluster(a, scheme, fail)
	default:
		return fail(fmt.Errorf("its scheme %q is none of redis, rediss, unix, redis+sentinel, rediss+sentinel, redis+cluster, rediss+cluster", a.scheme))
	}
	return nil
}

// bound sets what the address left open.
func (s *Redis) bound(o *redis.Options) {
	if o.ReadTimeout == 0 {
		o.ReadTimeout = redisTimeout
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = redisTimeout
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = redisTimeout
	}
	if o.PoolTimeout == 0 {
		o.PoolTimeout = redisTimeout
	}
	if o.PoolSize == 0 {
		o.PoolSize = redisPool
	}
	if o.MaxRetries == 0 {
		o.MaxRetries = redisRetries
	}
	// A connection that is refused is told at once, as that: five attempts, as
	// go-redis makes them, take longer than a call may, and end as a time-out.
	if o.DialerRetries == 0 {
		o.DialerRetries = 1
	}
	o.MaxRetryBackoff = 50 * time.Millisecond
	o.ContextTimeoutEnabled = true
	o.OnConnect = s.watch.connected
}

func (s *Redis) connectSentinel(a *address, scheme string, fail func(error) error) error {
	user, password := a.take("sentinel_user"), a.take("sentinel_password")
	master, db, _ := strings.Cut(a.path, "/")
	if master == "" {
		return fail(errors.New("it names no master: redis+sentinel://host1,host2,host3/mymaster/0"))
	}
	o, err := redis.ParseURL(a.one(scheme, db))
	if err != nil {
		return fail(err)
	}
	s.bound(o)
	f := &redis.FailoverOptions{
		MasterName: master, SentinelAddrs: withPort(a.hosts, "26379"), SentinelUsername: user, SentinelPassword: password,
		Username: o.Username, Password: o.Password, DB: o.DB, Protocol: o.Protocol, ClientName: o.ClientName,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout, MinIdleConns: o.MinIdleConns,
		MaxIdleConns: o.MaxIdleConns, ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		TLSConfig: o.TLSConfig, OnConnect: o.OnConnect,
	}
	s.db = f.DB
	s.client = redis.NewFailoverClient(f)
	r := *f
	r.MaxRetries = -1
	s.ratesClient = redis.NewFailoverClient(&r)
	return nil
}

func (s *Redis) connectCluster(a *address, scheme string, fail func(error) error) error {
	if strings.Trim(a.path, "/0") != "" {
		return fail(errors.New("a Cluster has no databases but 0"))
	}
	o, err := redis.ParseURL(a.one(scheme, ""))
	if err != nil {
		return fail(err)
	}
	s.bound(o)
	c := &redis.ClusterOptions{
		Addrs: withPort(a.hosts, "6379"), Username: o.Username, Password: o.Password, Protocol: o.Protocol, ClientName: o.ClientName,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
		DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, ContextTimeoutEnabled: true,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout, MinIdleConns: o.MinIdleConns,
		MaxIdleConns: o.MaxIdleConns, ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
		TLSConfig: o.TLSConfig, OnConnect: o.OnConnect,
	}
	s.cluster = true
	s.client = redis.NewClusterClient(c)
	r := *c
	r.MaxRetries = -1
	s.ratesClient = redis.NewClusterClient(&r)
	return nil
}

func withPort(hosts []string, port string) []string {
	list := make([]string, len(hosts))
	for i, h := range hosts {
		if list[i] = h; !strings.Contains(h, ":") || strings.HasSuffix(h, "]") {
			list[i] = h + ":" + port
		}
	}
	return list
}

// ErrNoReplica says that what was charged is on the master alone.
var ErrNoReplica = errors.New("no replica has confirmed it in time; it is charged, and a failover now may forget it")

// confirmed is how long a replica has to confirm (ms).
const confirmed = 100

// evalAndWait sends the script's call and a WAIT behind it, together.
func (s *Redis) evalAndWait(ctx context.Context, keys []string, args []any) (string, error) {
	client := redis.Cmdable(s.client)
	if c, ok := s.client.(*redis.ClusterClient); ok {
		master, err := c.MasterForKey(ctx, keys[0])
		if err != nil {
			return "", fmt.Errorf("find the master: %w", err)
		}
		client = master
	}
	for loaded := false; ; loaded = true {
		var done *redis.Cmd
		var got *redis.Cmd
		_, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			done = s.script.EvalSha(ctx, p, keys, args...)
			got = p.Do(ctx, "WAIT", 1, confirmed)
			return nil
		})
		if redis.HasErrorPrefix(done.Err(), "NOSCRIPT") && !loaded {
			if err := s.script.Load(ctx, client).Err(); err != nil {
				return "", fmt.Errorf("load the script: %w", err)
			}
			continue
		}
		text, evalErr := done.Text()
		if evalErr != nil {
			return "", evalErr
		}
		if n, waitErr := got.Int(); waitErr != nil || n < 1 {
			s.log.Error("no replica has confirmed a charge in time", "err", err)
			return text, ErrNoReplica
		}
		return text, nil
	}
}
