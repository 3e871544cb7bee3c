package main

import (
	"context"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"quotagate/ratelimit"
)

// What wakes those who wait is told in the store, also by a verb that finds no
// proxy and writes to it by itself.
func TestARunningProxyHearsWhatOthersChangeInItsStore(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	s, elsewhere := newStage(t, twoADay), newStage(t, twoADay)
	key := t.TempDir() + "/shared.key"
	for _, one := range []*stage{s, elsewhere} {
		one.env = append(one.env, "QUOTAGATE_STORE=redis://"+redis.Addr()+"/0?read_timeout=10s", "QUOTAGATE_HASH_KEY_FILE="+key)
	}
	log := newTranscript()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, program{args: []string{"run"}, env: s.env, stdout: log, stderr: log}) }()
	t.Cleanup(func() { cancel(); <-ended })
	log.await(t, "quotagate is ready")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); redis.PubSubNumSub("q1:news:0")["q1:news:0"] == 0; {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it does not listen")
		}
	}
	store, err := ratelimit.OpenRedis(ctx, "redis://"+redis.Addr()+"/0?read_timeout=10s", ratelimit.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := store.Pause(ctx, "anna", &ratelimit.Hold{Why: "a captcha"}); err != nil {
		t.Fatal(err)
	}
	others := redis.NewSubscriber()
	defer others.Close()
	others.Subscribe("q1:news:0")
	heard := make(chan string, 1)
	go func() { heard <- (<-others.Messages()).Message }() // which the server waits for
	r := elsewhere.run(t, "quota", "resume", "anna")
	if r.code != exitOK {
		t.Fatalf("exit %d: %s", r.code, r.stderr)
	}
	select {
	case news := <-heard:
		wantContains(t, "what is told", news, `"account":"anna"`)
	case <-time.After(20 * time.Second):
		t.Fatal("nobody is told of it")
	}
}
