package e2e

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestAPaceHoldsAndKeepsTheOrder: one message in three seconds, up to a minute of
// patience; four that come at once leave one by one in the order they came. The
// second has three seconds to come, on a busy machine too.
func TestAPaceHoldsAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(listed("anna"), limits(`{name: space-out, on: linkedin.message, pace: 3s, wait: 1m}`))})
	client := g.byHand().client(t, false)

	begun := time.Now()
	var all sync.WaitGroup
	for n := 1; n <= 4; n++ {
		r := encode(t, viaVoyager.nth("anna", n))
		all.Go(func() {
			if a := do(client, r); a.Status != http.StatusOK || a.Headers["quotagate-decision"] != "forward" {
				t.Errorf("message %d: %+v", n, a)
			}
		})
		// The next one comes when this one is known to have come.
		eventually(t, 30*time.Second, "the message is forwarded or held", func() bool {
			return g.seen(t) >= n
		})
	}
	all.Wait()
	wantTexts(t, s.from("anna"), 4)
	// The slots lie three seconds apart from the first message's, which was not
	// before begun. An arrival can be late by what the network takes, never
	// early; so the slots are held to, and not the gaps between arrivals.
	for i, m := range s.from("anna") {
		if after := m.At.Sub(begun); after < time.Duration(i)*3*time.Second {
			t.Errorf("message %d arrived after %v", i+1, after)
		}
	}
	held := slices.DeleteFunc(g.decisions(t), func(r record) bool { return r.Decision != "forward" || r.HeldMs == 0 })
	if len(held) != 3 {
		t.Errorf("%d messages are logged as forwarded after a hold, want 3", len(held))
	}
}

// TestAClientThatLeavesAHoldGivesItsPlaceBack: its message is never sent, and
// the next one takes its place.
func TestAClientThatLeavesAHoldGivesItsPlaceBack(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(listed("anna"), limits(
		`{name: space-out, on: linkedin.message, pace: 4s, wait: 1m}`,
		`{name: ten-a-day, on: linkedin.message, allow: 10, per: day}`))})
	for i, client := range []*http.Client{g.byHand().client(t, false), g.byHand().client(t, true)} {
		n := 10 * i
		if first := do(client, encode(t, viaVoyager.nth("anna", n+1))); first.Status != http.StatusOK {
			t.Fatalf("the first message: %+v", first)
		}
		charged := last(g.decisions(t)).Time // or a little later

		holds, cancels := g.logged(t, "hold"), g.logged(t, "cancel")
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan struct{})
		second := encode(t, viaVoyager.nth("anna", n+2)).WithContext(ctx)
		go func() {
			defer close(gone)
			do(client, second)
		}()
		eventually(t, 10*time.Second, "the second message is held", func() bool { return g.logged(t, "hold") > holds })
		leave()
		<-gone
		eventually(t, 10*time.Second, "the leaving is logged", func() bool { return g.logged(t, "cancel") > cancels })

		if third := do(client, encode(t, viaVoyager.nth("anna", n+3))); third.Status != http.StatusOK {
			t.Errorf("the third message: %+v", third)
		}
		// One that came when the place was free already was not held.
		if at := g.slot(t); at.Sub(charged) > 6*time.Second {
			t.Errorf("the third message was to go %v after the first; the place of the second is free after 4 s", at.Sub(charged))
		}
		if slices.Contains(texts(s.from("anna")), text(n+2)) {
			t.Error("the message of the client that left was sent")
		}
		if got := s.count(linkedinWeb); got != 2*(i+1) {
			t.Errorf("the service received %d messages, want %d", got, 2*(i+1))
		}
		if used, ok := g.used(t, "anna", "ten-a-day"); !ok || used != int64(2*(i+1)) {
			t.Errorf("%d used (%t), want %d", used, ok, 2*(i+1))
		}
	}
}

// slot is when the message that was held last was to go.
func (g *gate) slot(t *testing.T) time.Time {
	t.Helper()
	holds := slices.DeleteFunc(g.decisions(t), func(r record) bool { return r.Decision != "hold" })
	at, err := time.Parse(time.RFC3339Nano, last(holds).RetryAt)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func last(list []record) record { return list[len(list)-1] }

// logged is the number of lines of the decision log with this decision.
func (g *gate) logged(t *testing.T, decision string) int {
	t.Helper()
	n := 0
	for _, r := range g.decisions(t) {
		if r.Decision == decision {
			n++
		}
	}
	return n
}

// seen is the number of requests that the decision log knows of.
func (g *gate) seen(t *testing.T) int {
	t.Helper()
	ids := make(map[string]bool)
	for _, r := range g.decisions(t) {
		ids[r.ID] = true
	}
	return len(ids)
}
