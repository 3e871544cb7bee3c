package proxy_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"quotagate/proxy"
	"quotagate/ratelimit"
)

// A replica of the proxy on a Redis, as cmd puts it together.
func (l *lab) onRedis(addr, dir string) {
	l.t.Helper()
	log := slog.New(slog.NewTextHandler(l.log, nil))
	redis, err := ratelimit.OpenRedis(l.t.Context(), "redis://"+addr+"?read_timeout=10s", ratelimit.RedisOptions{Options: ratelimit.Options{Log: log}, KeyID: "key"})
	if err != nil {
		l.t.Fatal(err)
	}
	local, err := ratelimit.OpenEmbedded(filepath.Join(dir, "local.db"), ratelimit.Options{Log: log})
	if err != nil {
		l.t.Fatal(err)
	}
	guarded, err := ratelimit.NewGuarded(redis, local, ratelimit.GuardedOptions{
		Options: ratelimit.Options{Log: log}, Timeout: 10 * time.Second, Beat: 20 * time.Millisecond, Grace: 100 * time.Millisecond, Journal: filepath.Join(dir, "journal"),
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { guarded.Close() })
	l.Ledger, l.Rates = guarded, redis.Rates()
}

func TestTwoReplicasOnOneRedisSendARepeatOnce(t *testing.T) {
	redis := miniredis.RunT(t)
	text := repeating(false, "limits: [{name: chat.pace, on: chat.message, pace: 500ms, wait: 10s}]\n")
	near, far := newLab(t, text), newLab(t, text)
	clock := newHandClock()
	redis.SetTime(clock.Now())
	near.Clock, far.Clock = clock, clock
	near.onRedis(redis.Addr(), t.TempDir())
	far.onRedis(redis.Addr(), t.TempDir())
	if resp, body := near.post("/send", other); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	statuses := make(chan int, 2)
	for _, l := range []*lab{near, far} {
		go func() {
			resp, _ := l.post("/send", same)
			statuses <- resp.StatusCode
		}()
		eventually(t, "nobody waits", func() bool { return l.Held() == 1 })
	}
	redis.SetTime(clock.Now().Add(500 * time.Millisecond))
	clock.pass(500 * time.Millisecond)
	if first := <-statuses; first != 200 {
		t.Errorf("the first: %d", first)
	}
	eventually(t, "the second waits for ever", func() bool { // it asks now and then
		clock.pass(250 * time.Millisecond)
		return len(statuses) > 0
	})
	if second := <-statuses; second != 409 {
		t.Errorf("the second: %d", second)
	}
	if n := len(near.sent()) + len(far.sent()); n != 2 {
		t.Errorf("%d sent", n)
	}
}

func TestAnOutageOfTheStoreIsSurvivedAsTheRulesSay(t *testing.T) {
	redis := miniredis.RunT(t)
	l := newLab(t, strings.Replace(policy("local"), "allow: 5", "allow: 4", 1))
	l.onRedis(redis.Addr(), t.TempDir())
	send := func() int {
		t.Helper()
		begin := time.Now()
		resp, body := l.post("/send", `{"to":"bob"}`)
		if took := time.Since(begin); took > 9*time.Second { // less than the time-out of a call
			t.Errorf("it took %s", took)
		}
		if resp.StatusCode == 503 {
			t.Log(body)
		}
		return resp.StatusCode
	}
	if got := send(); got != 200 {
		t.Fatalf("%d", got)
	}
	redis.SetError("MISCONF the disk is gone")
	sent := 1
	for sent < 10 && send() == 200 {
		sent++
	}
	if sent < 2 || sent > 4 {
		t.Errorf("%d of 4 were sent without the store", sent)
	}
	redis.SetError("")
	// What went without it is counted by it when it is back.
	deadline, tick := time.After(20*time.Second), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		ctx := context.Background()
		name := l.last().Account
		d, err := l.Ledger.Reserve(ctx, ratelimit.Request{ID: "peek", Account: name, Claims: l.Rules().AccountClaims(name, time.Now()), Dry: true})
		if err == nil && d.Uses[0].Used == int64(sent) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the store counts %+v, %v; %d were sent", d.Uses, err, sent)
		}
	}
	for send() == http.StatusOK {
		sent++
	}
	if sent != 4 || len(l.sent()) != 4 {
		t.Errorf("%d of 4 were sent in all", len(l.sent()))
	}
	if r := l.last(); r.Decision != proxy.DecisionReject || r.Limit != "chat.day" {
		t.Errorf("%+v", r)
	}
}
