package main

// This file is envoyproxy/ratelimit: its own limiter code and its own client,
// as its service calls them, without the service around it.

import (
	"context"
	"fmt"
	"io"
	"math/rand"
	"time"

	pbcommon "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"github.com/envoyproxy/ratelimit/src/config"
	"github.com/envoyproxy/ratelimit/src/limiter"
	"github.com/envoyproxy/ratelimit/src/redis"
	"github.com/envoyproxy/ratelimit/src/settings"
	"github.com/envoyproxy/ratelimit/src/stats"
	"github.com/envoyproxy/ratelimit/src/utils"
	gostats "github.com/lyft/gostats"
	"github.com/sirupsen/logrus"
)

// An envoy counts each limit with INCRBY and EXPIRE, all of them in one
// pipeline: what is refused is counted all the same, and nothing can be given
// back.
type envoy struct {
	client redis.Client
	cache  limiter.RateLimitCache
	limits []*config.RateLimit
}

// newEnvoy uses the defaults that its settings give (a pool of connections, no
// local cache), and so many connections if that is not 0.
func newEnvoy(addr string, connections int) (e *envoy, err error) {
	defer caught(&err)
	logrus.SetOutput(io.Discard)
	s := settings.NewSettings()
	if connections == 0 {
		connections = s.RedisPoolSize
	}
	store := gostats.NewStore(gostats.NewNullSink(), false)
	manager := stats.NewStatManager(store, s)
	client := redis.NewClientImpl(store.Scope("redis_pool"), false, "", "tcp", s.RedisType, addr, connections,
		s.RedisPipelineWindow, s.RedisPipelineLimit, nil, false, nil, s.RedisTimeout, s.RedisPoolOnEmptyBehavior, "")
	e = &envoy{
		client: client,
		cache: redis.NewFixedRateLimitCacheImpl(client, nil, utils.NewTimeSourceImpl(),
			rand.New(utils.NewLockedSource(time.Now().Unix())), s.ExpirationJitterMaxSeconds, nil, s.NearLimitRatio,
			s.CacheKeyPrefix, manager, s.StopCacheKeyIncrementWhenOverlimit),
	}
	units := []pb.RateLimitResponse_RateLimit_Unit{
		pb.RateLimitResponse_RateLimit_DAY, pb.RateLimitResponse_RateLimit_WEEK, pb.RateLimitResponse_RateLimit_MONTH, pb.RateLimitResponse_RateLimit_HOUR,
	}
	for i := range maxLimits {
		name := fmt.Sprintf("limit_%d", i)
		e.limits = append(e.limits, config.NewRateLimit(1_000_000_000, units[i%len(units)], manager.NewStats(name), false, false, false, name, nil, false))
	}
	return e, nil
}

// caught makes an error of what its code throws.
func caught(err *error) {
	if thrown := recover(); thrown != nil {
		*err = fmt.Errorf("envoyproxy/ratelimit: %v", thrown)
	}
}

// take asks the first n limits of an account.
func (e *envoy) take(ctx context.Context, account string, n int) (err error) {
	defer caught(&err)
	request := &pb.RateLimitRequest{Domain: "bench", HitsAddend: 1, Descriptors: make([]*pbcommon.RateLimitDescriptor, n)}
	for i := range request.Descriptors {
		request.Descriptors[i] = &pbcommon.RateLimitDescriptor{Entries: []*pbcommon.RateLimitDescriptor_Entry{
			{Key: limitNames[i], Value: account},
		}}
	}
	for _, s := range e.cache.DoLimit(ctx, request, e.limits[:n]) {
		if s.Code != pb.RateLimitResponse_OK {
			return fmt.Errorf("envoyproxy/ratelimit: %v", s.Code)
		}
	}
	return nil
}

func (e *envoy) Close() error { return e.client.Close() }
