package ratelimit

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// TestCallersOfEveryMethodAtOnce is for the race detector, and ends with the
// books in balance.
func TestCallersOfEveryMethodAtOnce(t *testing.T) {
	eachStore(t, func(s *testStore) {
		ctx := context.Background()
		var sent [3]atomic.Int64
		var wg sync.WaitGroup
		for w := range 16 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(w), 3))
				for i := range 60 {
					n := rnd.IntN(3)
					id := fmt.Sprint(w, "-", i)
					d, err := s.Reserve(ctx, Request{ID: id, Account: fmt.Sprint("account", n), Claims: []Claim{
						lifetime("life", 1<<40), rolling("pair", 3, hour).by(fmt.Sprint(rnd.IntN(20))), pace("pace", 50).waiting(hour),
					}})
					switch {
					case err != nil:
					case d.Verdict == Go && i%3 == 0, d.Verdict == Booked && i%2 == 0:
						err = s.Cancel(ctx, id)
					case d.Verdict == Booked:
						s.clock.set(d.At)
						if d, err = s.Fire(ctx, id); err == nil && d.Verdict == Go {
							sent[n].Add(1)
							err = s.Keep(ctx, id)
						} else if err == nil {
							err = s.Cancel(ctx, id)
						}
					case d.Verdict == Go:
						sent[n].Add(1)
						err = s.Keep(ctx, id)
					}
					if err == nil && i%20 == 7 {
						_, err = s.Accounts(ctx)
					}
					if err == nil && i%20 == 9 {
						err = s.Pause(ctx, "someone else", &Hold{Until: t0 + int64(i)})
					}
					if err != nil {
						s.t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		for n := range sent {
			if u := s.look2(fmt.Sprint("account", n), lifetime("life", 1)).Uses[0]; u.Used != sent[n].Load() {
				s.t.Errorf("account %d: %d counted, %d sent", n, u.Used, sent[n].Load())
			}
		}
	})
}
