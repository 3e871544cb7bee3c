package ratelimit

// Whether the Redis behind a store is still the one that it was. Redis may
// lose writes that it acknowledged: a replica that is promoted has not yet
// received them, a server that starts again has not yet synced them to disk or
// has no disk. None of that shows in an answer. It shows in the identity of
// the server on the next connection (run_id and master_replid of INFO:
// https://redis.io/docs/latest/commands/info/, read 2026-11-20), and in a
// marker key that a store without its data does not have.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// A serverWatch knows the servers that a client has met. The zero value works.
type serverWatch struct {
	mu    sync.Mutex
	known map[string]bool
	gen   atomic.Uint64
	// another is called after a server was met that was not known.
	another func()
}

// generation grows whenever a master is met that was not known.
func (w *serverWatch) generation() uint64 { return w.gen.Load() }

// connected is for a client's OnConnect: it looks at the server before the
// connection is used for anything else, so that generation has grown before a
// new master answers. A server that does not let INFO be asked is not told
// apart from another; the marker is.
func (w *serverWatch) connected(ctx context.Context, c *redis.Conn) error {
	id, err := identity(ctx, c)
	if err != nil {
		return err
	}
	w.note(id)
	return nil
}

func (w *serverWatch) note(id string) {
	if id == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known[id] {
		return
	}
	if w.known == nil {
		w.known = map[string]bool{}
	}
	w.known[id] = true
	w.gen.Add(1)
	if w.another != nil {
		w.another()
	}
}

// identity names one life of one master: it changes when the server starts
// again and when a replica is promoted, even one that was master before. It is
// "" for a replica or a Sentinel, and where INFO is not allowed.
func identity(ctx context.Context, c redis.Cmdable) (string, error) {
	fields := map[string]string{}
	for _, section := range []string{"server", "replication"} { // 6.2 takes one at a time
		text, err := c.Info(ctx, section).Result()
		var reply redis.Error
		if errors.As(err, &reply) && (redis.HasErrorPrefix(err, "NOPERM") || strings.HasPrefix(reply.Error(), "ERR ") || strings.HasPrefix(reply.Error(), "section ")) {
			return "", nil // not allowed, or a server that has no INFO
		} else if err != nil {
			return "", fmt.Errorf("ask the redis server which one it is: %w", err)
		}
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				fields[k] = v
			}
		}
	}
	if fields["role"] != "master" {
		return "", nil
	}
	return fields["run_id"] + "/" + fields["master_replid"], nil
}

// A rollCall is what one beat learned.
type rollCall struct {
	Now      int64             // the server's clock (ms)
	State    string            // the masters, as every replica of the proxy sees them
	Marker   string            // "" if it is missing on any part of the store
	Replicas []string          // those that were heard of lately, this one too
	Settled  map[string]string // the State for which each of them has replayed what it sent
}

// The keys of the roster share a slot, on whatever master that is.
func rosterKey(prefix string) string  { return prefix + ":{quotagate}:replicas" }
func settledKey(prefix string) string { return prefix + ":{quotagate}:settled" }
func markerKey(prefix string) string  { return prefix + ":{quotagate}:marker" }

// callRoll writes this replica down by the server's clock and reads the others.
// Being a write, it is also the proof that the server takes writes.
var callRoll = redis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ARGV[2]))) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
-- Of a time when the clock was wrong.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. (now + ARGV[2]), '+inf')) do
  redis.call('ZREM', KEYS[1], gone)
  redis.call('HDEL', KEYS[2], gone)
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return {string.format('%.0f', now), redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('HGETALL', KEYS[2])}`)

// beat announces a replica, which is forgotten after ttl milliseconds without
// one, together with the state for which it is settled.
func (w *serverWatch) beat(ctx context.Context, c redis.UniversalClient, prefix, replica string, ttl int64, settled string) (rollCall, error) {
	var r rollCall
	var err error
	if r.State, err = w.masters(ctx, c); err != nil {
		return r, err
	}
	answer, err := callRoll.Run(ctx, c, []string{rosterKey(prefix), settledKey(prefix)}, replica, ttl, settled).Slice()
	if err != nil {
		return r, fmt.Errorf("announce this replica: %w", err)
	}
	if len(answer) == 3 {
		_, err = fmt.Sscan(fmt.Sprint(answer[0]), &r.Now)
		r.Replicas = texts(answer[1])
		r.Settled = map[string]string{}
		for pair := range slices.Chunk(texts(answer[2]), 2) {
			r.Settled[pair[0]] = pair[len(pair)-1]
		}
	}
	if len(answer) != 3 || err != nil {
		return r, errors.New("announce this replica: the answer cannot be read")
	}
	r.Marker, err = readMarker(ctx, c, prefix)
	return r, err
}

// masters looks at all masters and names them together.
func (w *serverWatch) masters(ctx context.Context, c redis.UniversalClient) (string, error) {
	cluster, ok := c.(*redis.ClusterClient)
	if !ok {
		id, err := identity(ctx, c)
		w.note(id)
		return id, err
	}
	var mu sync.Mutex
	ids := map[string]bool{}
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		id, err := identity(ctx, c)
		w.note(id)
		mu.Lock()
		ids[id] = true
		mu.Unlock()
		return err
	})
	return strings.Join(slices.Sorted(maps.Keys(ids)), " "), err
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = fmt.Sprint(e)
	}
	return out
}
