package main

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// breathing is how much may be allocated between two garbage collections at
// least. A proxy's live heap is small, so with Go's default (as much again as
// is live) it would collect many times a second.
const breathing = 96 << 20

// tuneGC gives the collector that much room, until the context of the program
// ends: a finalizer runs after every collection and sets the target anew.
// Where GOGC is set the user has decided.
func tuneGC(gogc string) {
	if gogc != "" {
		return
	}
	debug.SetGCPercent(gcPercent(0))
	watchGC()
}

// watchGC has itself called at the end of the next collection.
func watchGC() {
	sentinel := new(*byte) // one that holds a pointer is never allocated together with others
	runtime.AddCleanup(sentinel, func(struct{}) {
		debug.SetGCPercent(gcPercent(liveHeap()))
		watchGC()
	}, struct{}{})
}

// gcPercent is the GOGC that lets breathing be allocated on top of live bytes,
// and never less than half as much as is live. Go's default is as much again:
// 10,000 held requests would have their 300 MiB twice.
func gcPercent(live uint64) int {
	const start = 4 << 20 // the runtime's own smallest heap
	return int(min(math.MaxInt32, max(50, breathing*100/max(live, start))))
}

// liveHeap is what the last collection found reachable, in bytes.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return math.MaxUint64 / 200 // unknown: the default
	}
	return sample[0].Value.Uint64()
}
