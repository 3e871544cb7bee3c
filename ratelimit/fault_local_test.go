package ratelimit

// Policy `local`: what a replica lets go while the shared store is away.

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sendLocally takes a message through ReserveLocally and Keep.
func (t *guardedTest) sendLocally(g *Guarded, claims ...Claim) (Decision, error) {
	t.Helper()
	r := t.message(claims...)
	d, err := g.ReserveLocally(t.Context(), r)
	if err == nil && d.Verdict == Go {
		err = g.Keep(t.Context(), r.ID)
	}
	return d, err
}

func (t *guardedTest) mustLocally(want Verdict, g *Guarded, claims ...Claim) {
	t.Helper()
	if d, err := t.sendLocally(g, claims...); err != nil || d.Verdict != want {
		t.Errorf("locally %v, %v; want %v", d.Verdict, err, want)
	}
}

func TestALocalShareIsDividedAndCountsWhatWasSentBefore(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		a, b := t.replica("a", NewMemory(Options{}), ""), t.replica("b", NewMemory(Options{}), "")
		t.pass(time.Second)
		t.must(Go, a, lifetime("life", 7), lifetime("one", 1))
		r := t.message(lifetime("way", 2)) // on its way when the store goes
		if d, err := b.Reserve(t.Context(), r); err != nil || d.Verdict != Go {
			t.Fatalf("%v, %v", d.Verdict, err)
		}
		t.must(Go, b, lifetime("life", 7))
		t.server.set(func() { t.server.fail = redisReply("LOADING") })
		t.mustLocally(Go, a, lifetime("way", 2))
		_, err := t.send(b, lifetime("life", 7))
		t.away(err)
		t.mustLocally(Refused, b, lifetime("way", 2))
		if err := b.Keep(t.Context(), r.ID); err != nil {
			t.Error(err)
		}
		for range 2 { // 7 ÷ 2 is 3, and one went before
			t.mustLocally(Go, a, lifetime("life", 7))
		}
		t.mustLocally(Refused, a, lifetime("life", 7))
		t.mustLocally(Refused, a, lifetime("one", 1)) // a share of nothing
		t.mustLocally(Refused, b, lifetime("one", 1))

		// What was given back is free again, and is not charged later.
		r = t.message(lifetime("life", 7))
		if d, err := b.ReserveLocally(t.Context(), r); err != nil || d.Verdict != Go {
			t.Fatalf("%v, %v", d.Verdict, err)
		}
		if err := b.Cancel(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			t.mustLocally(Go, b, lifetime("life", 7))
		}
		t.mustLocally(Refused, b, lifetime("life", 7))

		// One that started meanwhile has no share: the others do not count it.
		c := t.replica("c", NewMemory(Options{}), "")
		_, err = t.sendLocally(c, lifetime("life", 7))
		t.away(err)

		t.server.set(func() { t.server.fail = nil })
		t.pass(2 * doubtful * time.Millisecond) // what may have been carried out is given back twice
		if used := t.server.used(t, "life"); used != 6 {
			t.Errorf("%d counted, 6 were sent", used)
		}
		if owes := b.book.owes(); owes != 0 {
			t.Errorf("%d are owed, after one was given back", owes)
		}
		t.must(Go, a, lifetime("life", 7))
		t.must(Refused, b, lifetime("life", 7))
	})
}

func TestALocalBookingIsFiredAndChargedOnce(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		a := t.replica("a", NewMemory(Options{}), "")
		t.replica("b", nil, "")
		t.pass(time.Second)
		t.server.set(func() { t.server.fail = redisReply("LOADING") })
		claims := []Claim{pace("pace", 1000).waiting(minute), lifetime("life", 10)}
		t.mustLocally(Go, a, claims...)
		r := t.message(claims...)
		d, err := a.ReserveLocally(t.Context(), r)
		if err != nil || d.Verdict != Booked || d.At-d.Now != 2000 { // half the pace
			t.Fatalf("%+v, %v", d, err)
		}
		// The store is back before the booking's time: it is fired where it was made.
		t.server.set(func() { t.server.fail = nil })
		t.pass(2 * time.Second)
		if d, err = a.Fire(t.Context(), r.ID); err != nil || d.Verdict != Go {
			t.Fatalf("%+v, %v", d, err)
		}
		if err := a.Keep(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		t.pass(time.Second)
		if used := t.server.used(t, "life"); used != 2 {
			t.Errorf("%d counted, 2 were sent", used)
		}
	})
}

// A local message that was on its way when its proxy was killed is charged.
func TestALocalMessageOutlivesTheProxy(t *testing.T) {
	dir := t.TempDir()
	inGuarded(t, func(t *guardedTest) {
		path := filepath.Join(dir, "journal")
		a := t.replica("a", NewMemory(Options{}), path)
		t.server.set(func() { t.server.fail = redisReply("LOADING") })
		if d, err := a.ReserveLocally(t.Context(), t.message(lifetime("life", 10))); err != nil || d.Verdict != Go {
			t.Fatalf("%+v, %v", d, err)
		}
		t.server.set(func() { t.server.fail = nil })
		t.pass(10 * time.Second)
		if used := t.server.used(t, "life"); used != 0 {
			t.Errorf("%d counted while it may still be given back", used)
		}
		t.replica("a", NewMemory(Options{}), path) // as after a kill: the first was not closed
		if used := t.server.used(t, "life"); used != 1 {
			t.Errorf("%d counted, 1 may have been sent", used)
		}
	})
}

// A long outage: the minute of a message has passed, its lifetime has not.
func TestWhatWasSentLongAgoIsChargedWhereItStillCounts(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		t.server.set(func() { t.server.fail = redisReply("LOADING") })
		short := Claim{Limit: "minute", Measure: Calendar, Unit: "minute", Cost: 1, Allow: 5, Windows: new([3]Window)}
		for i := range short.Windows {
			start := time.Now().Truncate(time.Minute).Add(time.Duration(i-1) * time.Minute)
			short.Windows[i] = Window{start.UTC().Format("2006-01-02T15:04"), start.UnixMilli(), start.UnixMilli() + minute}
		}
		if err := g.Charge(t.Context(), t.message(short, lifetime("life", 10)), time.Now().UnixMilli()); err != nil {
			t.Fatal(err)
		}
		t.pass(5 * time.Minute)
		t.server.set(func() { t.server.fail = nil })
		t.pass(time.Second)
		if used := t.server.used(t, "life"); used != 1 {
			t.Errorf("%d counted, 1 was sent", used)
		}
	})
}

// The client asks again by itself: that the last attempt was refused says
// nothing about one before, whose answer was lost.
func TestWhatARefusedConnectionMayHideIsGivenBack(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		a := t.replica("a", nil, "")
		t.pass(time.Second)
		for _, fail := range []error{syscall.ECONNREFUSED, redisReply("LOADING"), redisReply("READONLY")} {
			t.server.set(func() { t.server.fail = fail })
			r := t.message(lifetime("life", 7))
			_, err := a.Reserve(t.Context(), r)
			t.away(err)
			if !a.book.owing("r " + r.ID) {
				t.Errorf("after %v nothing is given back", fail)
			}
			t.server.set(func() { t.server.fail = nil })
			t.pass(2 * doubtful * time.Millisecond)
			if owes := a.book.owes(); owes != 0 {
				t.Errorf("after %v %d are owed for good", fail, owes)
			}
		}
	})
}
