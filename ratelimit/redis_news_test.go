package ratelimit

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A listener notes what it hears.
type listener struct {
	t    *testing.T
	news chan News
}

// listen listens to a store until the test ends, and returns once it hears.
func listen(t *testing.T, room Newsroom) *listener {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &listener{t, make(chan News, 100)}
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := room.Listen(ctx, func(n News) { l.news <- n }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); ended.Wait() })
	l.want(News{All: true})
	return l
}

func (l *listener) want(want News) {
	l.t.Helper()
	select {
	case got := <-l.news:
		if fmt.Sprint(got) != fmt.Sprint(want) {
			l.t.Errorf("heard %+v, want %+v", got, want)
		}
	case <-time.After(20 * time.Second):
		l.t.Fatalf("nothing was heard; want %+v", want)
	}
}

// openTwins opens two stores of one ledger, by the server's clock.
func openTwins(t *testing.T, url, query string) (here, there *testStore, heard *listener) {
	t.Helper()
	prefix := fmt.Sprint("t", prefixes.Add(1))
	var list []*testStore
	for range 2 {
		s, err := OpenRedis(context.Background(), url+query, RedisOptions{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		list = append(list, &testStore{Store: s, t: t, clock: &fakeClock{ms: t0}})
	}
	return list[0], list[1], listen(t, list[0].Store.(*Redis))
}

func TestWhatAPersonChangesInOneProcessIsHeardInTheOthers(t *testing.T) {
	for name, address := range map[string]func() (url, query string){
		"one server": func() (string, string) { return startRedis(t).url(), patience },
		"a cluster":  func() (string, string) { return startCluster(t).url(), patience },
		"sentinel":   func() (string, string) { return startSentinels(t).url(), patience },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, query := address()
			here, there, heard := openTwins(t, url, query)
			there.pause("anna", &Hold{Why: "a captcha"})
			heard.want(News{Account: "anna"})
			here.pause("anna", nil) // who made the change knows it
			there.pause("anna", nil)
			heard.want(News{Account: "anna"})
			there.give(Gift{ID: "more", Limit: "life", Units: 1})
			heard.want(News{Account: "anna"})
			var ledger bytes.Buffer
			if err := openShared(t, Options{}).Export(t.Context(), &ledger); err != nil {
				t.Fatal(err)
			}
			if err := there.Store.(*Redis).Import(t.Context(), &ledger); err != nil {
				t.Fatal(err)
			}
			heard.want(News{All: true})
		})
	}
}

// Nobody waits without a wait, nor for a message that nobody repeated: what
// ends then is told to nobody.
func TestAnEndIsToldWhereSomebodyMayWaitForIt(t *testing.T) {
	url, err := sharedRedis()
	if err != nil {
		t.Fatal(err)
	}
	here, there, heard := openTwins(t, url, "")
	busy, free := concurrent("busy", 2).waiting(second), concurrent("free", 9)
	road := concurrent("road", 2).scoped("service:x").waiting(second).by("bert")
	own := Place{Home: "anna", Limit: "busy"}

	_, a := there.ask(free)
	there.keep(a)
	there.request(numbered("b", free))
	there.keep("b")
	_, c := there.ask(busy, busy.shadow(), road)
	there.keep(c)
	heard.want(News{Places: []Place{own, {"service:x", "road", "bert"}}})
	_, d := there.ask(busy)
	there.cancel(d)
	heard.want(News{Places: []Place{own}})
	_, e := there.ask(busy.ofItem(1), free)
	there.cancelItems(e, 1)
	heard.want(News{Places: []Place{own}})

	p := pace("pace", 10*minute).waiting(hour)
	again := func(id string, claims ...Claim) Request {
		r := numbered(id, claims...)
		r.Same = "m2"
		return r
	}
	there.request(again("f", free))
	if v := here.request(again("g", free)).Verdict; v != Twin {
		t.Fatal(v)
	}
	there.keep("f")
	heard.want(News{Same: "m2"})

	// Held, decided anew, and given back.
	again = func(id string, claims ...Claim) Request {
		r := numbered(id, claims...)
		r.Same = "m3"
		return r
	}
	there.ask(p)
	there.request(again("h", p))
	if v := here.request(again("i", p)).Verdict; v != Twin {
		t.Fatal(v)
	}
	r := again("h", p)
	r.Replace = true
	if v := there.request(r).Verdict; v != Booked {
		t.Fatal(v)
	}
	there.cancel("h")
	heard.want(News{Same: "m3"})
	if len(heard.news) > 0 {
		t.Errorf("heard %+v besides", <-heard.news)
	}
}

func TestWhoWasCutOffHearsThatAnythingMayHaveChanged(t *testing.T) {
	server := startRedis(t, "appendonly yes")
	_, there, heard := openTwins(t, server.url(), patience)
	server.kill()
	heard.want(News{Deaf: true})
	server.restart()
	heard.want(News{All: true})
	there.give(Gift{ID: "more", Limit: "life", Units: 1})
	heard.want(News{Account: "anna"})
}

// A user of Redis who may neither publish nor subscribe loses nothing but time.
func TestWithoutPubSubEverythingElseWorks(t *testing.T) {
	server := startRedis(t)
	server.do("ACL", "SETUSER", "poor", "on", ">word", "~*", "+@all", "-@pubsub", "resetchannels")
	log := &logged{}
	s, err := OpenRedis(t.Context(), fmt.Sprintf("redis://poor:word@%s/0"+patience, server.addr()), RedisOptions{Options: Options{Log: log.logger()}})
	if err != nil {
		t.Fatal(err)
	}
	store := &testStore{Store: s, t: t, clock: &fakeClock{ms: t0}}
	busy := concurrent("busy", 1).waiting(second)
	store.pause("anna", nil)
	_, a := store.ask(busy)
	store.keep(a)
	if d, _ := store.ask(busy); d.Verdict != Go {
		t.Errorf("%+v", d)
	}
	ended := make(chan error)
	go func() {
		ended <- s.Listen(context.Background(), func(n News) { t.Errorf("heard %+v", n) })
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(20 * time.Second); !strings.Contains(log.String(), "lets nobody subscribe"); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("nobody is told that nothing is heard")
		}
	}
	if err := s.Close(); err != nil { // which ends the listening
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A newsroomPrimary is a shared store in memory whose news a test tells.
type newsroomPrimary struct {
	Store
	tell chan News
}

func (p *newsroomPrimary) Listen(ctx context.Context, hear func(News)) error {
	for {
		select {
		case n := <-p.tell:
			hear(n)
		case <-ctx.Done():
			return nil
		}
	}
}

// Whoever asked a store that decides nothing yet would be refused for it.
func TestThatAnythingMayHaveChangedIsHeardOnceTheStoreDecides(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		p := &newsroomPrimary{NewMemory(Options{}), make(chan News)}
		g, err := newGuarded(p, nil, GuardedOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var heard []News
		var mu sync.Mutex
		go func() {
			_ = g.Listen(ctx, func(n News) {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, n)
			})
		}()
		count := func(want int) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if len(heard) != want {
				t.Fatalf("heard %+v, want %d", heard, want)
			}
		}
		p.tell <- News{All: true}
		p.tell <- News{Account: "anna"}
		synctest.Wait()
		count(2)
		g.gate.shut(&closure{cause: "gone", err: context.DeadlineExceeded, since: time.Now(), rank: failing})
		p.tell <- News{All: true}
		synctest.Wait()
		count(2)
		t.pass(time.Second)
		count(3)
	})
}
