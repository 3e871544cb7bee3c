package ratelimit

// The same histories on every store that needs no server.

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheFileAnswersAsMemoryDoes plays everything that there is, holds, threads
// and aliases too, on the memory store and on a file that is read again for
// every operation.
func TestTheFileAnswersAsMemoryDoes(t *testing.T) {
	const turns = 150
	histories := uint64(8)
	if soak() {
		histories = 400
	}
	verdicts := map[Verdict]int{}
	limits := map[string]int{}
	for seed := range histories {
		clocks := [2]*fakeClock{{ms: t0}, {ms: t0}}
		file, err := OpenEmbedded(filepath.Join(t.TempDir(), "ledger.db"), Options{Now: clocks[1].now, Log: slog.New(slog.DiscardHandler), CacheBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		memory := newPlayer(NewMemory(Options{Now: clocks[0].now}), clocks[0].add)
		embedded := newPlayer(file, clocks[1].add)
		for i, s := range randomHistory(newSeeded(seed), world{}, turns) {
			a, b := memory.play(t.Context(), s), embedded.play(t.Context(), s)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("seed %d, turn %d, %s: memory (-) and file (+):\n%s", seed, i, s.Op, diff)
			}
			for _, x := range a {
				verdicts[x.Decision.Verdict]++
				limits[x.Decision.Limit]++
				if x.Err != "" {
					t.Fatalf("seed %d, turn %d: %s: %s", seed, i, x.Call, x.Err)
				}
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(verdicts, limits)
	for _, v := range []Verdict{Go, Booked, Later, Refused, Twin} {
		if verdicts[v] == 0 {
			t.Errorf("no answer was %v", v)
		}
	}
	if soak() {
		for _, l := range worldLimits {
			if !l.Shadow && limits[l.Limit] == 0 {
				t.Errorf("%s never decided", l.Limit)
			}
		}
	}
}
