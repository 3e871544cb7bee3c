package proxy

// Deciding anew, before their time, those who wait: because the rules changed,
// or a person resumed an account or gave it quota. Nobody polls for that; who
// makes the change says so.

import (
	"cmp"
	"math"
	"slices"
	"sync"
)

// looksAtOnce is how many lines are decided anew at a time: enough for the
// ledger to write them in groups, few enough that other requests get through.
const looksAtOnce = 64

// changes are what nobody has looked at yet.
type changes struct {
	everybody bool
	rules     bool            // they changed, which concerns those who wait for a rate
	of        map[string]bool // accounts and scopes
	looking   bool            // somebody does
}

// RulesChanged has everybody who waits decided by the rules now in force.
func (e *Enforcer) RulesChanged() {
	e.change(func(c *changes) { c.everybody, c.rules = true, true })
}

// AccountChanged has those decided anew who wait on an account, or on a scope:
// it was resumed, or given quota.
func (e *Enforcer) AccountChanged(name string) {
	e.change(func(c *changes) {
		if c.of == nil {
			c.of = map[string]bool{}
		}
		c.of[name] = true
	})
}

func (e *Enforcer) change(note func(*changes)) {
	r := &e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes.Add(1)
	if r.held == 0 && !r.changed.looking { // nobody to look at
		return
	}
	note(&r.changed)
	if !r.changed.looking {
		r.changed.looking = true
		go e.look()
	}
}

// look wakes those whom the changes concern: of one account, and of all accounts
// that wait for the counters of one scope, one after another in the order of
// their slots, since whoever is decided first has the first choice. It ends when
// nothing is left to look at.
func (e *Enforcer) look() {
	r := &e.room
	if Contained(e.log(), "the look at who waits", func() {
		for lines := r.concerned(); lines != nil; lines = r.concerned() {
			e.lookAt(lines)
		}
	}) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.changed.looking = false // or nobody would look again
	}
}

// lookAt has everybody in the lines decided anew.
func (e *Enforcer) lookAt(lines map[string][]*waiter) {
	places := make(chan struct{}, looksAtOnce)
	var all sync.WaitGroup
	defer all.Wait()
	for _, line := range lines {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			Contained(e.log(), "the look at who waits", func() {
				for _, w := range line {
					if told := e.room.tell(w); told != nil {
						<-told
					}
				}
			})
		})
	}
}

// concerned takes the changes and returns whom they concern; nil ends looking.
func (r *waitingRoom) concerned() map[string][]*waiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.changed
	r.changed = changes{looking: true}
	if !c.everybody && len(c.of) == 0 {
		r.changed.looking = false
		return nil
	}
	lines := map[string][]*waiter{}
	for account, line := range r.lines {
		with := account
		if i := slices.IndexFunc(line, func(w *waiter) bool { return w.shared != "" }); i >= 0 {
			with = line[i].shared
		}
		for _, w := range line {
			if w.inLine && c.rules || w.asleep && (c.everybody || c.of[account] || slices.ContainsFunc(w.scopes, func(s string) bool { return c.of[s] })) {
				lines[with] = append(lines[with], w)
			}
		}
	}
	for _, line := range lines {
		slices.SortFunc(line, func(a, b *waiter) int {
			return cmp.Or(cmp.Compare(a.slot(), b.slot()), cmp.Compare(a.order, b.order))
		})
	}
	return lines
}

// slot is when a waiter is due: after all others if it still waits for a rate.
func (w *waiter) slot() int64 {
	if w.inLine {
		return math.MaxInt64
	}
	return w.at
}

// tell wakes a waiter, now or as soon as it waits again, and returns what is
// closed when it has been decided; nil for one that left.
func (r *waitingRoom) tell(w *waiter) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.left {
		return nil
	}
	if w.told == nil {
		w.told = make(chan struct{})
	}
	if w.wake != nil {
		w.wake(errLook)
	}
	return w.told
}
