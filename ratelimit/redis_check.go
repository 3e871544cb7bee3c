package ratelimit

// What is wrong with a Redis that is to keep quotas, said once when the proxy
// starts on it. INFO tells all of it: CONFIG is forbidden on most managed ones.

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A finding is one thing that a person should know of the store.
type finding struct {
	grave bool // it can hand out quota that was used, or refuse to work
	what  string
	do    string
}

// clockOff is how far the server's clock may be from ours: windows turn by the
// server's, and what the proxy tells its clients by both.
const clockOff = 2 * time.Second

// oldest is the first version whose scripts replicate what they did instead of
// being run again, and that has the options used here.
var oldest = [2]int{6, 2}

func (s *Redis) inspect(ctx context.Context) []finding {
	look := func(ctx context.Context, c redis.Cmdable) []finding {
		start := s.wall()
		at, err := c.Time(ctx).Result()
		end := s.wall()
		found := readServer(ctx, c, s.replicas)
		if err == nil {
			// It answered some time in between.
			if off := max(at.Sub(end), start.Sub(at)); off > clockOff {
				found = append(found, finding{true, fmt.Sprintf("its clock and this computer's are %v apart", off.Round(100*time.Millisecond)), "set the clocks right: days begin by the server's"})
			}
		}
		return found
	}
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return look(ctx, s.client)
	}
	var mu sync.Mutex
	said := map[string]bool{}
	var all []finding
	_ = cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		found := look(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		for _, f := range found {
			if !said[f.what] {
				said[f.what] = true
				all = append(all, f)
			}
		}
		return nil
	})
	return all
}

// readServer looks at what one server says of itself.
func readServer(ctx context.Context, c redis.Cmdable, wantsReplica bool) []finding {
	var found []finding
	fields := map[string]string{}
	for _, section := range []string{"server", "memory", "persistence", "replication"} {
		text, err := c.Info(ctx, section).Result()
		if err != nil {
			found = append(found, finding{false, "it does not tell its " + section + ": " + err.Error(), "see for yourself that it never evicts (noeviction) and keeps an append-only file"})
			continue
		}
		for line := range strings.Lines(text) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				fields[k] = v
			}
		}
	}
	// A field that is not there was not told, or is of a fork that has no such thing.
	if v, ok := fields["redis_version"]; ok && older(v) {
		found = append(found, finding{true, "it is version " + v, fmt.Sprintf("use %d.%d or newer, or Valkey", oldest[0], oldest[1])})
	}
	if v, ok := fields["maxmemory_policy"]; ok && v != "noeviction" {
		found = append(found, finding{true, "it deletes keys when its memory is full (maxmemory-policy " + v + "), and with them what was counted", "CONFIG SET maxmemory-policy noeviction"})
	}
	switch v, ok := fields["aof_enabled"]; {
	case ok && v == "0":
		found = append(found, finding{true, "it has no append-only file: a restart loses what was counted since its last snapshot", "CONFIG SET appendonly yes, with appendfsync everysec"})
	case fields["aof_last_write_status"] == "err":
		found = append(found, finding{true, "it cannot write its append-only file", "look at its disk and its log"})
	}
	if v, ok := fields["connected_slaves"]; wantsReplica && ok && v == "0" {
		found = append(found, finding{true, "it has no replica, and durability=replica waits for one", "connect a replica"})
	}
	return found
}

func older(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	return errA == nil && errB == nil && (a < oldest[0] || a == oldest[0] && b < oldest[1])
}
