package proxy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// tier is a smoothed rate of two in a second, which holds for 3 s.
const tier = "limits:\n  - {name: chat.tier, on: chat.message, rate: 2, per: 1s, wait: 3s}\n"

func TestARateHoldsInTheOrderOfArrivalAndRefusesWhatWouldWaitTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+tier)
		var wg sync.WaitGroup
		var mu sync.Mutex
		refused := 0
		for i := range 10 {
			wg.Go(func() {
				resp, body := l.post("/send", fmt.Sprintf(`{"to":"bob","n":%d}`, i))
				mu.Lock()
				defer mu.Unlock()
				if resp.StatusCode == 200 {
					return
				}
				refused++
				// Two go at once and one every half second: the eighth is
				// the last within 3 s.
				if resp.StatusCode != 429 || resp.Header.Get("Quotagate-Limit") != "chat.tier" || resp.Header.Get("Retry-After") != "4" ||
					!strings.Contains(body, "2 every 1s are let through; room again at") {
					t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
				}
				if time.Since(l.begin) > 0 {
					t.Errorf("refused after %s", time.Since(l.begin))
				}
			})
			synctest.Wait() // it is in line
		}
		if n := l.Held(); n != 6 {
			t.Errorf("%d are held, want 6", n)
		}
		wg.Wait()
		sent := l.sent()
		if len(sent) != 8 || refused != 2 {
			t.Fatalf("%d sent, %d refused: %+v", len(sent), refused, sent)
		}
		for i, a := range sent {
			want := max(0, time.Duration(i-1)*500*time.Millisecond)
			if a.after != want || !strings.Contains(a.body, fmt.Sprintf(`"n":%d`, i)) {
				t.Errorf("the %d. arrival: %s after %s, want after %s", i, a.body, a.after, want)
			}
		}
		if r := l.last(); r.Decision != proxy.DecisionForward || r.Held != 3*time.Second {
			t.Errorf("%+v", r)
		}
		holds := 0
		for i := range l.records {
			if r := &l.records[i]; r.Decision == proxy.DecisionHold {
				holds++
				if r.Limit != "chat.tier" || r.Allow != 2 || !r.RetryAt.After(r.Time) {
					t.Errorf("the record of a hold: %+v", r)
				}
			}
		}
		if holds != 6 {
			t.Errorf("%d records of a hold", holds)
		}
	})
}

func TestARefusalByTheLedgerGivesNoRateBackAndOneByARateTakesNothingOfTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+`limits:
  - {name: chat.tier, on: chat.message, rate: 2, per: 1m}
  - {name: chat.day, on: chat.message, allow: 1, per: day}
`)
		for i, want := range []string{"", "chat.day", "chat.tier"} {
			resp, _ := l.post("/send", `{"to":"bob"}`)
			if got := resp.Header.Get("Quotagate-Limit"); got != want {
				t.Errorf("the %d. is decided by %q, want %q", i+1, got, want)
			}
		}
		if n := l.used("chat.day"); n != 1 {
			t.Errorf("%d used of the day", n)
		}
	})
}

func TestWhatTheLedgerHoldsTakesItsRateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+`limits:
  - {name: chat.tier, on: chat.message, rate: 3, per: 1h}
  - {name: chat.pair, on: chat.message, allow: 1, per: 10s, by: recipient, wait: 1m}
`)
		// The second and the third are told later twice, and ask again.
		for i := range 3 {
			if resp, body := l.post("/send", `{"to":"bob"}`); resp.StatusCode != 200 {
				t.Errorf("the %d.: %s", i+1, body)
			}
		}
		if resp, _ := l.post("/send", `{"to":"carl"}`); resp.Header.Get("Quotagate-Limit") != "chat.tier" {
			t.Errorf("the fourth: %d %v", resp.StatusCode, resp.Header)
		}
	})
}

func TestAShadowRateIsOnlyNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+`limits:
  - {name: chat.tier, on: chat.message, rate: 1, per: 1m, mode: shadow}
  - {name: chat.soft, on: chat.message, rate: 1, per: 1m, action: warn}
`)
		l.post("/send", `{"to":"bob"}`)
		if r := l.last(); len(r.Shadowed)+len(r.Warned) != 0 {
			t.Errorf("the first: %+v", r)
		}
		resp, _ := l.post("/send", `{"to":"bob"}`)
		r := l.last()
		if resp.StatusCode != 200 || fmt.Sprint(r.Shadowed) != "[chat.tier]" || fmt.Sprint(r.Warned) != "[chat.soft]" || resp.Header.Get("Quotagate-Warning") != "chat.soft" {
			t.Errorf("%d %v %+v", resp.StatusCode, resp.Header, r)
		}
	})
}

func TestAClientThatLeavesTheLineOfARateSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+strings.Replace(tier, "rate: 2, per: 1s", "rate: 1, per: 2s", 1))
		l.post("/send", `{"to":"bob"}`)
		ctx, leave := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			_, err := l.RoundTrip(request(ctx, t, "POST", "/send", `{"to":"bob"}`))
			done <- err
		}()
		synctest.Wait()
		leave()
		if err := <-done; err == nil {
			t.Error("it was answered")
		}
		if r := l.last(); r.Decision != proxy.DecisionCancel {
			t.Errorf("%+v", r)
		}
		if n := len(l.sent()); n != 1 {
			t.Errorf("%d sent", n)
		}
	})
}

func TestStoppingEndsTheLineOfARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, chat+tier)
		stop := make(chan struct{})
		l.Draining = stop
		var wg sync.WaitGroup
		statuses := make(chan int, 5)
		for range 5 {
			wg.Go(func() {
				resp, _ := l.post("/send", `{"to":"bob"}`)
				statuses <- resp.StatusCode
			})
		}
		synctest.Wait()
		close(stop)
		wg.Wait()
		close(statuses)
		count := map[int]int{}
		for s := range statuses {
			count[s]++
		}
		if count[200] != 2 || count[503] != 3 {
			t.Errorf("%v", count)
		}
		if time.Since(l.begin) > 0 {
			t.Errorf("it took %s", time.Since(l.begin))
		}
	})
}

// A brokenRates answers nothing.
type brokenRates struct{}

func (brokenRates) Take(context.Context, ratelimit.Rate, int64) (time.Duration, bool, error) {
	return 0, false, fmt.Errorf("no answer: %w", context.DeadlineExceeded)
}

func TestRatesThatDoNotAnswerAreALedgerThatDoesNot(t *testing.T) {
	for policy, want := range map[string]int{"reject": http.StatusServiceUnavailable, "forward": http.StatusOK} {
		t.Run(policy, func(t *testing.T) {
			l := newLab(t, strings.Replace(chat, "{wait: 0s}", "{wait: 0s, on_store_error: "+policy+"}", 1)+tier)
			l.Rates = brokenRates{}
			if resp, body := l.post("/send", `{"to":"bob"}`); resp.StatusCode != want {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
		})
	}
}

// What a rate has left is known to nobody who does not take from it.
func TestAnExplanationDoesNotSpeakForARate(t *testing.T) {
	for rules, want := range map[string]string{
		chat:        "no limit binds it",
		chat + tier: "only a rate binds it, and that is asked when the request comes",
		chat + tier + "  - {name: chat.day, on: chat.message, allow: 5, per: day}\n": "every limit has room; the rate is asked when the request comes",
	} {
		l := newLab(t, rules)
		x, err := l.Explain(t.Context(), request(t.Context(), t, "POST", "/send", `{"to":"bob"}`), time.Now())
		if err != nil || x.Decision != proxy.DecisionForward || x.Reason != want {
			t.Errorf("%v, %s: %q, want %q", err, x.Decision, x.Reason, want)
		}
		if n := l.Buffered(); n != 0 {
			t.Errorf("%d bytes of the body stay counted", n)
		}
	}
}
