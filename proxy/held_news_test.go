package proxy_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// A newsroom is a store that others share, whose news a test tells.
type newsroom struct {
	ratelimit.Store
	tell chan ratelimit.News
}

func (n *newsroom) Listen(ctx context.Context, hear func(ratelimit.News)) error {
	for {
		select {
		case news := <-n.tell:
			hear(news)
		case <-ctx.Done():
			return nil
		}
	}
}

// listening has the lab's enforcer listen to what a test tells.
func (l *lab) listening(store ratelimit.Store) (tell func(ratelimit.News)) {
	room := &newsroom{store, make(chan ratelimit.News)}
	l.Enforcer.Ledger = room
	ctx, stop := context.WithCancel(context.Background())
	l.t.Cleanup(stop)
	go func() {
		if err := l.Enforcer.Listen(ctx); err != nil {
			l.t.Error(err)
		}
	}()
	tell = func(n ratelimit.News) {
		room.tell <- n
		synctest.Wait()
	}
	tell(ratelimit.News{All: true})
	return tell
}

// A sayer remembers which message the ledger was asked about, and what happens
// when that is there already.
type sayer struct {
	notedLedger
	same string
	then func()
}

func (s *sayer) Reserve(ctx context.Context, r ratelimit.Request) (ratelimit.Decision, error) {
	if r.Same != "" {
		s.same = r.Same
	}
	d, err := s.notedLedger.Reserve(ctx, r)
	if then := s.then; d.Verdict == ratelimit.Twin && then != nil {
		s.then = nil
		then() // which may set it again
	}
	return d, err
}

const patient = "limits: [{name: chat.day, on: chat.message, allow: 9, per: day, wait: 5m}]\n"

// slowly has the service answer after a minute.
func (l *lab) slowly() {
	answer := l.answer
	l.answer = func(r *http.Request) *http.Response {
		pass(time.Minute)
		return answer(r)
	}
}

func TestARepeatAsksOnlyWhenTheFirstIsThrough(t *testing.T) {
	for _, where := range []string{"in the same process", "at another replica", "at another replica that is not heard"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, repeating(false, patient))
				l.slowly()
				far, asked := l, &sayer{notedLedger: notedLedger{Store: l.ledger}}
				tell := func(ratelimit.News) {}
				if where == "in the same process" {
					l.Enforcer.Ledger = asked
				} else {
					far = l.replica()
					tell = far.listening(asked)
					if strings.Contains(where, "not heard") {
						tell(ratelimit.News{Deaf: true})
					}
				}
				first := l.start(t.Context(), same)
				second := far.start(t.Context(), same)
				<-first
				synctest.Wait()
				tell(ratelimit.News{Same: "of another"})
				tell(ratelimit.News{Same: asked.same})
				p := <-second
				calls := strings.Count(asked.taken(), "reserve")
				if polled := calls > 4; polled != strings.Contains(where, "not heard") {
					t.Errorf("the ledger was asked %d times", calls)
				}
				if p.resp.StatusCode != 200 || p.after > 2*time.Minute+250*time.Millisecond {
					t.Errorf("%+v", p)
				}
			})
		})
	}
}

func TestAMessageThatIsThroughBeforeItsRepeatWaitsIsNoticed(t *testing.T) {
	for _, twins := range []int{1, 2} { // answers that it is there, until it is through
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, repeating(false, patient))
			l.slowly()
			asked := &sayer{notedLedger: notedLedger{Store: l.ledger}}
			l.Enforcer.Ledger = asked
			first := l.start(t.Context(), same)
			asked.then = func() { <-first }
			if twins == 2 {
				asked.then = func() { asked.then = func() { <-first } }
			}
			if p := <-l.start(t.Context(), same); p.resp.StatusCode != 200 || p.after != 2*time.Minute {
				t.Errorf("%d: %+v", twins, p)
			}
		})
	}
}

// What was missed while nothing was heard is looked at.
func TestWhoHearsAgainLooksAtEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+minutely)
		tell := l.listening(l.ledger)
		l.post("/send", `{"to":"a"}`)
		if err := l.ledger.Pause(t.Context(), l.name(), &ratelimit.Hold{Until: time.Now().Add(2 * time.Minute).UnixMilli()}); err != nil {
			t.Fatal(err)
		}
		b := l.start(t.Context(), `{"to":"b"}`)
		pass(time.Minute)
		tell(ratelimit.News{Deaf: true})
		if err := l.ledger.Pause(t.Context(), l.name(), nil); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		tell(ratelimit.News{All: true})
		if p := <-b; p.resp.StatusCode != 200 || p.after != 70*time.Second {
			t.Errorf("%+v", p)
		}
	})
}

func TestALookThatPanicsEndsNothing(t *testing.T) {
	log := &syncBuffer{}
	w := newWorld(t, minutely, func(_ *world, _ *proxy.Config, e *proxy.Enforcer) { e.Log = slog.New(slog.NewTextHandler(log, nil)) })
	q, c := w.newQueue(), w.client(false)
	w.send(c, "anna", "a")
	w.next()
	q.hold(c, "anna", "b")
	leave := proxy.EnterNobody(w.enforcer)
	w.enforcer.AccountChanged("nobody")
	eventually(t, "the panic is not logged", func() bool { return strings.Contains(log.String(), "the look at who waits panicked") })
	leave()
	w.set.Store(loadRules(t, five))
	w.enforcer.RulesChanged()
	q.wantSent("a b")
}
