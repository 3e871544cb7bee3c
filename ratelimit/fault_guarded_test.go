package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// guardedTest is a shared store with replicas before it.
type guardedTest struct {
	*testing.T
	server *fakeServer
	log    *logged
	n      int
}

func inGuarded(t *testing.T, f func(t *guardedTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(&guardedTest{T: t, server: newFakeServer(), log: &logged{}})
	})
}

// replica starts one more proxy; a local store makes it decide by itself.
func (t *guardedTest) replica(name string, local Store, journal string) *Guarded {
	t.Helper()
	g, err := newGuarded(fakePrimary{t.server}, local, GuardedOptions{
		Options: Options{Log: t.log.logger()}, Replica: name, Journal: journal,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func (t *guardedTest) message(claims ...Claim) Request {
	t.n++
	return Request{ID: fmt.Sprint("m", t.n), Account: "anna", Claims: claims}
}

// send takes a message through Reserve and Keep.
func (t *guardedTest) send(g *Guarded, claims ...Claim) (Verdict, error) {
	t.Helper()
	r := t.message(claims...)
	d, err := g.Reserve(t.Context(), r)
	if err == nil && d.Verdict == Go {
		err = g.Keep(t.Context(), r.ID)
	}
	return d.Verdict, err
}

// must is a send that must come out as said.
func (t *guardedTest) must(want Verdict, g *Guarded, claims ...Claim) {
	t.Helper()
	if v, err := t.send(g, claims...); err != nil || v != want {
		t.Errorf("%v, %v; want %v", v, err, want)
	}
}

func (t *guardedTest) away(err error) {
	t.Helper()
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("the error is %v, want ErrUnavailable", err)
	}
}

// pass lets time pass: that of the bubble, which takes none.
func (t *guardedTest) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// logs are the lines of the log that have a text.
func (t *guardedTest) logs(text string) int { return strings.Count(t.log.String(), text) }

func TestAStoreThatHangsCostsBoundedTimeAndIsLeftAlone(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		t.must(Go, g, lifetime("life", 10))
		t.server.set(func() { t.server.hang = true })
		for i := range strikes {
			start := time.Now()
			_, err := t.send(g, lifetime("life", 10))
			t.away(err)
			if took := time.Since(start); took != 300*time.Millisecond {
				t.Errorf("call %d took %v", i, took)
			}
		}
		calls := t.server.reserves.Load()
		start := time.Now()
		_, err := t.send(g, lifetime("life", 10))
		t.away(err)
		if time.Since(start) != 0 || t.server.reserves.Load() != calls {
			t.Errorf("a store that hangs was asked again: %v", time.Since(start))
		}
		t.pass(time.Minute)
		t.server.set(func() { t.server.hang = false })
		t.pass(time.Second)
		t.must(Go, g, lifetime("life", 10))
		if t.logs("level=ERROR") != 1 || t.logs("cause=time-out") != 2 || t.logs("decides again") != 1 {
			t.Errorf("the log says:\n%s", t.log)
		}
	})
}

// What a redis server says, or a socket, and how it is reported.
func TestEveryFaultHasItsName(t *testing.T) {
	for _, c := range []struct {
		err   error
		cause string
		calls int // until the store is left alone
	}{
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "connection refused", 1},
		{redisReply("READONLY You can't write against a read only replica."), "READONLY", 1},
		{redisReply("OOM command not allowed when used memory > 'maxmemory'."), "OOM", 1},
		{redisReply("LOADING Redis is loading the dataset in memory"), "LOADING", 1},
		{redisReply("MISCONF Redis is configured to save RDB snapshots"), "MISCONF", 1},
		{redisReply("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS", 1},
		{redisReply("CLUSTERDOWN The cluster is down"), "CLUSTERDOWN", 1},
		{redisReply("NOAUTH Authentication required."), "NOAUTH", 1},
		{redisReply("ERR quotagate: OOM command not allowed when used memory > 'maxmemory'."), "OOM", 1},
		{redisReply("ERR Error running script: BUSY"), "error reply", strikes},
		{redisReply("NOSCRIPT No matching script."), "error reply", strikes},
		{fmt.Errorf("reserve: %w", io.EOF), "connection cut", strikes},
		{fmt.Errorf("reserve: %w", context.DeadlineExceeded), "time-out", strikes},
	} {
		t.Run(c.cause, func(t *testing.T) {
			inGuarded(t, func(t *guardedTest) {
				g := t.replica("a", nil, "")
				t.server.set(func() { t.server.fail = c.err })
				for range c.calls {
					if g.gate.closed() != nil {
						t.Error("left alone too early")
					}
					_, err := t.send(g, lifetime("life", 10))
					t.away(err)
				}
				if g.gate.closed() == nil {
					t.Error("still asked")
				}
				synctest.Wait()
				if !strings.Contains(t.log.String(), fmt.Sprintf("cause=%q", c.cause)) && t.logs("cause="+c.cause+" ") != 1 {
					t.Errorf("the log says:\n%s", t.log)
				}
				t.server.set(func() { t.server.fail = nil })
				t.pass(time.Second)
				t.must(Go, g, lifetime("life", 10))
			})
		})
	}
}

type redisReply string

func (e redisReply) Error() string { return string(e) }
func (redisReply) RedisError()     {}

func TestAMistakeOfTheCallerIsNotTheStores(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		for range 2 * strikes {
			if _, err := t.send(g, Claim{Limit: "none"}); !errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnavailable) {
				t.Fatalf("%v", err)
			}
		}
		t.must(Go, g, lifetime("life", 10))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.Reserve(ctx, t.message(lifetime("life", 10))); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatATimedOutReservationChargedComesBack(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		t.must(Go, g, lifetime("life", 10))
		t.server.set(func() { t.server.lost = true })
		_, err := t.send(g, lifetime("life", 10))
		t.away(err)
		if used := t.server.used(t, "life"); used != 2 {
			t.Fatalf("%d counted", used)
		}
		t.server.set(func() { t.server.lost = false })
		t.pass(time.Second)
		if used := t.server.used(t, "life"); used != 1 {
			t.Errorf("%d counted, 1 was sent", used)
		}
	})
}

func TestWhatIsOnItsWayStaysChargedWhereItsLeaseIsNotProlonged(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		t.must(Go, g, lifetime("life", 10))
		r := t.message(lifetime("life", 10))
		if d, err := g.Reserve(t.Context(), r); err != nil || d.Verdict != Go {
			t.Fatalf("%v %v", d.Verdict, err)
		}
		if d, err := g.Fire(t.Context(), r.ID); err != nil || d.Verdict != Go {
			t.Errorf("prolonged: %v %v", d.Verdict, err)
		}
		t.server.set(func() { t.server.lost = true })
		_, err := g.Fire(t.Context(), r.ID)
		t.away(err)
		t.server.set(func() { t.server.lost = false })
		t.pass(5 * time.Second)
		if used := t.server.used(t, "life"); used != 2 {
			t.Errorf("%d counted, and one is on its way", used)
		}
		if err := g.Keep(t.Context(), r.ID); err != nil {
			t.Error(err)
		}
		t.pass(5 * time.Second)
		if used := t.server.used(t, "life"); used != 2 {
			t.Errorf("%d counted, 2 were sent", used)
		}
	})
}

// A frozen server has a reservation in its sockets and carries it out after
// the cancellation that came over another connection.
func TestAReservationThatIsCarriedOutLateComesBackToo(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		t.server.set(func() { t.server.freeze = true })
		_, err := t.send(g, lifetime("life", 10))
		t.away(err)
		t.server.set(func() { t.server.freeze = false }) // other connections are served first
		t.pass(time.Second)
		t.server.thaw()
		if used := t.server.used(t, "life"); used != 1 {
			t.Fatalf("%d counted", used)
		}
		t.pass(4 * time.Second)
		if used := t.server.used(t, "life"); used != 0 {
			t.Errorf("%d counted, none was sent", used)
		}
	})
}

func TestWhatIsLearnedWhileTheStoreIsAwayIsToldLater(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		kept, back, part := t.message(lifetime("life", 10)), t.message(lifetime("life", 10)), t.message(lifetime("life", 10), lifetime("life", 10).ofItem(1))
		for _, r := range []Request{kept, back, part} {
			if _, err := g.Reserve(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		t.server.set(func() { t.server.fail = redisReply("LOADING") })
		if err := errors.Join(
			g.Keep(t.Context(), kept.ID), g.Cancel(t.Context(), back.ID), g.CancelItems(t.Context(), part.ID, []int{1}),
			g.Charge(t.Context(), t.message(lifetime("life", 10)), time.Now().UnixMilli()),
		); err != nil {
			t.Error(err)
		}
		t.away(g.Pause(t.Context(), "anna", &Hold{}))
		t.away(g.Give(t.Context(), "anna", Gift{}))
		_, err := g.Accounts(t.Context())
		t.away(err)
		if name, err := g.Resolve(t.Context(), []string{"x", "y"}); name != "x" || err != nil {
			t.Errorf("resolved %q, %v", name, err)
		}
		t.server.set(func() { t.server.fail = nil })
		t.pass(time.Second)
		if used := t.server.used(t, "life"); used != 3 { // kept, one of two items, forwarded
			t.Errorf("%d counted, 3 were sent", used)
		}
		t.pass(time.Hour)
		if owes := g.book.owes(); owes != 0 || len(g.book.byKey) != 0 {
			t.Errorf("an hour later %d are owed, %d noted", owes, len(g.book.byKey))
		}
	})
}

func TestANewMasterIsToldWhatWasSentBeforeItDecides(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		g := t.replica("a", nil, "")
		for range 3 {
			t.must(Go, g, lifetime("life", 3))
		}
		back := t.message(lifetime("other", 3))
		if _, err := g.Reserve(t.Context(), back); err != nil {
			t.Fatal(err)
		}
		if err := g.Cancel(t.Context(), back.ID); err != nil {
			t.Fatal(err)
		}
		t.server.replace(t.server.marker)
		// The next caller notices; nobody's message goes to the empty master.
		_, err := t.send(g, lifetime("life", 3))
		t.away(err)
		t.pass(time.Second)
		t.must(Refused, g, lifetime("life", 3))
		if used := t.server.used(t, "other"); used != 0 {
			t.Errorf("%d counted that were given back", used)
		}
	})
}

func TestANewMasterWaitsForAllReplicas(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		a, b := t.replica("a", nil, ""), t.replica("b", nil, "")
		t.pass(time.Second)
		if a.Replicas() != 2 || b.Replicas() != 2 {
			t.Fatalf("%d and %d replicas are seen", a.Replicas(), b.Replicas())
		}
		for range 3 {
			t.must(Go, a, lifetime("life", 3))
		}
		t.server.replace(t.server.marker)
		// b knows of nothing that was sent, and must not decide before a has
		// told its part.
		for range 50 {
			v, err := t.send(b, lifetime("life", 3))
			if err == nil && v != Refused {
				t.Fatalf("%v after a failover", v)
			}
			t.pass(20 * time.Millisecond)
		}
		t.must(Refused, b, lifetime("life", 3))
		t.must(Refused, a, lifetime("life", 3))
	})
}

func TestAReplicaThatDiedIsWaitedForInVainAndSaidSo(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		a, b := t.replica("a", nil, ""), t.replica("b", nil, "")
		t.pass(time.Second)
		b.stop() // it beats no more
		<-b.done
		t.server.replace(t.server.marker)
		start := time.Now()
		for {
			if _, err := t.send(a, lifetime("life", 3)); err == nil {
				break
			}
			t.pass(10 * time.Millisecond)
		}
		if took := time.Since(start); took < 2*time.Second || took > 4*time.Second {
			t.Errorf("waited %v", took)
		}
	})
}

func TestAJournalOutlivesTheProxy(t *testing.T) {
	dir := t.TempDir()
	inGuarded(t, func(t *guardedTest) {
		path := filepath.Join(dir, "journal")
		g := t.replica("a", nil, path)
		for range 2 {
			t.must(Go, g, lifetime("life", 3))
		}
		t.server.set(func() { t.server.fail = redisReply("LOADING") })
		if err := g.Charge(t.Context(), t.message(lifetime("life", 3)), time.Now().UnixMilli()); err != nil {
			t.Fatal(err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		t.server.set(func() { t.server.fail = nil })
		t.server.replace(t.server.marker)
		g = t.replica("a", nil, path)
		t.must(Refused, g, lifetime("life", 3))
		if used := t.server.used(t, "life"); used != 3 {
			t.Errorf("%d counted, 3 were sent", used)
		}
	})
}

func TestAStoreWithoutItsDataHandsOutNothing(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		a, b := t.replica("a", nil, ""), t.replica("b", nil, "")
		t.must(Go, a, lifetime("life", 1))
		before := t.server.marker
		t.server.replace("")
		t.pass(time.Minute)
		for _, g := range []*Guarded{a, b} {
			_, err := t.send(g, lifetime("life", 1))
			t.away(err)
			if !errors.Is(err, ErrForgot) {
				t.Errorf("%v", err)
			}
		}
		if t.logs("without what it had counted") != 2 {
			t.Errorf("the log says:\n%s", t.log)
		}

		// Its data is back.
		t.server.set(func() { t.server.marker = before })
		t.pass(time.Second)
		t.must(Refused, a, lifetime("life", 1)) // the journal is two minutes long
		t.must(Go, b, lifetime("other", 1))

		// Another store.
		t.server.replace("somebody else's")
		t.pass(time.Second)
		_, err := t.send(a, lifetime("life", 1))
		t.away(err)

		// Accepted.
		if err := a.AcceptEmpty(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.pass(time.Second)
		t.must(Refused, a, lifetime("life", 1))
		t.must(Go, b, lifetime("another", 1))
		if err := b.AcceptEmpty(t.Context()); err == nil {
			t.Error("accepted a store that has lost nothing")
		}
	})
}
