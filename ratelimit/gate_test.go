package ratelimit

// Who waits at the gate, how long, and in which order. Time is synctest's.

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts how often Rates were asked, and may fail.
type counted struct {
	Rates
	asked atomic.Int64
	fail  func() error
}

func (c *counted) Take(ctx context.Context, r Rate, n int64) (time.Duration, bool, error) {
	c.asked.Add(1)
	if c.fail != nil {
		if err := c.fail(); err != nil {
			return 0, false, err
		}
	}
	return c.Rates.Take(ctx, r, n)
}

func newGate() (*Gate, *counted) {
	c := &counted{Rates: NewLocalRates(Options{})}
	return &Gate{Rates: c}, c
}

// perSecond lets one through every second after the first.
func perSecond(wait time.Duration) Rate {
	return Rate{Limit: "second", Key: "second", N: 1, Per: second, Wait: wait.Milliseconds()}
}

// mustBeEmpty fails if somebody is still in line.
func mustBeEmpty(t *testing.T, g *Gate) {
	t.Helper()
	if len(g.lines) != 0 {
		t.Errorf("%d lines are left", len(g.lines))
	}
}

func TestGateLetsThroughInTheOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, rates := newGate()
		const n = 40
		start := time.Now()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				p, err := g.Wait(t.Context(), []Rate{perSecond(time.Minute)})
				if err != nil || p.Limit != "" {
					t.Errorf("%d: %+v, %v", i, p, err)
				}
				mu.Lock()
				defer mu.Unlock()
				order = append(order, i)
				if late := time.Since(start) - time.Duration(i)*time.Second; late < 0 || late > 2*time.Millisecond {
					t.Errorf("%d went %v after its turn", i, late)
				}
			})
			synctest.Wait() // in line, before the next arrives
		}
		wg.Wait()
		for i, got := range order {
			if i != got {
				t.Fatalf("they went through as %v", order)
			}
		}
		if asked := rates.asked.Load(); asked > n+2 {
			t.Errorf("asked %d times for %d requests", asked, n)
		}
		mustBeEmpty(t, g)
	})
}

func TestGateRefusesAtOnceWhoCanNotMakeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		start := time.Now()
		var wg sync.WaitGroup
		for range 4 { // now, and 1, 2, 3 s later
			wg.Go(func() {
				if p, err := g.Wait(t.Context(), []Rate{perSecond(10 * time.Second)}); err != nil || p.Limit != "" {
					t.Errorf("%+v, %v", p, err)
				}
			})
			synctest.Wait()
		}
		for _, wait := range []time.Duration{0, 3900 * time.Millisecond} {
			p, err := g.Wait(t.Context(), []Rate{perSecond(wait)})
			if err != nil || p.Limit != "second" || !time.Now().Equal(start) {
				t.Errorf("%+v, %v, after %v", p, err, time.Since(start))
			}
			if at := p.RetryAt.Sub(start); at < 4*time.Second || at > 4*time.Second+time.Millisecond {
				t.Errorf("there is room in %v, for the fifth", at)
			}
		}
		// Those who were refused hold nobody up.
		p, err := g.Wait(t.Context(), []Rate{perSecond(4100 * time.Millisecond)})
		if err != nil || p.Limit != "" || time.Since(start) > 4*time.Second+2*time.Millisecond {
			t.Errorf("%+v, %v, after %v", p, err, time.Since(start))
		}
		wg.Wait()
		mustBeEmpty(t, g)
	})
}

func TestGateAsksOneRateAfterAnotherAndGivesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		ctx := t.Context()
		wide := Rate{Limit: "wide", Key: "wide", N: 2, Per: hour}
		narrow := Rate{Limit: "narrow", Key: "narrow", N: 1, Per: hour}
		for i, want := range []string{"", "narrow", "wide"} {
			if p, err := g.Wait(ctx, []Rate{wide, narrow}); err != nil || p.Limit != want {
				t.Errorf("%d: %+v, %v; want %q", i, p, err, want)
			}
		}
		none := Rate{Limit: "none", Key: "none", Per: hour, Wait: hour}
		if p, err := g.Wait(ctx, []Rate{none}); err != nil || p.Limit != "none" || !p.RetryAt.IsZero() {
			t.Errorf("%+v, %v", p, err)
		}
		mustBeEmpty(t, g)
	})
}

func TestGateNeverHoldsLongerThanEachRatesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		start := time.Now()
		a, b := perSecond(1500*time.Millisecond), perSecond(1500*time.Millisecond)
		b.Key, b.Limit, b.Per = "b", "b", 2*second
		for range 2 {
			if _, err := g.Wait(t.Context(), []Rate{b}); err != nil { // b: at 0 and never within 1.5 s
				t.Fatal(err)
			}
		}
		if _, err := g.Wait(t.Context(), []Rate{a}); err != nil {
			t.Fatal(err)
		}
		p, err := g.Wait(t.Context(), []Rate{a, b}) // a after 1 s; b 1 s more: 2 s in all
		if err != nil || p.Limit != "b" || time.Since(start) > 1100*time.Millisecond {
			t.Errorf("%+v, %v, after %v", p, err, time.Since(start))
		}
	})
}

func TestGateFreesThePlaceOfWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		if _, err := g.Wait(t.Context(), []Rate{perSecond(0)}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		gone := errors.New("gone")
		went := make([]time.Duration, 4)
		leave := make([]context.CancelCauseFunc, 4)
		var wg sync.WaitGroup
		for i := range went {
			ctx, cancel := context.WithCancelCause(t.Context())
			leave[i] = cancel
			wg.Go(func() {
				_, err := g.Wait(ctx, []Rate{perSecond(time.Minute)})
				if went[i] = time.Since(start).Truncate(10 * time.Millisecond); err != nil {
					went[i] = -1
					if !errors.Is(err, gone) {
						t.Error(err)
					}
				}
			})
			synctest.Wait()
		}
		leave[0](gone) // the head, asleep
		leave[2](gone) // one behind it
		wg.Wait()
		if want := []time.Duration{-1, time.Second, -1, 2 * time.Second}; !reflect.DeepEqual(went, want) {
			t.Errorf("they went after %v, want %v", went, want)
		}
		for _, cancel := range leave {
			cancel(nil)
		}
		mustBeEmpty(t, g)
	})
}

func TestGateTellsTheWholeLineThatTheCounterFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, rates := newGate()
		broken := errors.New("broken")
		var down atomic.Bool
		rates.fail = func() error {
			if down.Load() {
				<-time.After(300 * time.Millisecond) // a time-out
				return broken
			}
			return nil
		}
		if _, err := g.Wait(t.Context(), []Rate{perSecond(0)}); err != nil {
			t.Fatal(err)
		}
		down.Store(true)
		start := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := g.Wait(t.Context(), []Rate{perSecond(time.Minute)}); !errors.Is(err, broken) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > 300*time.Millisecond {
			t.Errorf("took %v to say so", took)
		}
		down.Store(false)
		<-time.After(time.Second)
		if p, err := g.Wait(t.Context(), []Rate{perSecond(0)}); err != nil || p.Limit != "" {
			t.Errorf("%+v, %v: it came back", p, err)
		}
		mustBeEmpty(t, g)
	})
}

func TestGateDoesNotBlameAClientsLeavingOnTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, rates := newGate()
		var first atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		rates.fail = func() error {
			if first.CompareAndSwap(false, true) {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := g.Wait(ctx, []Rate{perSecond(0)}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if p, err := g.Wait(t.Context(), []Rate{perSecond(0)}); err != nil || p.Limit != "" {
				t.Errorf("%+v, %v", p, err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		mustBeEmpty(t, g)
	})
}

func TestGateShadowCountsAndNeverDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		r := perSecond(0)
		r.Shadow = true
		start := time.Now()
		for i := range 3 {
			p, err := g.Wait(t.Context(), []Rate{r})
			if err != nil || p.Limit != "" || (len(p.Shadowed) == 1) != (i > 0) || !time.Now().Equal(start) {
				t.Errorf("%d: %+v, %v", i, p, err)
			}
		}
	})
}

func TestGateCostsAreEarnedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGate()
		start := time.Now()
		var mu sync.Mutex
		var went []string
		var wg sync.WaitGroup
		for _, cost := range []int64{3, 3, 1, 2} {
			wg.Go(func() {
				r := Rate{Limit: "k", Key: "k", N: 10, Per: 10 * second, Burst: 3, Cost: cost, Wait: minute}
				if p, err := g.Wait(t.Context(), []Rate{r}); err != nil || p.Limit != "" {
					t.Errorf("%+v, %v", p, err)
				}
				mu.Lock()
				defer mu.Unlock()
				went = append(went, fmt.Sprint(cost, " at ", time.Since(start).Truncate(100*time.Millisecond)))
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []string{"3 at 0s", "3 at 3s", "1 at 4s", "2 at 6s"}; !reflect.DeepEqual(went, want) {
			t.Errorf("went %q, want %q", went, want)
		}
		mustBeEmpty(t, g)
	})
}
