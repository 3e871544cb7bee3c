package proxy_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// minutely has everybody wait but the first.
const minutely = "limits: [{name: chat.pace, on: chat.message, pace: 60s, wait: 5m}, {name: chat.day, on: chat.message, allow: 9, per: day}]\n"

// A queue is messages that a world's proxy holds, and who they are for.
type queue struct {
	w       *world
	mu      sync.Mutex
	arrived []string // at the service
	answers chan answer
	waiting int
}

// newQueue has the service note whom it gets messages for.
func (w *world) newQueue() *queue {
	q := &queue{w: w, answers: make(chan answer, 100)}
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		var m struct{ To string }
		_ = json.NewDecoder(r.Body).Decode(&m) // nobody is a message, too
		q.mu.Lock()
		q.arrived = append(q.arrived, m.To)
		q.mu.Unlock()
		io.WriteString(rw, `{"ok":true}`)
	})
	return q
}

// hold sends a message that is held, and returns when it is.
func (q *queue) hold(c *http.Client, account, to string) {
	q.w.t.Helper()
	req := q.w.message(context.Background(), account, to)
	go func() {
		resp, err := c.Do(req)
		if err != nil {
			q.answers <- answer{err: err}
			return
		}
		resp.Body.Close()
		q.answers <- answer{status: resp.StatusCode, word: resp.Header.Get("Quotagate-Error") + resp.Header.Get("Quotagate-Limit")}
	}()
	if r := q.w.next(); r.Decision != proxy.DecisionHold {
		q.w.t.Fatalf("%+v", r)
	}
	q.waiting++
}

// held is a world in which anna's "a" went and her "b" is held behind it.
func held(t *testing.T, limits string, options ...option) (*world, *queue) {
	t.Helper()
	w := newWorld(t, limits, options...)
	q, c := w.newQueue(), w.client(false)
	w.send(c, "anna", "a")
	w.next()
	q.hold(c, "anna", "b")
	return w, q
}

// answered waits for all that were held: less than any of them would have to.
func (q *queue) answered() (all []answer) {
	q.w.t.Helper()
	for end := time.After(20 * time.Second); q.waiting > 0; q.waiting-- {
		select {
		case a := <-q.answers:
			all = append(all, a)
		case <-end:
			q.w.t.Fatalf("%d still wait", q.waiting)
		}
	}
	return all
}

func (q *queue) order() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return strings.Join(q.arrived, " ")
}

// oneByOne moves the clock on by a pace whenever the service got one more.
func (q *queue) oneByOne(clock *handClock, pace time.Duration) {
	q.w.t.Helper()
	for n := range q.waiting {
		clock.pass(pace)
		eventually(q.w.t, "nobody goes", func() bool { return strings.Count(q.order(), " ") > n })
	}
}

func (q *queue) wantSent(order string) {
	q.w.t.Helper()
	for _, a := range q.answered() {
		if a.status != http.StatusOK || a.err != nil {
			q.w.t.Errorf("what was held: %+v", a)
		}
	}
	if got := q.order(); got != order {
		q.w.t.Errorf("the service got %q, want %q", got, order)
	}
	if n := q.w.enforcer.Held(); n != 0 {
		q.w.t.Errorf("%d held", n)
	}
}

func TestAWiderLimitLetsWhatWaitsGoAtOnceAndInItsOrder(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		clock := newHandClock()
		w := newWorld(t, minutely, clock.drive)
		q, c := w.newQueue(), w.client(h2)
		w.send(c, "anna", "a")
		w.next()
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := c.Do(w.message(ctx, "anna", "nobody"))
			gone <- err
		}()
		w.next()
		for _, to := range []string{"b", "c", "d", "e"} {
			q.hold(c, "anna", to)
		}
		leave() // whose place is then another's
		if r, err := w.next(), <-gone; r.Decision != proxy.DecisionCancel || err == nil {
			t.Fatalf("%+v %v", r, err)
		}
		w.set.Store(loadRules(t, strings.Replace(minutely, "60s", "61s", 1)))
		w.enforcer.RulesChanged() // narrower: they stay, in their order
		w.set.Store(loadRules(t, strings.Replace(minutely, "60s", "50ms", 1)))
		w.enforcer.RulesChanged()
		q.oneByOne(clock, 50*time.Millisecond)
		q.wantSent("a b c d e")
		if n := w.used("chat.day"); n != 5 {
			t.Errorf("http2=%v: %d counted, want 5", h2, n)
		}
	}
}

func TestANarrowerLimitKeepsWhatWaits(t *testing.T) {
	w, q := held(t, minutely)
	w.set.Store(loadRules(t, strings.Replace(minutely, "60s", "90s", 1)))
	w.enforcer.RulesChanged()
	eventually(t, "its slot is the old pace's", func() bool {
		d, err := w.ledger.Fire(t.Context(), w.records[1].ID)
		if err != nil || d.Verdict != ratelimit.Booked {
			t.Fatalf("%+v %v", d, err)
		}
		return d.At-d.Now > 70_000
	})
	if n := w.enforcer.Held(); n != 1 || q.order() != "a" {
		t.Errorf("%d held, and the service got %q", n, q.order())
	}
	w.set.Store(loadRules(t, five))
	w.enforcer.RulesChanged()
	q.wantSent("a b")
}

func TestRulesThatRefuseEndTheWaitWithARefusal(t *testing.T) {
	w, q := held(t, minutely)
	w.set.Store(loadRules(t, "limits: [{name: chat.none, on: chat.message, allow: 0, per: day}, {name: chat.day, on: chat.message, allow: 9, per: day}]\n"))
	w.enforcer.RulesChanged()
	if a := q.answered()[0]; a.status != http.StatusTooManyRequests || a.word != "chat.none" {
		t.Errorf("%+v", a)
	}
	if n := w.used("chat.day"); n != 1 || q.order() != "a" {
		t.Errorf("%d counted, want 1; the service got %q", n, q.order())
	}
}

// A meddler changes something as soon as the ledger has booked.
type meddler struct {
	ratelimit.Store
	change func()
}

func (m *meddler) Reserve(ctx context.Context, r ratelimit.Request) (ratelimit.Decision, error) {
	d, err := m.Store.Reserve(ctx, r)
	if change := m.change; d.Verdict == ratelimit.Booked && change != nil {
		m.change = nil
		change()
	}
	return d, err
}

// Between the ledger's answer and the wait nobody could be woken.
func TestWhatChangesBeforeTheWaitBeginsIsNoticed(t *testing.T) {
	const paced = "limits: [{name: chat.pace, on: chat.message, pace: 10ms, wait: 5m}]\n"
	ledger := &meddler{}
	w := newWorld(t, paced, func(w *world, _ *proxy.Config, e *proxy.Enforcer) { ledger.Store, e.Ledger = w.ledger, ledger })
	q, c := w.newQueue(), w.client(false)
	w.send(c, "anna", "a")
	account := w.next().Account
	pause := &ratelimit.Hold{Until: time.Now().Add(time.Minute).UnixMilli(), Why: "a person looks"}
	if err := w.ledger.Pause(t.Context(), account, pause); err != nil {
		t.Fatal(err)
	}
	ledger.change = func() {
		if err := w.ledger.Pause(t.Context(), account, nil); err != nil {
			t.Error(err)
		}
		w.enforcer.AccountChanged(account)
	}
	q.hold(c, "anna", "b")
	q.wantSent("a b")
	w.next()

	w.set.Store(loadRules(t, minutely))
	ledger.change = func() {
		w.set.Store(loadRules(t, five))
		w.enforcer.RulesChanged()
	}
	q.hold(c, "anna", "c")
	q.wantSent("a b c")
}

// Thousands may wait, and most changes of the rules concern few of them.
func TestRulesThatAskTheSameAskNobody(t *testing.T) {
	ledger := &notedLedger{}
	w, q := held(t, minutely, noted(ledger))
	ledger.taken()
	w.set.Store(loadRules(t, minutely+"accounts: {nina: {plan: free}}\n"))
	w.enforcer.RulesChanged()
	w.set.Store(loadRules(t, five)) // comes behind the other, so that one is over
	w.enforcer.RulesChanged()
	q.wantSent("a b")
	if calls := ledger.taken(); strings.Count(calls, "reserve") > 1 {
		t.Errorf("the ledger was asked %s", calls)
	}
}

func TestAResumedAccountGoesAtOnceAndInItsOrder(t *testing.T) {
	clock := newHandClock()
	w := newWorld(t, minutely, clock.drive)
	q, c := w.newQueue(), w.client(false)
	w.send(c, "anna", "a")
	account := w.next().Account
	pause := &ratelimit.Hold{Until: clock.Now().Add(2 * time.Minute).UnixMilli(), Why: "a person looks"}
	if err := w.ledger.Pause(t.Context(), account, pause); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"b", "c", "d"} {
		q.hold(c, "anna", to)
	}
	w.enforcer.AccountChanged("somebody else")
	if err := w.ledger.Pause(t.Context(), account, nil); err != nil {
		t.Fatal(err)
	}
	w.enforcer.AccountChanged(account)
	q.oneByOne(clock, time.Minute)
	q.wantSent("a b c d")
}

func TestWhatIsGivenLetsWhatWaitsGo(t *testing.T) {
	w := newWorld(t, "limits: [{name: chat.roll, on: chat.message, allow: 1, per: 60s, wait: 5m}]\n")
	q, c := w.newQueue(), w.client(false)
	w.send(c, "anna", "a")
	account := w.next().Account
	q.hold(c, "anna", "b")
	q.hold(c, "anna", "c")
	if err := w.ledger.Give(t.Context(), account, ratelimit.Gift{ID: "more", Limit: "chat.roll", Units: 2}); err != nil {
		t.Fatal(err)
	}
	w.enforcer.AccountChanged(account)
	for _, a := range q.answered() { // both may go at once, so neither is before the other
		if a.status != http.StatusOK {
			t.Errorf("%+v", a)
		}
	}
}
