package main

// This file is arithmetic: percentiles, medians of rounds, verdicts.

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A sample is what one round showed.
type sample struct {
	perSec   float64
	p50, p99 time.Duration
}

// load calls take with the given number of callers for d, and measures. Its
// argument counts up, so that accounts can take turns.
func load(ctx context.Context, callers int, d time.Duration, take func(ctx context.Context, n int) error) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([][]time.Duration, callers)
	began := time.Now()
	end := began.Add(d)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := i; ; n += callers {
				t := time.Now()
				if !t.Before(end) {
					return
				}
				if err := take(ctx, n); err != nil {
					cancel(err)
					return
				}
				took[i] = append(took[i], time.Since(t))
			}
		})
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	if err := context.Cause(ctx); err != nil {
		return sample{}, err
	}
	all := slices.Concat(took...)
	if len(all) == 0 {
		return sample{}, fmt.Errorf("nothing was answered in %v", d)
	}
	return sample{perSec: float64(len(all)) / seconds, p50: percentile(all, 50), p99: percentile(all, 99)}, nil
}

// percentile sorts.
func percentile[T int64 | float64 | time.Duration](all []T, p int) T {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[min(len(all)*p/100, len(all)-1)]
}

// median of what f says of each round.
func median[T any](rounds []T, f func(T) float64) float64 {
	v := make([]float64, len(rounds))
	for i := range rounds {
		v[i] = f(rounds[i])
	}
	return percentile(v, 50)
}

func self(v float64) float64 { return v }

// ratios compares two in the same rounds: what slowed a round down slowed down
// both.
func ratios(a, b []float64) float64 {
	v := make([]float64, min(len(a), len(b)))
	for i := range v {
		v[i] = a[i] / b[i]
	}
	return percentile(v, 50)
}

// A bar is a figure that must be reached, or must not be exceeded.
func bar(ok bool, text string, met *bool) string {
	if ok {
		return text + ", met"
	}
	*met = false
	return text + ", MISSED"
}

func micros(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d.Nanoseconds())/1e3) }
