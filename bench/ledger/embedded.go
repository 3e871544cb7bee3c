package main

// This file measures the embedded store: a lone caller beside one fsync of the
// same file system, then 64 callers over a million accounts.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"quotagate/ratelimit"
)

const (
	barLone     = 2.5   // times one fsync
	barMany     = 5000  // reservations a second
	barResident = 300e6 // bytes beyond the mapped file
	manyCallers = 64
)

func runEmbedded(ctx context.Context, p *plan, out io.Writer) (met bool, err error) {
	met = true
	dir, err := os.MkdirTemp(p.dir, "ledger-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintf(out, "\nembedded store, 4 limits, every answer durable\n\n")
	if p.profile != "" {
		f, err := os.Create(p.profile)
		if err != nil {
			return false, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return false, err
		}
		defer pprof.StopCPUProfile()
	}
	if err := lone(ctx, p, out, dir, &met); err != nil {
		return false, fmt.Errorf("a lone caller: %w", err)
	}
	if err := many(ctx, p, out, dir, &met); err != nil {
		return false, fmt.Errorf("many callers: %w", err)
	}
	return met, nil
}

// A writer reserves and keeps messages, each under an id of its own.
type writer struct {
	store  ratelimit.Store
	claims []ratelimit.Claim
	next   atomic.Int64
}

func (w *writer) send(ctx context.Context, account string) error {
	return w.sendTo(ctx, account, w.claims)
}

func (w *writer) sendTo(ctx context.Context, account string, claims []ratelimit.Claim) error {
	id := "m" + strconv.FormatInt(w.next.Add(1), 36)
	d, err := w.store.Reserve(ctx, ratelimit.Request{ID: id, Account: account, Claims: claims})
	if err != nil {
		return err
	}
	if d.Verdict != ratelimit.Go {
		return fmt.Errorf("reserve: %v, limit %s", d.Verdict, d.Limit)
	}
	return w.store.Keep(ctx, id)
}

// lone alternates between a page that is written and synced, and a message, so
// that whatever else the disk does falls on both.
func lone(ctx context.Context, p *plan, out io.Writer, dir string, met *bool) error {
	s, err := ratelimit.OpenEmbedded(filepath.Join(dir, "lone.db"), ratelimit.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	f, err := os.Create(filepath.Join(dir, "page"))
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, 4096)
	w := &writer{store: s, claims: claims(4, time.Now())}
	var syncs, sends, shares []float64
	const run = 20 // of one, then of the other
	for block := 0; block < 20*p.rounds+5; block++ {
		began := time.Now()
		for range run {
			if _, err := f.WriteAt(page, 0); err != nil {
				return err
			}
			if err := f.Sync(); err != nil {
				return err
			}
		}
		sync := time.Since(began)
		began = time.Now()
		for i := range run {
			if err := w.send(ctx, "account-"+strconv.Itoa((block*run+i)%1000)); err != nil {
				return err
			}
		}
		send := time.Since(began)
		if block < 5 { // the first ones make the file grow
			continue
		}
		syncs, sends = append(syncs, sync.Seconds()/run), append(sends, send.Seconds()/run)
		shares = append(shares, send.Seconds()/sync.Seconds())
	}
	ratio := percentile(shares, 50)
	fmt.Fprintf(out, "lone caller       %4.0f µs a message, one fsync %4.0f µs: %.2f times   bar %s\n",
		1e6*percentile(sends, 50), 1e6*percentile(syncs, 50), ratio, bar(ratio <= barLone, fmt.Sprintf("<= %.1f", barLone), met))
	return nil
}

// many fills the store, then sends to accounts all over it.
func many(ctx context.Context, p *plan, out io.Writer, dir string, met *bool) error {
	path := filepath.Join(dir, "many.db")
	s, err := ratelimit.OpenEmbedded(path, ratelimit.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	w := &writer{store: s, claims: claims(4, time.Now())}
	began := time.Now()
	var filled atomic.Int64
	// An hour is enough for any disk that is worth measuring.
	if _, err := load(ctx, manyCallers, time.Hour, func(ctx context.Context, _ int) error {
		n := filled.Add(1) - 1
		if n >= int64(p.many) {
			return errFull
		}
		return w.send(ctx, account(n))
	}); !errors.Is(err, errFull) {
		return err
	}
	took := time.Since(began)
	fmt.Fprintf(out, "filling           %6.0f reservations/s, %d accounts that nobody knew\n", float64(p.many)/took.Seconds(), p.many)
	var rounds []sample
	var step atomic.Int64
	for range p.rounds {
		r, err := load(ctx, manyCallers, 4*p.each, func(ctx context.Context, _ int) error {
			// A multiplicative walk over all accounts: no two in a row are near.
			return w.send(ctx, account(step.Add(1)*7_368_787%int64(p.many)))
		})
		if err != nil {
			return err
		}
		rounds = append(rounds, r)
	}
	rate := median(rounds, func(s sample) float64 { return s.perSec })
	fmt.Fprintf(out, "%d callers        %6.0f reservations/s, %d accounts; p50 %.1f ms, p99 %.1f ms   bar %s\n", manyCallers, rate, p.many,
		1e3*median(rounds, func(s sample) float64 { return s.p50.Seconds() }),
		1e3*median(rounds, func(s sample) float64 { return s.p99.Seconds() }), bar(rate >= barMany, fmt.Sprintf(">= %d", barMany), met))
	resident, err := anonymous()
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "resident          %4.0f MB beyond the mapped file of %.0f MB   bar %s\n",
		resident/1e6, float64(info.Size())/1e6, bar(resident <= barResident, fmt.Sprintf("<= %.0f", barResident/1e6), met))
	return nil
}

var errFull = errors.New("all accounts are there")

func account(n int64) string { return "account-" + strconv.FormatInt(n, 10) }

// anonymous is this process's resident memory that is no mapped file.
func anonymous() (float64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 64)
			return n * 1024, err
		}
	}
	return 0, errors.New("/proc/self/status has no RssAnon")
}
