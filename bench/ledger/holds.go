package main

// This file measures how late held messages leave: thousands of bookings at
// once, through the Enforcer, timed at the moment at which each is sent.

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

const barLate = 10 * time.Millisecond // p99

// Every account may send once in two seconds, so ten messages that come at once
// are held for up to twenty. Accounts come one after another, so that their
// slots spread over all of that time.
const (
	holdPace   = 2 * time.Second
	perAccount = 11
)

const holdRules = `version: 1
services:
  chat: {hosts: [chat.example], account: [{bearer: true}]}
messages:
  - name: chat.message
    match: {host: chat.example, method: POST, path: /send}
    recipients: [{json: $.to}]
limits:
  - {name: spacing, on: chat.message, pace: 2s, wait: 60s}
  - {name: day, on: chat.message, allow: 1000000, per: day}
`

func runHolds(ctx context.Context, p *plan, out io.Writer) (met bool, err error) {
	met = true
	dir, err := os.MkdirTemp(p.dir, "ledger-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "holds.yaml")
	if err := os.WriteFile(file, []byte(holdRules), 0o600); err != nil {
		return false, err
	}
	set, err := rules.Load([]string{file}, rules.Options{Hash: func(kind, value string) string {
		h := fnv.New64a()
		io.WriteString(h, kind+"\x00"+value)
		return strconv.FormatUint(h.Sum64(), 36)
	}})
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "\n%d messages held at once, all booked\n\n", p.holds)
	for _, name := range []string{"memory", "embedded"} {
		var store ratelimit.Store = ratelimit.NewMemory(ratelimit.Options{})
		if name == "embedded" {
			if store, err = ratelimit.OpenEmbedded(filepath.Join(dir, "holds.db"), ratelimit.Options{}); err != nil {
				return false, err
			}
		}
		err := hold(ctx, p, out, name, store, set, &met)
		if err := errors.Join(err, store.Close()); err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
	}
	return met, nil
}

// A departure notes when each request was sent; it is where they go.
type departure struct {
	mu   sync.Mutex
	sent map[string]time.Time
}

func (d *departure) RoundTrip(r *http.Request) (*http.Response, error) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent[r.Header.Get("X-Number")] = now
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
}

func hold(ctx context.Context, p *plan, out io.Writer, name string, store ratelimit.Store, set *rules.Set, met *bool) error {
	var mu sync.Mutex
	slots := map[string]time.Time{} // by the record's id
	most := int64(0)
	d := &departure{sent: map[string]time.Time{}}
	e := &proxy.Enforcer{Rules: func() *rules.Set { return set }, Ledger: store, Next: d, MaxHeld: int64(p.holds) + 1}
	e.Record = func(r *proxy.Record) {
		if r.Decision == proxy.DecisionHold {
			mu.Lock()
			defer mu.Unlock()
			slots[r.ID] = r.RetryAt
			most = max(most, e.Held())
		}
	}
	accounts := (p.holds + perAccount - 2) / (perAccount - 1)
	ids := make([]string, accounts*perAccount)
	errs := make(chan error, len(ids))
	var wg sync.WaitGroup
	began := time.Now()
	for i := range ids {
		if i%perAccount == 0 { // the next account, in its turn
			at := began.Add(holdPace * time.Duration(i/perAccount) / time.Duration(accounts))
			if err := (proxy.WallClock{}).Wait(ctx, at, nil); err != nil {
				return err
			}
		}
		wg.Go(func() {
			n := strconv.Itoa(i)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://chat.example/send", strings.NewReader(`{"to":"r`+n+`"}`))
			if err != nil {
				errs <- err
				return
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Number", n)
			req.Header.Set("Authorization", "Bearer account-"+strconv.Itoa(i/perAccount))
			resp, err := e.RoundTrip(req)
			if err != nil {
				errs <- err
				return
			}
			resp.Body.Close()
			ids[i] = resp.Header.Get("Quotagate-Id")
			if resp.StatusCode != http.StatusOK {
				errs <- fmt.Errorf("message %d: %s, %s", i, resp.Status, resp.Header.Get("Quotagate-Limit"))
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		return err
	}
	var late []time.Duration
	early := 0
	for i, id := range ids {
		slot, held := slots[id]
		if !held {
			continue
		}
		by := d.sent[strconv.Itoa(i)].Sub(slot)
		if by < 0 {
			early++
		}
		late = append(late, by)
	}
	if early > 0 {
		return fmt.Errorf("%d of %d left before their slot", early, len(late))
	}
	p50, p99 := percentile(late, 50), percentile(late, 99)
	fmt.Fprintf(out, "%-9s %d held, %d at most at once, %d a second; late by p50 %.1f ms, p99 %.1f ms, at most %.1f ms   bar p99 %s\n",
		name, len(late), most, int(float64(len(ids))/(holdPace*perAccount).Seconds()), 1e3*p50.Seconds(), 1e3*p99.Seconds(),
		1e3*late[len(late)-1].Seconds(), bar(p99 <= barLate, "<= 10 ms", met))
	return nil
}
