package main

import (
	"slices"
	"time"
)

// median of what f says of each.
func median[T any](all []T, f func(T) float64) float64 {
	v := make([]float64, len(all))
	for i := range all {
		v[i] = f(all[i])
	}
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func self(v float64) float64 { return v }

// medianOfRatios compares two in the same rounds: what slowed a round down
// slowed down both.
func medianOfRatios(a, b []float64) float64 {
	ratios := make([]float64, min(len(a), len(b)))
	for i := range ratios {
		ratios[i] = a[i] / b[i]
	}
	return median(ratios, self)
}

func microseconds(seconds float64) time.Duration {
	return time.Duration(seconds * 1e9).Round(100 * time.Nanosecond)
}
