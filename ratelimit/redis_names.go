package ratelimit

// The names of accounts in Redis.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Resolve implements Store.
func (s *Redis) Resolve(ctx context.Context, identities []string) (string, error) {
	if err := s.enter(ctx); err != nil || len(identities) == 0 {
		return "", err
	}
	if name, ok := s.names.Get(identities[0]); ok {
		identities = []string{name} // it may have come to stand for another since
	}
	generation := s.watch.generation()
	for _, id := range identities {
		name, known := id, false
		for range maxHops {
			got, err := s.client.HMGet(ctx, s.prefix+":"+tag(name)+":a", "n", "l").Result()
			if err != nil {
				return "", fmt.Errorf("resolve in redis: %w", err)
			}
			if got[0] == nil {
				break
			}
			known = true
			next, alias := got[1].(string)
			if !alias {
				break
			}
			next = unescape(next)
			if err := s.finishMove(ctx, name, next); err != nil {
				return "", err
			}
			name = next
		}
		if known {
			if name != id {
				s.learn(id, name, generation)
			}
			return name, nil
		}
	}
	return identities[0], nil
}

// learn remembers what an alias stands for, unless another server has taken
// over since it was asked: that one may not know it.
func (s *Redis) learn(alias, account string, generation uint64) {
	if s.watch.generation() == generation {
		s.names.Add(alias, account)
	}
}

// Accounts implements Store. It walks through all keys, a thousand at a time.
func (s *Redis) Accounts(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	var names []string
	err := s.eachAccount(ctx, func(name string) error {
		names = append(names, name)
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// eachAccount calls f for every account, without aliases.
func (s *Redis) eachAccount(ctx context.Context, f func(name string) error) error {
	return s.eachName(ctx, func(name string, alias bool) error {
		if alias {
			return nil
		}
		return f(name)
	})
}

// eachName calls f for every account and alias, some of them twice.
func (s *Redis) eachName(ctx context.Context, f func(name string, alias bool) error) error {
	walk := func(ctx context.Context, c redis.Cmdable) error {
		var cursor uint64
		for {
			keys, next, err := c.Scan(ctx, cursor, globbed(s.prefix)+":{*}:a", 1000).Result()
			if err != nil {
				return fmt.Errorf("list the accounts in redis: %w", err)
			}
			var aliases []*redis.BoolCmd
			_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, k := range keys {
					aliases = append(aliases, p.HExists(ctx, k, "l"))
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("list the accounts in redis: %w", err)
			}
			for i, k := range keys {
				name := k[len(s.prefix)+2 : len(k)-len("}:a")]
				if err := f(strings.NewReplacer("%25", "%", "%7b", "{", "%7d", "}").Replace(name), aliases[i].Val()); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if c, ok := s.client.(*redis.ClusterClient); ok {
		turn := make(chan struct{}, 1) // one master at a time
		return c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error {
			turn <- struct{}{}
			defer func() { <-turn }()
			return walk(ctx, m)
		})
	}
	return walk(ctx, s.client)
}

func globbed(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(s)
}
