package proxy_test

// What waits for a counter of a whole service, and is decided anew before it is
// due: it goes where there is room by then, and otherwise loses nothing.

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// ofTheService has all accounts wait for one counter, and counts each by itself.
func ofTheService(limit string) string {
	if !strings.Contains(limit, "wait") {
		limit += ", wait: 58s"
	}
	return "limits: [{name: chat.all, on: chat.message, " + limit + ", scope: service}, {name: chat.day, on: chat.message, allow: 9, per: day}]\n"
}

// waiting is a world in which anna's "a" went, and one message of each of these
// accounts is held behind it.
func waiting(t *testing.T, limit string, accounts ...string) (*world, *queue, *handClock) {
	t.Helper()
	return waitingAt(t, limit, func(*world, *proxy.Config, *proxy.Enforcer) {}, accounts...)
}

func waitingAt(t *testing.T, limit string, also option, accounts ...string) (*world, *queue, *handClock) {
	t.Helper()
	clock := newHandClock()
	clock.pass(clock.Now().Truncate(time.Minute).Add(90*time.Second + 7*time.Millisecond).Sub(clock.Now())) // half a minute before the next; no round time
	w := newWorld(t, ofTheService(limit), clock.drive, also)
	q, c := w.newQueue(), w.client(false)
	w.send(c, "anna", "a")
	w.next()
	clock.pass(time.Millisecond)
	for i, account := range accounts {
		q.hold(c, account, string(rune('b'+i)))
	}
	return w, q, clock
}

func (w *world) reload(t *testing.T, limits string) {
	t.Helper()
	w.set.Store(loadRules(t, limits))
	w.enforcer.RulesChanged()
}

// slots are those of the messages that are held, from now on.
func (w *world) slots(t *testing.T, clock *handClock) (after []time.Duration) {
	t.Helper()
	for _, r := range w.records {
		if r.Decision != "hold" {
			continue
		}
		d, err := w.ledger.Fire(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if d.Verdict == ratelimit.Booked {
			after = append(after, time.UnixMilli(d.At).Sub(clock.Now()))
		}
	}
	return after
}

func TestAWiderLimitOfAServiceLetsWhatWaitsGoAtOnce(t *testing.T) {
	for _, c := range []struct {
		name, before string
		held         []string
		then         []string // with each of which one more goes
	}{
		{"more a minute", "allow: 1, per: minute", []string{"bert"}, []string{"allow: 2, per: minute"}},
		{"more in 60 seconds", "allow: 1, per: 60s, wait: 5m", []string{"bert", "anna", "carl"}, []string{"allow: 2, per: 60s, wait: 5m", "allow: 3, per: 60s, wait: 5m", "allow: 4, per: 60s, wait: 5m"}},
		{"another limit", "pace: 60s, wait: 5m", []string{"bert", "anna"}, []string{"allow: 1, per: lifetime", "allow: 2, per: lifetime"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, q, _ := waiting(t, c.before, c.held...)
			for i, limit := range c.then {
				w.reload(t, ofTheService(limit))
				if a := <-q.answers; a.status != http.StatusOK {
					t.Errorf("%+v", a)
				}
				q.waiting--
				if got, want := q.order(), "a b c d"[:2*i+3]; got != want {
					t.Errorf("the service got %q, want %q", got, want)
				}
			}
			if n := w.enforcer.Held() + int64(q.waiting); n != 0 {
				t.Errorf("%d wait", n)
			}
		})
	}
}

func TestAFasterPaceOfAServiceKeepsTheOrderOfAllAccounts(t *testing.T) {
	w, q, clock := waiting(t, "pace: 60s, wait: 5m", "bert", "anna", "carl", "bert", "dora")
	w.reload(t, ofTheService("pace: 50ms, wait: 5m"))
	q.oneByOne(clock, 50*time.Millisecond)
	q.wantSent("a b c d e f")
}

func TestAReloadThatDoesNotHelpLeavesAServicesQueueAsItIs(t *testing.T) {
	ledger := &notedLedger{}
	w, q, clock := waitingAt(t, "pace: 60s, wait: 5m", noted(ledger), "bert", "anna", "carl")
	before := w.slots(t, clock)
	ledger.taken()
	w.reload(t, ofTheService("pace: 90s, wait: 5m"))
	asked := 0
	eventually(t, "not all are decided anew", func() bool {
		asked += strings.Count(ledger.taken(), "reserve")
		return asked == 3
	})
	for i, at := range w.slots(t, clock) {
		if at != before[i] {
			t.Errorf("message %d is due in %s, was in %s", i, at, before[i])
		}
	}
	// When it is due it is decided by the new rules, and not by those that it was
	// booked by: a minute is not enough any more.
	clock.pass(time.Minute)
	eventually(t, "it is not decided anew when it is due", func() bool {
		s := w.slots(t, clock)
		return len(s) == 3 && max(s[0], s[1], s[2]) > 2*time.Minute
	})
	if got := q.order(); got != "a" {
		t.Errorf("the service got %q", got)
	}
	w.reload(t, five)
	q.answered()
}

func TestAResumedAccountDoesNotWaitForItsServicesCounter(t *testing.T) {
	w, q, clock := waiting(t, "pace: 50ms, wait: 5m")
	account := w.records[0].Account
	pause := &ratelimit.Hold{Until: clock.Now().Add(4 * time.Minute).UnixMilli(), Why: "a person looks"}
	if err := w.ledger.Pause(t.Context(), account, pause); err != nil {
		t.Fatal(err)
	}
	q.hold(w.client(false), "anna", "b")
	if err := w.ledger.Pause(t.Context(), account, nil); err != nil {
		t.Fatal(err)
	}
	w.enforcer.AccountChanged(account)
	clock.pass(time.Second)
	q.wantSent("a b")
}

func TestRulesThatRefuseEndTheWaitForAServicesCounter(t *testing.T) {
	for limit, word := range map[string]string{
		"allow: 0, per: day":   "chat.all",
		"pace: 60s, wait: 10s": "chat.all",
	} {
		w, q, _ := waiting(t, "pace: 60s, wait: 5m", "bert")
		w.reload(t, ofTheService(limit))
		if a := q.answered()[0]; a.status != http.StatusTooManyRequests || a.word != word {
			t.Errorf("%s: %+v", limit, a)
		}
	}
}

func TestWhatAPersonChangesAtOneReplicaWakesWhoWaitsForAServiceAtTheOther(t *testing.T) {
	near, far := replicas(t, chat+"limits: [{name: chat.roll, on: chat.message, allow: 1, per: 4m, wait: 5m, scope: service}]\n")
	if resp, body := near.post("/send", `{"to":"a"}`); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	b := far.posts(`{"to":"b"}`)
	if err := near.Ledger.Give(t.Context(), "service:chat", ratelimit.Gift{ID: "more", Limit: "chat.roll", Units: 2}); err != nil {
		t.Fatal(err)
	}
	answeredSoon(t, b, 200)
	c := near.name()
	if err := near.Ledger.Pause(t.Context(), c, &ratelimit.Hold{Until: time.Now().Add(4 * time.Minute).UnixMilli()}); err != nil {
		t.Fatal(err)
	}
	held := far.posts(`{"to":"c"}`)
	if err := near.Ledger.Pause(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	answeredSoon(t, held, 200)
}
