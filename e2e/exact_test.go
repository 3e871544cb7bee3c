package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestExactlyTheLimitArrivesUnderLoad: two hundred clients at once, half of
// them with a new connection for every request, and fifty messages of room.
func TestExactlyTheLimitArrivesUnderLoad(t *testing.T) {
	t.Parallel()
	const clients, each, allow = 200, 3, 50
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(listed("anna"), limits(fmt.Sprintf(`{name: fifty, on: linkedin.message, allow: %d, per: day}`, allow)))})
	kept, fresh := g.byHand().client(t, false), g.byHand().client(t, true)

	var forwarded, rejected, odd atomic.Int64
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range clients {
		client := kept
		if i%2 == 1 {
			client = fresh
		}
		var requests []*http.Request
		for n := range each {
			requests = append(requests, encode(t, viaVoyager.nth("anna", i*each+n)))
		}
		all.Go(func() {
			<-begin
			for _, r := range requests {
				a := do(client, r)
				switch {
				case a.Error == "" && a.Headers["quotagate-decision"] == "forward" && a.Status == http.StatusOK:
					forwarded.Add(1)
				case a.Error == "" && a.Headers["quotagate-decision"] == "reject" && a.Status == http.StatusTooManyRequests:
					rejected.Add(1)
				default:
					odd.Add(1)
					t.Errorf("client %d: %+v", i, a)
				}
			}
		})
	}
	close(begin)
	all.Wait()
	if got := s.count(linkedinWeb); got != allow {
		t.Errorf("the service received %d messages, want %d", got, allow)
	}
	if forwarded.Load() != allow || rejected.Load() != clients*each-allow || odd.Load() != 0 {
		t.Errorf("%d forwarded, %d rejected, %d neither; want %d, %d, 0", forwarded.Load(), rejected.Load(), odd.Load(), allow, clients*each-allow)
	}
	if used, ok := g.used(t, "anna", "fifty"); !ok || used != allow {
		t.Errorf("the ledger says %d used (%t), want %d", used, ok, allow)
	}
}

// TestNoKillMakesRoom: the proxy is killed under load at random moments and
// started again on the same data. Never more than the limit arrives in all,
// and nothing that arrived is missing from the ledger.
func TestNoKillMakesRoom(t *testing.T) {
	t.Parallel()
	rounds, allow := 5, 300
	if soak {
		rounds, allow = 50, 3000
	}
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(listed("anna"), limits(fmt.Sprintf(`{name: life, on: linkedin.message, allow: %d, per: lifetime}`, allow)))})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	sent := 0
	for round := range rounds {
		halt := make(chan struct{})
		var clients sync.WaitGroup
		for i := range 16 {
			client := g.byHand().client(t, i%4 == 0)
			// The requests are made here: encode ends the test on failure,
			// which only the test's own goroutine may.
			var requests []*http.Request
			for range 40 {
				sent++
				requests = append(requests, encode(t, viaVoyager.nth("anna", sent)))
			}
			clients.Go(func() {
				for _, r := range requests {
					select {
					case <-halt:
						return
					default:
						do(client, r) // fails when the proxy is killed
					}
				}
			})
		}
		// Somewhere in the load: after a few deliveries of this round and a
		// random moment.
		before := s.count(linkedinWeb)
		if before < allow {
			few := random.IntN(max(1, allow/rounds/2)) + 1
			eventually(t, 30*time.Second, "messages are delivered", func() bool {
				n := s.count(linkedinWeb)
				return n >= before+few || n >= allow
			})
		}
		moment := time.NewTimer(time.Duration(random.IntN(5000)) * time.Microsecond)
		<-moment.C
		g.kill(t)
		close(halt)
		clients.Wait()

		g.run(t)
		delivered := int64(s.count(linkedinWeb))
		used, ok := g.used(t, "anna", "life")
		if !ok || used < delivered || delivered > int64(allow) {
			t.Fatalf("round %d: %d delivered, %d used (%t), %d allowed", round+1, delivered, used, ok, allow)
		}
		t.Logf("round %d: %d delivered, %d used", round+1, delivered, used)
	}

	// What room is left is still there, and no more than that.
	used, _ := g.used(t, "anna", "life")
	lost := used - int64(s.count(linkedinWeb))
	client := g.byHand().client(t, false)
	for n := used; n < int64(allow)+5; n++ {
		sent++
		do(client, encode(t, viaVoyager.nth("anna", sent)))
	}
	if got := int64(s.count(linkedinWeb)); got != int64(allow)-lost {
		t.Errorf("the service received %d messages, want %d: %d allowed, %d in flight when the proxy was killed", got, int64(allow)-lost, allow, lost)
	}
}
