package proxy_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// minuteTier lets one through every minute, in line.
const minuteTier = "limits:\n  - {name: chat.first, on: chat.message, rate: 9, per: 1h}\n  - {name: chat.tier, on: chat.message, rate: 1, per: 60s, wait: 5m}\n"

// A takenRates counts what it was asked for, by limit.
type takenRates struct {
	ratelimit.Rates
	mu    sync.Mutex
	taken map[string]int
	then  func() // once, when there is to be a wait
}

func (r *takenRates) Take(ctx context.Context, rate ratelimit.Rate, n int64) (time.Duration, bool, error) {
	r.mu.Lock()
	r.taken[rate.Limit]++
	r.mu.Unlock()
	wait, never, err := r.Rates.Take(ctx, rate, n)
	if then := r.then; wait > 0 && then != nil {
		r.then = nil
		then()
	}
	return wait, never, err
}

func (r *takenRates) count(limit string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken[limit]
}

// A ruled lab changes its rules while messages wait for a rate.
type ruled struct {
	*lab
	set   atomic.Pointer[rules.Set]
	rates *takenRates
	done  []<-chan posting
}

// newRuled is a lab in which one message went and three wait in line.
func newRuled(t *testing.T) *ruled {
	r := &ruled{lab: newLab(t, chat+minuteTier)}
	r.rates = &takenRates{Rates: r.lab.Rates, taken: map[string]int{}}
	r.Enforcer.Rates = r.rates
	r.set.Store(r.Rules())
	r.Enforcer.Rules = r.set.Load
	for i := range 4 {
		r.done = append(r.done, r.start(t.Context(), fmt.Sprint(`{"to":"`, i, `"}`)))
	}
	pass(10 * time.Second)
	return r
}

func (r *ruled) change(rules string) {
	r.set.Store(mustLoad(r.t, rules))
	r.RulesChanged()
}

// wantSent wants those to have arrived, in this order, after these seconds; of
// those that may go at once neither is before the other.
func (r *ruled) wantSent(want string) {
	r.t.Helper()
	for _, done := range r.done {
		<-done
	}
	var got []string
	for _, a := range r.sent() {
		got = append(got, fmt.Sprintf("%c@%.0f", a.body[7], a.after.Seconds()))
	}
	slices.SortFunc(got, func(a, b string) int {
		var x, y, at, bt int
		fmt.Sscanf(a, "%d@%d", &x, &at)
		fmt.Sscanf(b, "%d@%d", &y, &bt)
		return cmp.Or(at-bt, x-y)
	})
	if all := strings.Join(got, " "); all != want {
		r.t.Errorf("sent %s, want %s", all, want)
	}
	if n := r.Held(); n != 0 {
		r.t.Errorf("%d are held", n)
	}
}

func TestNewRulesDecideThoseWhoWaitForARate(t *testing.T) {
	for _, c := range []struct{ name, rules, sent string }{
		{"wider", strings.Replace(minuteTier, "60s", "5s", 1), "0@0 1@10 2@15 3@20"},
		{"narrower", strings.Replace(minuteTier, "60s", "100s", 1), "0@0 1@10 2@110 3@210"},
		{"none", strings.Replace(minuteTier, "rate: 1, per: 60s", "allow: 9, per: day", 1), "0@0 1@10 2@10 3@10"},
		{"none to one, later a pace", strings.Replace(minuteTier, "rate: 1, per: 60s", "pace: 5s", 1), "0@0 1@10 2@15 3@20"},
		{"the same", minuteTier + "  - {name: chat.day, on: chat.message, allow: 9, per: day}\n", "0@0 1@60 2@120 3@180"},
		{"a shorter wait", strings.Replace(minuteTier, "5m", "130s", 1), "0@0 1@60 2@120"},
		{"one that none but the first keeps", strings.Replace(minuteTier, "5m", "60s", 1), "0@0 1@60"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRuled(t)
				asked := r.rates.count("chat.tier")
				r.change(chat + c.rules)
				if n := r.rates.count("chat.tier") - asked; c.name == "the same" && n > 0 {
					t.Errorf("the rate was asked %d times", n)
				}
				r.wantSent(c.sent)
				if n := r.rates.count("chat.first"); n != 4 {
					t.Errorf("a rate that all have passed was asked %d times", n)
				}
			})
		})
	}
}

func TestNewRulesThatRefuseEndTheLineOfARate(t *testing.T) {
	for name, c := range map[string]struct {
		rules  string
		status int
		limit  string
	}{
		"a limit":    {chat + "limits: [{name: chat.none, on: chat.message, allow: 0, per: day}]\n", 429, "chat.none"},
		"a rate":     {chat + strings.Replace(minuteTier, "5m", "0s", 1), 200, ""},
		"no message": {strings.Replace(chat, "/send", "/other", 1), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRuled(t)
				r.change(c.rules)
				for i, done := range r.done[1:] {
					p := <-done
					if name == "a rate" {
						c.status, c.limit = 429, "chat.tier"
					}
					if p.resp.StatusCode != c.status || p.resp.Header.Get("Quotagate-Limit") != c.limit || p.after != 10*time.Second {
						t.Errorf("the %d.: %d %v after %s", i+1, p.resp.StatusCode, p.resp.Header, p.after)
					}
				}
			})
		})
	}
}

// Between the rate's answer and the wait nobody could be woken.
func TestRulesThatChangeBeforeTheWaitForARateBeginsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRuled(t)
		for _, done := range r.done {
			<-done
		}
		asked := r.rates.count("chat.tier")
		r.rates.then = func() { r.change(chat + strings.Replace(minuteTier, "60s", "5s", 1)) }
		if p := <-r.start(t.Context(), `{"to":"4"}`); p.resp.StatusCode != 200 || p.after != 180*time.Second {
			t.Errorf("%+v", p)
		}
		if n := r.rates.count("chat.tier") - asked; n != 2 {
			t.Errorf("the rate was asked %d times", n)
		}
	})
}
