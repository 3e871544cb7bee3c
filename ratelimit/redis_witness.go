package ratelimit

// The Redis store as Guarded looks at it.

import (
	"context"

	"github.com/redis/go-redis/v9"
)

var _ witness = (*Redis)(nil)

func (s *Redis) generation() uint64 { return s.watch.generation() }

func (s *Redis) beat(ctx context.Context, replica string, ttl int64, settled string) (rollCall, error) {
	return s.watch.beat(ctx, s.client, s.prefix, replica, ttl, settled)
}

func (s *Redis) leave(ctx context.Context, replica string) error {
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.ZRem(ctx, rosterKey(s.prefix), replica)
		p.HDel(ctx, settledKey(s.prefix), replica)
		return nil
	})
	return err
}

func (s *Redis) mark(ctx context.Context, marker string, over bool) (string, error) {
	return writeMarker(ctx, s.client, s.prefix, marker, over)
}
