package ratelimit

// From a store in process into Redis, and back, nothing is lost.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestALedgerMovesIntoRedisAndBack(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("history ", seed), func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			c := &fakeClock{ms: t0}
			o := Options{Now: c.now, Log: slog.New(slog.DiscardHandler)}
			first := NewMemory(o)
			if seed == 0 {
				lived(&testStore{Store: first, t: t, clock: c})
			} else {
				p := newPlayer(first, c.add)
				for _, step := range sharedHistory(seed) {
					if step.Op != opTick || step.Ms < hour { // else all would be over
						p.play(ctx, step)
					}
				}
			}
			// What is held in memory only is not moved.
			for id, res := range first.engine.live {
				if res.state == booked {
					if err := first.Cancel(ctx, id); err != nil {
						t.Fatal(err)
					}
				}
				first.engine.keep(id)
			}
			var text, again bytes.Buffer
			store, last := openShared(t, o), NewMemory(o)
			for _, err := range []error{
				first.Export(ctx, &text), store.Import(ctx, bytes.NewReader(text.Bytes())),
				store.Export(ctx, &again), last.Import(ctx, bytes.NewReader(again.Bytes())),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := store.Import(ctx, bytes.NewReader(text.Bytes())); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "line 2") {
				t.Errorf("imported twice: %v", err)
			}
			// All three go on alike.
			h := newHistorian(newSeeded(seed+1000), world{short: true})
			h.now, h.n = c.ms, 1_000_000
			var history []turn
			for range 150 {
				if step := h.next(); step.Op != opAgain && step.Event.Kind != SameAs && len(step.Request.Aliases) == 0 {
					history = append(history, step)
				}
			}
			compareStores(t, c, first, map[string]Store{"redis": store, "memory again": last}, history)
		})
	}
}
