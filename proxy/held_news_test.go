package proxy_test

import (
	"context"

	"quotagate/ratelimit"
)

// A newsroom is a store that others share, whose news a test tells.
type newsroom struct {
	ratelimit.Store
	tell chan ratelimit.News
}

func (n *newsroom) Listen(ctx context.Context, hear func(ratelimit.News)) error {
	for {
		select {
		case news := <-n.tell:
			hear(news)
		case <-ctx.Done():
			return nil
		}
	}
}
