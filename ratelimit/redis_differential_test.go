package ratelimit

// The same histories through every store: the evaluator in memory, the file,
// the script on a real server and on miniredis. They must say the same.

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// histories is how many are played on each store, and how long they are. More
// were played once: see docs/design.md.
const (
	histories     = 60
	historyLength = 250
	miniHistories = 3 // miniredis reads the script anew for every call
)

func TestAllStoresDecideTheSame(t *testing.T) {
	for seed := range uint64(histories) {
		t.Run(fmt.Sprint("history ", seed), func(t *testing.T) {
			t.Parallel()
			c := &fakeClock{ms: t0}
			o := Options{Now: c.now}
			stores := map[string]Store{"redis": openShared(t, o)}
			if seed < miniHistories {
				stores["miniredis"] = openMini(t, o)
				e, err := OpenEmbedded(filepath.Join(t.TempDir(), "ledger.db"), o)
				if err != nil {
					t.Fatal(err)
				}
				unsynced(e)
				defer func() { _ = e.Close() }()
				stores["embedded"] = e
			}
			compareStores(t, c, NewMemory(o), stores, sharedHistory(seed))
		})
	}
}

// sharedHistory is a history without what a store of many processes knows less
// about. A message on its way that nobody was heard of for a quarter of an hour
// is through to it: so there are either steps of hours, or messages that come
// again. An id that was kept is still known. And it decides a request that shows
// two names on the counters of both, threads included, where the engine in
// process looks at a sketch of them: so there are either aliases or threads.
func sharedHistory(seed uint64) []turn {
	hours := seed%2 == 1
	kept := map[string]bool{}
	var history []turn
	for _, step := range randomHistory(newSeeded(seed), world{short: !hours}, historyLength) {
		if hours {
			step.Request.Same, step.Request.Dedupes, step.Request.Aliases = "", false, nil
		} else if step.Event.Kind == SameAs {
			continue
		}
		if step.Op == opKeep {
			kept[step.ID] = true
		}
		if step.Op != opAgain && step.Op != opSooner || !kept[step.ID] {
			history = append(history, step)
		}
	}
	return history
}

// compareStores plays a history on all stores, turn by turn.
func compareStores(t *testing.T, c *fakeClock, judge Store, stores map[string]Store, history []turn) {
	t.Helper()
	ctx := context.Background()
	want := newPlayer(judge, c.add)
	players := map[string]*player{}
	for name, s := range stores {
		players[name] = newPlayer(s, func(int64) {})
	}
	for i, step := range history {
		asked := want.play(ctx, step)
		for j := range asked {
			asked[j].plain(&step.Request)
		}
		for name, p := range players {
			got := p.play(ctx, step)
			for j := range got {
				got[j].plain(&step.Request)
			}
			if diff := cmp.Diff(asked, got); diff != "" {
				t.Fatalf("%s differs from memory at step %d, %+v (- memory, + %s):\n%s", name, i, step, name, diff)
			}
		}
	}
}

// plain leaves out what a store need not say: the holds where nobody looked, by
// which of its names an account went when it was charged, what would have been
// used of accounts that did not become one, and what a limit allowed that is not
// asked any more.
func (a *answer) plain(r *Request) {
	d := &a.Decision
	if !r.Dry {
		d.Holds = nil
	}
	if d.Repeated || strings.HasPrefix(a.Call, "fire") {
		d.Account = ""
	}
	if len(r.Aliases) > 0 && d.Verdict > Booked {
		d.Uses = nil
	}
	if d.Repeated && r.Sooner && d.Verdict == Go { // what went is asked about with other limits
		d.Uses = slices.Clone(d.Uses)
		for i := range d.Uses {
			d.Uses[i].Allow = 0
		}
	}
}
