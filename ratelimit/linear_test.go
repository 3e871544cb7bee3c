package ratelimit

// Linearizability: whatever many callers do to one account at once, and
// whatever breaks meanwhile, the answers they got are those of some order of
// their calls, one after the other, in which no call comes before it was made
// or after it was answered. Checked with porcupine
// (https://github.com/anishathalye/porcupine) against counters with limits.
//
// A reservation whose end its caller was not told may have been carried out or
// not, and is given back by and by: until then a refusal may be for its sake,
// and nothing may be let go for it. A cancellation that the store was told
// later happened some time in between.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The limits of the account under test, each a kind of its own.
var linearAllow = [3]int64{40, 25, 30}

// linearClaims are what a call of that form takes: the first limit always.
func linearClaims(form int) []Claim {
	all := []Claim{lifetime("life", linearAllow[0]), rolling("roll", linearAllow[1], day), lifetime("pair", linearAllow[2]).by("r")}
	out := []Claim{all[0].costing(1 + int64(form%2))}
	for i := 1; i < 3; i++ {
		if form>>i&1 == 1 {
			out = append(out, all[i])
		}
	}
	return out
}

// linearCost is the same for the model.
func linearCost(form int) [3]int64 {
	return [3]int64{1 + int64(form%2), int64(form >> 1 & 1), int64(form >> 2 & 1)}
}

type linearVerb uint8

const (
	linearReserve linearVerb = iota
	linearCancel
	linearFire
)

type linearCall struct {
	verb linearVerb
	id   string
	form int
	// slack is what reservations with an unknown end may have taken meanwhile.
	slack [3]int64
}

// A linearState is what the limits have counted, and what is open.
type linearState struct {
	used [3]int64
	open string // ids, sorted, each with its form
}

func (s linearState) has(c linearCall) bool { return strings.Contains(s.open, c.token()) }
func (c linearCall) token() string          { return fmt.Sprintf(" %s/%d ", c.id, c.form) }

func (s linearState) with(c linearCall, sign int64) linearState {
	for i, n := range linearCost(c.form) {
		s.used[i] += sign * n
	}
	if sign > 0 {
		list := append(splitOpen(s.open), c.token())
		slices.Sort(list)
		s.open = strings.Join(list, "")
	} else {
		s.open = strings.Replace(s.open, c.token(), "", 1)
	}
	return s
}

func splitOpen(s string) []string {
	var out []string
	for f := range strings.FieldsSeq(s) {
		out = append(out, " "+f+" ")
	}
	return out
}

var linearModel = porcupine.Model{
	Init: func() any { return linearState{} },
	Step: func(state, input, output any) (bool, any) {
		s, c, verdict := state.(linearState), input.(linearCall), output.(Verdict)
		switch c.verb {
		case linearReserve:
			room, short := true, false
			for i, n := range linearCost(c.form) {
				room = room && (n == 0 || s.used[i]+n <= linearAllow[i])
				short = short || n > 0 && s.used[i]+c.slack[i]+n > linearAllow[i]
			}
			if verdict == Go {
				return room, s.with(c, 1)
			}
			return verdict == Refused && short, s
		case linearCancel:
			if s.has(c) {
				return true, s.with(c, -1)
			}
			return true, s
		default:
			return s.has(c) == (verdict == Go), s
		}
	},
	Equal: func(a, b any) bool { return a.(linearState) == b.(linearState) },
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%+v: %+v", input, output)
	},
}

// A linearRun is one history: callers on stores that share what they count.
type linearRun struct {
	t       testing.TB
	stores  []Store
	account string
	ops     int // of each caller
	start   time.Time

	mu      sync.Mutex
	history []porcupine.Operation
	spent   [3]int64 // by what was let go and not given back
	late    []*linearLate
	away    int // calls that were not made
}

// linearLate is what the store is told later.
type linearLate struct {
	guarded *Guarded
	call    linearCall
	from    time.Duration
	to      time.Duration // 0 until it was told
	unknown bool          // nobody knows whether it was reserved at all
}

const linearCallers = 16

// run lets 16 callers loose and returns when each has made its calls.
func (l *linearRun) run(seed uint64) {
	l.start = time.Now()
	var wg sync.WaitGroup
	for w := range linearCallers {
		wg.Go(func() { l.caller(w, rand.New(rand.NewPCG(seed, uint64(w)))) })
	}
	wg.Wait()
}

func (l *linearRun) caller(w int, rnd *rand.Rand) {
	s := l.stores[w%len(l.stores)]
	ctx := context.Background()
	for i := range l.ops {
		c := linearCall{verb: linearReserve, id: fmt.Sprintf("%s-%d-%d", l.account, w, i), form: rnd.IntN(8)}
		keeps, fires := rnd.IntN(12) == 0, rnd.IntN(4) == 0
		call := time.Since(l.start)
		d, err := s.Reserve(ctx, Request{ID: c.id, Account: l.account, Claims: linearClaims(c.form)})
		if errors.Is(err, ErrUnavailable) {
			if refusedOutright(err) {
				l.mu.Lock()
				l.away++
				l.mu.Unlock()
				pause(ctx, 5*time.Millisecond)
			} else {
				l.later(s, c, call, true)
			}
			continue
		} else if err != nil {
			l.t.Errorf("reserve: %v", err)
			return
		}
		l.record(w, c, call, d.Verdict)
		if d.Verdict != Go {
			continue
		}
		if fires {
			c.verb, call = linearFire, time.Since(l.start)
			d, err := s.Fire(ctx, c.id)
			if err == nil {
				l.record(w, c, call, d.Verdict)
			}
			if err == nil && d.Verdict != Go {
				continue
			}
			keeps = keeps && err == nil // what could not be fired is given back
		}
		if keeps {
			l.spend(c)
			if err := s.Keep(ctx, c.id); err != nil {
				l.t.Errorf("keep: %v", err)
			}
			continue
		}
		c.verb, call = linearCancel, time.Since(l.start)
		if err := s.Cancel(ctx, c.id); err != nil {
			l.t.Errorf("cancel: %v", err)
		}
		l.later(s, c, call, false)
	}
}

// pause waits without the machine.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

func (l *linearRun) spend(c linearCall) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, n := range linearCost(c.form) {
		l.spent[i] += n
	}
}

func (l *linearRun) record(client int, c linearCall, call time.Duration, v Verdict) {
	back := time.Since(l.start)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history = append(l.history, porcupine.Operation{ClientId: client, Input: c, Call: int64(call), Output: v, Return: int64(back)})
}

// later notes a call of which the store may have to be told yet.
func (l *linearRun) later(s Store, c linearCall, from time.Duration, unknown bool) {
	g, _ := s.(*Guarded)
	late := &linearLate{guarded: g, call: c, from: from, unknown: unknown}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = append(l.late, late)
	l.look()
}

// look finds out what the stores have been told by now; the caller has the lock.
func (l *linearRun) look() (open int) {
	for _, late := range l.late {
		if late.to == 0 && (late.guarded == nil || !late.guarded.book.owing("r "+late.call.id)) {
			late.to = time.Since(l.start)
		} else if late.to == 0 {
			open++
		}
	}
	return open
}

// owing reports whether the store is still to be told of a key.
func (l *logbook) owing(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.byKey[key]
	return n != nil && n.Owed
}

// check waits until the store was told everything, asks porcupine, and looks
// at the sums.
func (l *linearRun) check() porcupine.CheckResult {
	l.t.Helper()
	eventually(l.t, "the store is told what it missed", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.look() == 0
	})
	for i, n := range l.spent {
		if n > linearAllow[i] {
			l.t.Errorf("limit %d: %d were let go and kept, %d are allowed", i, n, linearAllow[i])
		}
	}
	unknown := 0
	for i, late := range l.late {
		if late.unknown {
			unknown++
			for j := range l.history {
				if op := &l.history[j]; op.Call < int64(late.to) && op.Return > int64(late.from) {
					c := op.Input.(linearCall)
					for k, n := range linearCost(late.call.form) {
						c.slack[k] += n
					}
					op.Input = c
				}
			}
			continue
		}
		l.history = append(l.history, porcupine.Operation{ClientId: 1000 + i, Input: late.call, Call: int64(late.from), Output: Go, Return: int64(late.to)})
	}
	start := time.Now()
	result := porcupine.CheckOperationsTimeout(linearModel, l.history, 10*time.Second)
	l.t.Logf("%s: %d calls, %d with an end that nobody knows, %d not made as the store was away: %v in %v",
		l.account, len(l.history), unknown, l.away, result, time.Since(start).Round(time.Millisecond))
	return result
}

// settled compares what the store counted in the end with what was let go.
func (l *linearRun) settled() {
	l.t.Helper()
	var counted [3]int64
	ok := func() bool {
		d, err := l.stores[0].Reserve(context.Background(), Request{Account: l.account, Dry: true, Claims: linearClaims(7)})
		for i := range d.Uses {
			counted[i] = d.Uses[i].Used
		}
		return err == nil && counted == l.spent
	}
	l.t.Cleanup(func() {
		if counted != l.spent {
			l.t.Errorf("%s: the store counts %d, %d were sent", l.account, counted, l.spent)
		}
	})
	eventually(l.t, "the store counts what was sent, and nothing else", ok)
}

func TestTheStoresAreLinearizable(t *testing.T) {
	for name, open := range openers(t) {
		t.Run(name, func(t *testing.T) {
			s := open(Options{})
			defer func() { _ = s.Close() }()
			rounds, ops := linearRounds(), 150
			if name == "miniredis" { // interprets Lua in Go: 20 times as slow
				rounds, ops = 1, 50
			}
			linearizable(t, rounds, func(seed uint64) *linearRun {
				l := &linearRun{t: t, stores: []Store{s}, account: fmt.Sprint("anna", seed), ops: ops}
				l.run(seed)
				return l
			})
		})
	}
}

// linearizable makes so many histories and checks them. A few histories are too
// tangled for porcupine to decide in time: another is made instead, five times
// at most.
func linearizable(t testing.TB, rounds int, make func(seed uint64) *linearRun) {
	t.Helper()
	tangled := 0
	for seed := uint64(0); seed < uint64(rounds+tangled); seed++ {
		l := make(seed)
		switch got := l.check(); {
		case got == porcupine.Unknown && tangled < 5:
			tangled++
		case got != porcupine.Ok:
			t.Fatalf("seed %d: the history is %v", seed, got)
		}
		l.settled()
	}
}

func linearRounds() int {
	if soak() {
		return 50
	}
	return 2
}
