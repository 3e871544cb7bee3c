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
)

// repeating is a service whose messages carry ids, and a pace that holds.
func repeating(dedupes bool, limits string) string {
	return strings.Replace(chat, "    text: {json: $.text}\n", fmt.Sprintf("    text: {json: $.text}\n    id: {json: $.id}\n    dedupes: %v\n", dedupes), 1) + limits
}

const heldOnce = "limits: [{name: chat.pace, on: chat.message, pace: 10s, wait: 30s}, {name: chat.day, on: chat.message, allow: 9, per: day}]\n"

// A posting is an answer and when it came.
type posting struct {
	resp  *http.Response
	body  string
	after time.Duration
}

// start posts in the background, and returns when it waits.
func (l *lab) start(ctx context.Context, body string) <-chan posting {
	done := make(chan posting, 1)
	go func() {
		resp, err := l.RoundTrip(request(ctx, l.t, "POST", "/send", body))
		if err != nil {
			done <- posting{after: time.Since(l.begin)}
			return
		}
		resp.Body.Close()
		done <- posting{resp, "", time.Since(l.begin)}
	}()
	synctest.Wait()
	return done
}

const (
	other = `{"to":"bob","id":"0","text":"first"}`
	same  = `{"to":"bob","id":"1","text":"hello"}`
)

func TestOfTheSameMessageOneGoesAtTheSlotAndTheOthersAreToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, repeating(false, heldOnce))
		l.post("/send", other)
		var repeats []<-chan posting
		first := l.start(context.Background(), same)
		for range 3 {
			repeats = append(repeats, l.start(context.Background(), same))
		}
		if n := l.Held(); n != 4 {
			t.Errorf("%d are held", n)
		}
		if p := <-first; p.resp.StatusCode != 200 || p.after != 10*time.Second {
			t.Errorf("the first: %+v", p)
		}
		for _, r := range repeats {
			p := <-r
			if p.resp.StatusCode != http.StatusConflict || p.resp.Header.Get("Quotagate-Limit") != "same-id" || p.resp.Header.Get("Quotagate-Decision") != "reject" ||
				p.resp.Header.Get("Content-Type") != "application/problem+json" || p.after > 10*time.Second+250*time.Millisecond {
				t.Errorf("a repeat: %+v", p)
			}
		}
		if n := len(l.sent()); n != 2 {
			t.Errorf("%d sent", n)
		}
		if n := l.used("chat.day"); n != 2 {
			t.Errorf("%d counted", n)
		}
		// None of them keeps the next one back.
		if resp, _ := l.post("/send", `{"to":"bob","id":"2","text":"next"}`); resp.StatusCode != 200 {
			t.Errorf("the next: %d", resp.StatusCode)
		}
		if sent := l.sent(); sent[2].after != 20*time.Second {
			t.Errorf("the next went after %s", sent[2].after)
		}
	})
}

func TestWhereTheFirstIsGivenBackARepeatTakesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, repeating(false, heldOnce))
		l.post("/send", other)
		ctx, leave := context.WithCancel(context.Background())
		first := l.start(ctx, same)
		second, third := l.start(context.Background(), same), l.start(context.Background(), same)
		leave()
		<-first
		a, b := <-second, <-third
		if a.resp.StatusCode == 409 {
			a, b = b, a
		}
		if a.resp.StatusCode != 200 || a.after != 10*time.Second || b.resp.StatusCode != 409 {
			t.Errorf("%+v, %+v", a, b)
		}
		if n := l.used("chat.day"); n != 2 {
			t.Errorf("%d counted", n)
		}
	})
}

func TestARepeatOfWhatTheServiceDropsByItselfGoesFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, repeating(true, heldOnce))
		l.post("/send", other)
		first := l.start(context.Background(), same)
		second := l.start(context.Background(), same)
		a, b := <-first, <-second
		if a.resp.StatusCode != 200 || b.resp.StatusCode != 200 || a.after != 10*time.Second || b.after > 10*time.Second+250*time.Millisecond {
			t.Errorf("%+v, %+v", a, b)
		}
		if resp, _ := l.post("/send", same); resp.StatusCode != 200 {
			t.Errorf("the third: %d", resp.StatusCode)
		}
		if n := len(l.sent()); n != 4 {
			t.Errorf("%d sent", n)
		}
		if n := l.used("chat.day"); n != 2 {
			t.Errorf("%d counted", n)
		}
	})
}

func TestARepeatOfWhatIsOnItsWayIsAMessageOfItsOwnAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, repeating(false, "limits: [{name: chat.day, on: chat.message, allow: 9, per: day, wait: 30s}]\n"))
		l.answer = func(*http.Request) *http.Response {
			pass(5 * time.Second)
			return answerOf(200, "{}")
		}
		first := l.start(context.Background(), same)
		second := l.start(context.Background(), same)
		if n := len(l.sent()); n != 1 {
			t.Errorf("%d are on their way", n)
		}
		a, b := <-first, <-second
		if a.resp.StatusCode != 200 || b.resp.StatusCode != 200 || b.after != 10*time.Second { // woken at once, then 5 s of its own
			t.Errorf("%+v, %+v", a, b)
		}
		if n := l.used("chat.day"); n != 2 {
			t.Errorf("%d counted", n)
		}
	})
}

func TestARepeatWaitsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, repeating(false, "limits: [{name: chat.day, on: chat.message, allow: 9, per: day, wait: 3s}]\n"))
		l.answer = func(*http.Request) *http.Response {
			pass(5 * time.Second)
			return answerOf(200, "{}")
		}
		first := l.start(context.Background(), same)
		p := <-l.start(context.Background(), same)
		if p.resp.StatusCode != 409 || p.after != 3*time.Second || p.resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%+v", p)
		}
		if r := l.last(); r.Decision != proxy.DecisionReject || r.Limit != "same-id" || !strings.Contains(r.Reason, "on its way; ask again at ") {
			t.Errorf("%+v", r)
		}
		if p := <-first; p.resp.StatusCode != 200 {
			t.Errorf("%+v", p)
		}
	})
}

// A replica shares the ledger and knows nothing of the other's messages.
func (l *lab) replica() *lab {
	r := &lab{t: l.t, ledger: l.ledger, log: l.log, begin: l.begin, answer: l.answer}
	r.Enforcer = &proxy.Enforcer{Rules: l.Rules, Ledger: &newsroom{Store: l.ledger}, Next: serving(r.serve), Rates: l.Rates}
	return r
}

func TestARepeatAtAnotherReplicaIsTheSameMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, repeating(false, heldOnce))
		far := l.replica()
		l.post("/send", other)
		ctx, leave := context.WithCancel(context.Background())
		first := l.start(ctx, same)
		second := far.start(context.Background(), same)
		if p := <-first; p.resp.StatusCode != 200 {
			t.Errorf("the first: %+v", p)
		}
		if p := <-second; p.resp.StatusCode != 409 || p.after > 10*time.Second+500*time.Millisecond {
			t.Errorf("the second: %+v", p)
		}
		leave()
		// And one that was given back makes room there.
		ctx, leave = context.WithCancel(context.Background())
		defer leave()
		again := strings.Replace(same, `"1"`, `"2"`, 1)
		first, second = l.start(ctx, again), far.start(context.Background(), again)
		leave()
		<-first
		if p := <-second; p.resp.StatusCode != 200 || p.after > 20*time.Second+500*time.Millisecond {
			t.Errorf("the second: %+v", p)
		}
		if n := l.used("chat.day"); n != 3 {
			t.Errorf("%d counted", n)
		}
	})
}

func TestARepeatOnASocketIsToldThatTheFirstWent(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		clock := newHandClock()
		w := newWorld(t, five, clock.drive)
		w.set.Store(mustLoad(t, repeating(false, heldOnce)))
		post := func(ctx context.Context, body string) int {
			req, err := http.NewRequestWithContext(ctx, "POST", "https://chat.example/send", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return 0
			}
			req.Header.Set("Authorization", "Bearer anna")
			resp, err := w.client(h2).Do(req)
			if err != nil {
				return 0
			}
			resp.Body.Close()
			return resp.StatusCode
		}
		post(context.Background(), other)
		w.next()
		statuses := make(chan int, 3)
		go func() { statuses <- post(context.Background(), same) }()
		w.next() // the first is held
		go func() { statuses <- post(context.Background(), same) }()
		if r := w.next(); r.Decision != proxy.DecisionHold || r.Limit != "same-id" {
			t.Errorf("%+v", r)
		}
		ctx, leave := context.WithCancel(context.Background())
		go func() { statuses <- post(ctx, same) }()
		w.next()
		leave() // and one of them does not wait for it
		if r := w.next(); r.Decision != proxy.DecisionCancel {
			t.Errorf("%+v", r)
		}
		clock.pass(10 * time.Second)
		if a, b, c := <-statuses, <-statuses, <-statuses; a+b+c != 200+409 || a*b*c != 0 {
			t.Errorf("http2=%v: %d, %d, %d", h2, a, b, c)
		}
		if n := w.service.messages.Load(); n != 2 {
			t.Errorf("http2=%v: the service saw %d messages", h2, n)
		}
	}
}

func TestInShadowModeNoRepeatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, strings.Replace(repeating(false, heldOnce), "{wait: 0s}", "{wait: 0s, mode: shadow}", 1))
		l.answer = func(*http.Request) *http.Response {
			pass(time.Second)
			return answerOf(200, "{}")
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { l.post("/send", same) })
		}
		wg.Wait()
		if n := len(l.sent()); n != 3 || time.Since(l.begin) > time.Second {
			t.Errorf("%d sent after %s", n, time.Since(l.begin))
		}
	})
}
