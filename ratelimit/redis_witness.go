package ratelimit

// The Redis store as Guarded looks at it.

import (
	"context"

	"github.com/redis/go-redis/v9"
)

var _ witness = (*Redis)(nil)

func (s *Redis) generation() uint64 { return s.watch.generation() }

func (s *Redis) beat(ctx context.Context, replica string, ttl int64, settled string) (rollCall, error) {
	roll, err := s.watch.beat(ctx, s.client, s.prefix, replica, ttl, settled)
	if err == nil {
		if was := s.marker.Swap(&roll.Marker); was != nil && *was != roll.Marker {
			s.names.Purge() // it has forgotten what stands for what
		}
	}
	return roll, err
}

func (s *Redis) leave(ctx context.Context, replica string) error {
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, rosterKey(s.prefix), replica)
		p.HDel(ctx, settledKey(s.prefix), replica)
		return nil
	})
	return err
}

func (s *Redis) mark(ctx context.Context, marker, was string) (string, error) {
	s.names.Purge() // it may have forgotten what stands for what
	return writeMarker(ctx, s.client, s.prefix, marker, was)
}

// cancelOf gives back what a note says, whoever reserved it.
func (s *Redis) cancelOf(ctx context.Context, n *note) error {
	cancel := func(account, id string) error {
		c := &redisCall{verb: "cancel", names: []string{account}, id: id, rest: tokened(id, "")}
		if !n.Back {
			c.verb, c.rest = "cancelItems", withItems(c.rest, n.Items)
		}
		_, err := s.run(ctx, c)
		return err
	}
	if s.cluster {
		for _, scope := range n.Scopes {
			if err := cancel(scope, scoped(n.ID, scope)); err != nil {
				return err
			}
		}
	}
	return cancel(n.Account, n.ID)
}
