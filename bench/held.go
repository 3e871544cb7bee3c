package main

// This file holds thousands of messages at once in a real quotagate, one on each
// intercepted HTTP/1.1 connection, and says what they cost: memory for an idle
// connection and for a held request, what the other requests notice of them, and
// how late each leaves.
//
//	go run . held -quotagate ../bin/quotagate
//	go run . held -h2 -quotagate ../bin/quotagate    idle HTTP/2 connections, and nothing held
//
// Clients, service and proxy share the machine's cores: the latencies are
// bounds from above.

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

// The bars.
const (
	barIdleKiB = 40
	barHeldKiB = 50
	barOthers  = 2.0 // p99 of other requests, with and without them
	barLate    = 10 * time.Millisecond
)

// Of each account one message goes at once and ten wait, the last of them for
// ten paces.
const heldPerAccount = 10

const heldRules = `version: 1
services:
  chat: {hosts: [%s], account: [{bearer: true}]}
messages:
  - {name: chat.message, match: {host: %[1]s, method: POST, path: /send}, recipients: [{json: $.to}]}
  - {name: chat.note, match: {host: %[1]s, method: POST, path: /note}, recipients: [{json: $.to}]}
limits:
  - {name: spacing, on: chat.message, pace: %[2]s, wait: 5m}
  - {name: day, on: "chat.*", allow: 1000000000, per: day}
`

type heldPlan struct {
	quotagate, dir, store string
	requests              int
	pace, each            time.Duration
	h2                    bool
	q                     *quotagate
	upstream              string
	roots                 *tls.Config
	arrivals              arrivals
}

// arrivals notes when the service got each message.
type arrivals struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	io.Copy(io.Discard, r.Body)
	if n := r.Header.Get("X-Number"); n != "" {
		a.mu.Lock()
		a.at[n] = now
		a.mu.Unlock()
	}
	io.WriteString(w, "{}")
}

// runHeld is the verb; it returns the exit status.
func runHeld(ctx context.Context, args []string, out io.Writer) int {
	var p heldPlan
	f := flag.NewFlagSet("held", flag.ExitOnError)
	f.StringVar(&p.quotagate, "quotagate", "../bin/quotagate", "the `program` to measure")
	f.StringVar(&p.dir, "dir", "../.cache", "where its data lies: on a real disk")
	f.StringVar(&p.store, "store", "embedded", "embedded or memory")
	f.IntVar(&p.requests, "requests", 10_000, "requests held at once, each on a connection of its own")
	f.DurationVar(&p.pace, "pace", 6*time.Second, "between two messages of an account: they come within one pace and leave within ten")
	f.DurationVar(&p.each, "each", 10*time.Second, "for how long other requests are measured without any held")
	f.BoolVar(&p.h2, "h2", false, "the connections speak HTTP/2, and only lie idle")
	strict := f.Bool("strict", false, "end with 1 if a bar is missed")
	_ = f.Parse(args) // it ends the program by itself
	met, err := p.run(ctx, out)
	switch {
	case err != nil:
		fmt.Fprintf(os.Stderr, "bench held: error: %v\n", err)
		return 1
	case *strict && !met:
		return 1
	}
	return 0
}

func (p *heldPlan) run(ctx context.Context, out io.Writer) (met bool, err error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp(p.dir, "held-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return false, err
	}
	stop, err := p.start(ctx, dir)
	if err != nil {
		return false, err
	}
	defer stop()

	met = true
	bare, err := p.memory()
	if err != nil {
		return false, err
	}
	others, err := p.others(ctx, time.After(p.each))
	if err != nil {
		return false, err
	}
	conns, err := p.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	idle, err := p.memory()
	if err != nil {
		return false, err
	}
	besideIdle, err := p.others(ctx, time.After(p.each))
	if err != nil {
		return false, err
	}
	n := float64(len(conns))
	kib := func(a, b int64) float64 { return float64(b-a) / n / 1024 }
	ratio := func(a []time.Duration) float64 { return pth(a, 99).Seconds() / pth(others, 99).Seconds() }
	version := map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[p.h2]
	fmt.Fprintf(out, "%d intercepted %s connections, %s store; client, service and proxy share all cores\n", len(conns), version, p.store)
	fmt.Fprintf(out, "idle:  %.1f KiB each (%.1f heap, %.1f stacks)   %s\n", kib(bare.rss, idle.rss), kib(bare.heap, idle.heap), kib(bare.stacks, idle.stacks),
		bar(kib(bare.rss, idle.rss) <= barIdleKiB, fmt.Sprintf("<= %d KiB", barIdleKiB), &met))
	fmt.Fprintf(out, "other requests, p50 and p99: alone %v %v, beside idle connections %v %v\n", pth(others, 50), pth(others, 99), pth(besideIdle, 50), pth(besideIdle, 99))
	fmt.Fprintf(out, "       p99 %.2f times as long   %s\n", ratio(besideIdle), bar(ratio(besideIdle) <= barOthers, "<= 2 times", &met))
	if p.h2 {
		return met, nil
	}

	var full memory
	done := make(chan time.Time)
	var late []time.Duration
	var failed error
	go func() {
		defer close(done)
		late, full, failed = p.hold(ctx, conns)
	}()
	besideHeld, err := p.others(ctx, done)
	if err = errors.Join(err, failed); err != nil {
		return false, err
	}

	fmt.Fprintf(out, "held:  %.1f KiB each with its connection (%.1f heap, %.1f stacks), %.1f more than idle, %d at most at once   %s\n",
		kib(bare.rss, full.rss), kib(bare.heap, full.heap), kib(bare.stacks, full.stacks), kib(idle.rss, full.rss), full.held,
		bar(kib(bare.rss, full.rss) <= barHeldKiB, fmt.Sprintf("<= %d KiB", barHeldKiB), &met))
	fmt.Fprintf(out, "other requests while they are held and leave: %v %v\n", pth(besideHeld, 50), pth(besideHeld, 99))
	fmt.Fprintf(out, "       p99 %.2f times as long   %s\n", ratio(besideHeld), bar(ratio(besideHeld) <= barOthers, "<= 2 times", &met))
	fmt.Fprintf(out, "late at the service: p50 %v, p99 %v, at most %v, of %d   %s\n", pth(late, 50), pth(late, 99), pth(late, 100), len(late),
		bar(pth(late, 99) <= barLate, "p99 <= 10 ms", &met))
	return met, nil
}

func bar(ok bool, what string, met *bool) string { return "bar " + what + ": " + verdict(ok, met) }

// start brings up the service and the proxy.
func (p *heldPlan) start(ctx context.Context, dir string) (stop func(), err error) {
	ca, err := makeCA(dir, "ca")
	if err != nil {
		return nil, err
	}
	leaf, err := makeLeaf(dir, "upstream", ca, serviceHost)
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*leaf}})
	if err != nil {
		return nil, err
	}
	p.arrivals.at = map[string]time.Time{}
	service := &http.Server{Handler: &p.arrivals}
	go service.Serve(l)
	program, err := filepath.Abs(p.quotagate)
	if err == nil {
		p.q, err = startQuotagateWith(ctx, program, dir, "quotagate", p.store, l.Addr().String(), l.Addr().String(), fmt.Sprintf(heldRules, serviceHost, p.pace),
			fmt.Sprintf("QUOTAGATE_MAX_HELD=%d", p.requests+100), fmt.Sprintf("QUOTAGATE_MAX_CONNS=%d", 2*p.requests+1000),
			fmt.Sprintf("QUOTAGATE_MAX_TUNNELS=%d", 2*p.requests+1000), fmt.Sprintf("QUOTAGATE_MAX_CONNS_PER_CLIENT=%d", 2*p.requests+1000),
			"QUOTAGATE_IDLE_TIMEOUT=1h")
	}
	if err != nil {
		service.Close()
		return nil, err
	}
	trusted, err := pool(filepath.Join(p.q.data, "ca.pem"))
	p.roots = &tls.Config{RootCAs: trusted, ServerName: serviceHost, ClientSessionCache: tls.NewLRUClientSessionCache(64), NextProtos: []string{"http/1.1"}}
	return func() { p.q.stop(); service.Close() }, err
}

// hold sends a message on each connection and returns how late they arrived,
// and the memory when most were held.
func (p *heldPlan) hold(ctx context.Context, conns []*heldConn) (late []time.Duration, full memory, err error) {
	accounts := (len(conns) + heldPerAccount - 1) / heldPerAccount
	first, err := p.dial(ctx)
	if err != nil {
		return nil, full, err
	}
	defer first.Close()
	ids := make([]string, len(conns))
	errs := make(chan error, len(conns)+1)
	var all sync.WaitGroup
	tick := time.NewTicker(p.pace / time.Duration(accounts))
	defer tick.Stop()
	for a := range accounts {
		<-tick.C
		if _, err := first.ask("/send", "account-"+strconv.Itoa(a), ""); err != nil {
			return nil, full, err
		}
		for i := a * heldPerAccount; i < min((a+1)*heldPerAccount, len(conns)); i++ {
			all.Go(func() {
				resp, err := conns[i].ask("/send", "account-"+strconv.Itoa(a), strconv.Itoa(i))
				if err == nil && resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("message %d: %s, %s", i, resp.Status, resp.Header.Get("Quotagate-Error"))
				}
				if err != nil {
					errs <- err
					return
				}
				ids[i] = resp.Header.Get("Quotagate-Id")
			})
		}
	}
	full, err = p.memory()
	all.Wait()
	close(errs)
	if err = errors.Join(err, <-errs); err != nil {
		return nil, full, err
	}
	slots, err := p.q.slots()
	for i, id := range ids {
		if slot, held := slots[id]; held {
			late = append(late, p.arrivals.at[strconv.Itoa(i)].Sub(slot))
		}
	}
	slices.Sort(late)
	return late, full, err
}

// others sends requests of another account, a hundred a second on eight
// connections, until end, and returns how long each took.
func (p *heldPlan) others(ctx context.Context, end <-chan time.Time) ([]time.Duration, error) {
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	stop := make(chan struct{})
	go func() {
		<-end
		close(stop)
	}()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c, err := p.dial(ctx)
			if err == nil {
				defer c.Close()
			}
			tick := time.NewTicker(80 * time.Millisecond)
			defer tick.Stop()
			for err == nil {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				begin := time.Now()
				if _, err = c.ask("/note", "other", ""); err == nil {
					mu.Lock()
					took = append(took, time.Since(begin))
					mu.Unlock()
				}
			}
			mu.Lock()
			failed = errors.Join(failed, err)
			mu.Unlock()
		})
	}
	all.Wait()
	slices.Sort(took)
	return took, failed
}

// pth is a percentile of what is sorted.
func pth(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*p/100].Round(10 * time.Microsecond)
}
