package ratelimit

// News on Redis: one channel for a ledger (Pub/Sub, also behind Sentinel and in
// a Cluster, which passes it on to all its servers). A person's change is told
// after it; what ends a message is told by the script that ends it, with no
// call of its own, and only where somebody may wait for that.
//
// Who may not subscribe, or publish, works as well, and is told later.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// newsSilence is how long a connection may be silent before it is asked
	// whether it still is one, and how long that answer may take.
	newsSilence = 10 * time.Second
	newsAnswer  = 3 * time.Second
	// newsAgain is how long after a failure the next connection is tried.
	newsAgain = 500 * time.Millisecond
)

var _ Newsroom = (*Redis)(nil)

// told is news with the process that it comes from, which knows it already.
type told struct {
	By string `json:"by"`
	News
}

func (s *Redis) channel() string { return fmt.Sprint(s.prefix, ":news:", s.db) }

func (s *Redis) newsText(n News) []byte {
	text, err := json.Marshal(told{s.process, n})
	if err != nil { // there is nothing in it that could fail
		return nil
	}
	return text
}

// publish tells the other processes. What they do not hear they find out when
// what they hold is due, so an error is nobody's.
func (s *Redis) publish(ctx context.Context, n News) {
	_ = s.client.Publish(ctx, s.channel(), s.newsText(n)).Err()
}

// ending is what the script tells when it ends a reservation: the channel,
// whether also if nobody asked for the same message, and the news.
func (s *Redis) ending(t *ticket) []byte {
	if t.same == "" && len(t.places) == 0 {
		return nil
	}
	b := append([]byte(s.channel()), '\n', byte('0'+flag(len(t.places) > 0)), '\n')
	return append(b, s.newsText(News{Same: t.same, Places: t.places})...)
}

// Listen implements Newsroom.
func (s *Redis) Listen(ctx context.Context, hear func(News)) error {
	refused := false
	for {
		heard, err := s.subscribe(ctx, hear)
		if ctx.Err() != nil || s.closed.Load() {
			return nil
		}
		if heard {
			refused = false
			hear(News{Deaf: true})
		}
		var reply redis.Error
		if errors.As(err, &reply) && !refused {
			refused = true
			s.log.Warn("the redis server lets nobody subscribe: what another proxy, or a person, changes is noticed later here",
				"channel", s.channel(), "error", err, "do", "allow this user SUBSCRIBE and PUBLISH on the channel (ACL: +subscribe +publish &CHANNEL)")
		}
		again := time.NewTimer(newsAgain)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return nil
		}
	}
}

// subscribe listens on one connection until that ends.
func (s *Redis) subscribe(ctx context.Context, hear func(News)) (heard bool, err error) {
	on := s.client.Subscribe(ctx, s.channel())
	unhook := context.AfterFunc(ctx, func() { _ = on.Close() })
	defer func() {
		unhook()
		_ = on.Close()
	}()
	patience := newsAnswer
	for {
		got, err := on.ReceiveTimeout(ctx, patience)
		var late interface{ Timeout() bool }
		switch {
		case err == nil:
		case heard && patience == newsSilence && errors.As(err, &late) && late.Timeout():
			if err := on.Ping(ctx); err != nil {
				return heard, err
			}
			patience = newsAnswer
			continue
		default:
			return heard, err
		}
		patience = newsSilence
		switch m := got.(type) {
		case *redis.Subscription:
			heard = true
			hear(News{All: true})
		case *redis.Message:
			var n told
			if json.Unmarshal([]byte(m.Payload), &n) == nil && n.By != s.process {
				n.Deaf = false
				hear(n.News)
			}
		}
	}
}
