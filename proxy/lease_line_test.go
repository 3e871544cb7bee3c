package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quotagate/ratelimit"
)

// oneAtOnce is a limit that lets one call at a time through, and who waits for it.
const oneAtOnce = "limits: [{name: chat.once, on: chat.request, concurrent: 1, wait: 5m}, {name: chat.short, on: chat.request, allow: 9, per: day}]\n"

// An office serves one call at a time, as long as a test wants.
type office struct {
	*lab
	ledger *notedLedger
	ends   chan *io.PipeWriter // of those that are on their way
}

func newOffice(t *testing.T, limits string) *office {
	o := &office{lab: newLab(t, chat+limits), ends: make(chan *io.PipeWriter, 100)}
	o.ledger = &notedLedger{Store: o.lab.ledger}
	o.Enforcer.Ledger = o.ledger
	o.answer = func(*http.Request) *http.Response {
		body, write := io.Pipe()
		o.ends <- write
		r := answerOf(200, "")
		r.Body, r.ContentLength = body, -1
		return r
	}
	return o
}

// call asks for a path, and returns what became of it when its answer was read.
func (o *office) call(ctx context.Context, path string) <-chan posting {
	defer synctest.Wait()
	return o.begins(ctx, path)
}

func (o *office) begins(ctx context.Context, path string) <-chan posting {
	done := make(chan posting, 1)
	go func() {
		resp, err := o.RoundTrip(request(ctx, o.t, "GET", path, ""))
		p := posting{resp: resp, after: time.Since(o.begin)}
		if err == nil {
			io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		done <- p
	}()
	return done
}

// end ends the call that is on its way.
func (o *office) end() {
	(<-o.ends).Close()
	synctest.Wait()
}

// known has the ledger know the account, by a message.
func (o *office) known() {
	go o.post("/send", `{"to":"bob"}`)
	synctest.Wait()
	o.end()
}

func (o *office) wantSent(n int) {
	o.t.Helper()
	if got := len(o.sent()); got != n {
		o.t.Errorf("%d are sent, want %d", got, n)
	}
}

func TestWhoWaitsForAPlaceGoesWhenItIsFreeInTheirOrderAndAsksNobodyBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, oneAtOnce)
		var all []<-chan posting
		for i := range 5 {
			all = append(all, o.call(t.Context(), fmt.Sprint("/", i)))
			pass(10 * time.Millisecond)
		}
		o.wantSent(1)
		// The first asked; then he who waits longest, and whether there would be
		// room besides for those behind him.
		if calls := o.ledger.taken(); calls != "reserve, reserve, reserve, reserve, reserve" {
			t.Errorf("the ledger was asked %s", calls)
		}
		for i, one := range all {
			pass(20 * time.Second) // the lease is prolonged
			o.wantSent(i + 1)
			o.end()
			if p := <-one; p.resp.StatusCode != 200 || i > 0 && p.after != time.Duration(i)*20*time.Second+50*time.Millisecond {
				t.Errorf("the %d.: %+v", i, p)
			}
		}
		// The next asks when it is his turn, and the one behind him in vain.
		if calls := strings.ReplaceAll(o.ledger.taken(), "fire, ", ""); strings.Count(calls, "reserve") != 4+3 {
			t.Errorf("the ledger was asked %s", calls)
		}
		if n := o.Held(); n != 0 {
			t.Errorf("%d are held", n)
		}
	})
}

// A keeper has something happen between the end of a call and whoever hears of it.
type keeper struct {
	ratelimit.Store
	then func()
}

func (k *keeper) Keep(ctx context.Context, id string) error {
	err := k.Store.Keep(ctx, id)
	if then := k.then; then != nil {
		k.then = nil
		then()
	}
	return err
}

func TestNobodyOvertakesThoseWhoWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, oneAtOnce)
		k := &keeper{Store: o.ledger}
		o.Enforcer.Ledger = k
		first, second := o.call(t.Context(), "/first"), o.call(t.Context(), "/second")
		var third <-chan posting
		hear := make(chan struct{})
		k.then = func() {
			third = o.begins(t.Context(), "/third")
			<-hear
		}
		pass(time.Second)
		o.end()
		o.wantSent(1) // though there is a place
		close(hear)
		synctest.Wait()
		o.wantSent(2)
		pass(time.Second)
		o.end()
		pass(time.Second)
		o.end()
		<-first
		if a, b := <-second, <-third; a.after != time.Second || b.after != 2*time.Second {
			t.Errorf("the second went after %s, the third after %s", a.after, b.after)
		}
	})
}

// Of two places that were free at once the second is not forgotten.
func TestTwoPlacesLetTwoGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, strings.Replace(oneAtOnce, "concurrent: 1", "concurrent: 2", 1))
		for i := range 5 {
			o.call(t.Context(), fmt.Sprint("/", i))
		}
		o.wantSent(2)
		a, b := <-o.ends, <-o.ends
		a.Close()
		b.Close()
		synctest.Wait()
		o.wantSent(4)
		o.end()
		o.end()
		o.end()
		o.wantSent(5)
	})
}

func TestWhoLeavesTheLineForAPlaceIsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, oneAtOnce)
		ctx, leave := context.WithCancel(t.Context())
		first, second, third := o.call(t.Context(), "/first"), o.call(ctx, "/second"), o.call(t.Context(), "/third")
		leave()
		if p := <-second; p.resp != nil {
			t.Errorf("the second: %+v", p)
		}
		pass(time.Second)
		o.end()
		o.end()
		<-first
		if p := <-third; p.after != time.Second {
			t.Errorf("the third: %+v", p)
		}
		// And there is no line any more.
		o.ledger.taken()
		o.call(t.Context(), "/fourth")
		if calls := o.ledger.taken(); calls != "reserve" {
			t.Errorf("the ledger was asked %s", calls)
		}
		o.end()
	})
}

func TestWhoWaitsForAPlaceWaitsAsLongAsHeMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, strings.Replace(oneAtOnce, "5m", "10s", 1))
		o.call(t.Context(), "/first")
		second := o.call(t.Context(), "/second")
		pass(time.Second)
		third := o.call(t.Context(), "/third")
		for i, one := range []<-chan posting{second, third} {
			if p := <-one; p.resp.StatusCode != 429 || p.resp.Header.Get("Quotagate-Limit") != "chat.once" || p.resp.Header.Get("Retry-After") != "1" ||
				p.after != time.Duration(10+i)*time.Second {
				t.Errorf("the %d.: %+v", i+2, p)
			}
		}
		o.end()
		// What another limit refuses is told at once, who ever stands in line.
		o = newOffice(t, strings.Replace(oneAtOnce, "allow: 9", "allow: 1", 1))
		o.call(t.Context(), "/first")
		if p := <-o.call(t.Context(), "/second"); p.resp.StatusCode != 429 || p.resp.Header.Get("Quotagate-Limit") != "chat.short" || p.after > 0 {
			t.Errorf("%+v", p)
		}
		o.end()
	})
}

// Nobody tells of what a proxy that died had on its way: the ledger gives it up.
func TestAPlaceOfAProxyThatDiedIsTakenWhenItsLeaseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, oneAtOnce)
		o.known()
		dead := ratelimit.Request{ID: "dead", Account: o.name(), Claims: []ratelimit.Claim{{Limit: "chat.once", Measure: ratelimit.Concurrent, Cost: 1, Allow: 1}}}
		if d, err := o.lab.ledger.Reserve(t.Context(), dead); err != nil || d.Verdict != ratelimit.Go {
			t.Fatal(d, err)
		}
		o.ledger.taken()
		pass(time.Second)
		second := o.call(t.Context(), "/second")
		third := o.call(t.Context(), "/third")
		pass(58 * time.Second)
		o.wantSent(1)
		pass(time.Second)
		synctest.Wait()
		o.wantSent(2)
		o.end()
		o.end()
		if a, b := <-second, <-third; a.after != time.Minute || b.after != time.Minute {
			t.Errorf("%+v, %+v", a, b)
		}
		if calls := o.ledger.taken(); strings.Count(calls, "reserve") > 5 {
			t.Errorf("the ledger was asked %s", calls)
		}
	})
}

func TestAPlaceThatAnotherReplicaGivesUpIsTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, oneAtOnce)
		tell := o.listening(o.ledger)
		defer synctest.Wait()
		o.known()
		far := ratelimit.Request{ID: "far", Account: o.name(), Claims: []ratelimit.Claim{{Limit: "chat.once", Measure: ratelimit.Concurrent, Cost: 1, Allow: 1}}}
		if d, err := o.lab.ledger.Reserve(t.Context(), far); err != nil || d.Verdict != ratelimit.Go {
			t.Fatal(d, err)
		}
		second := o.call(t.Context(), "/second")
		place := ratelimit.Place{Home: o.name(), Limit: "chat.once"}
		o.ledger.taken()
		tell(ratelimit.News{Places: []ratelimit.Place{{Home: o.name(), Limit: "chat.other"}}})
		pass(3 * time.Second)
		if calls := o.ledger.taken(); calls != "" {
			t.Errorf("the ledger was asked %s", calls)
		}
		if err := o.lab.ledger.Keep(t.Context(), "far"); err != nil {
			t.Fatal(err)
		}
		tell(ratelimit.News{Places: []ratelimit.Place{place}})
		o.wantSent(2)
		o.end()
		if p := <-second; p.after != 3*time.Second {
			t.Errorf("%+v", p)
		}
	})
}

// While nothing is heard of the others, the first in line asks as often as the
// ledger says; a repeat, too.
func TestWhileNothingIsHeardOfOthersTheyAreAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, oneAtOnce)
		tell := o.listening(o.ledger)
		tell(ratelimit.News{Deaf: true})
		o.known()
		far := ratelimit.Request{ID: "far", Account: o.name(), Claims: []ratelimit.Claim{{Limit: "chat.once", Measure: ratelimit.Concurrent, Cost: 1, Allow: 1}}}
		if d, err := o.lab.ledger.Reserve(t.Context(), far); err != nil || d.Verdict != ratelimit.Go {
			t.Fatal(d, err)
		}
		second := o.call(t.Context(), "/second")
		pass(3 * time.Second)
		if err := o.lab.ledger.Keep(t.Context(), "far"); err != nil {
			t.Fatal(err)
		}
		pass(200 * time.Millisecond)
		o.wantSent(2)
		o.end()
		<-second
	})
}

// A refuser has something happen between the ledger's answer that there is no
// place and the wait for one.
type refuser struct {
	ratelimit.Store
	then func()
}

func (r *refuser) Reserve(ctx context.Context, q ratelimit.Request) (ratelimit.Decision, error) {
	d, err := r.Store.Reserve(ctx, q)
	if then := r.then; d.Verdict == ratelimit.Later && then != nil {
		r.then = nil
		then()
	}
	return d, err
}

func TestAPlaceThatIsFreeBeforeTheWaitForItBeginsIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, oneAtOnce)
		r := &refuser{Store: o.ledger}
		o.Enforcer.Ledger = r
		first := o.call(t.Context(), "/first")
		r.then = func() {
			(<-o.ends).Close()
			<-first
		}
		second := o.call(t.Context(), "/second")
		o.wantSent(2)
		o.end()
		if p := <-second; p.after > 0 {
			t.Errorf("the second went after %s", p.after)
		}
	})
}
