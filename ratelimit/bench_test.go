//go:build unix

package ratelimit

// Reservations a second, and the CPU each of them costs, of every store.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func BenchmarkReserve(b *testing.B) {
	for _, name := range []string{"memory", "embedded"} {
		for _, callers := range []int{1, 32, 64} {
			for _, accounts := range []int{100, 100_000} {
				b.Run(fmt.Sprintf("%s/callers=%d/accounts=%d", name, callers, accounts), func(b *testing.B) {
					s := openers(b)[name](Options{})
					defer func() { _ = s.Close() }()
					benchReserve(b, s, callers, accounts)
				})
			}
		}
	}
}

// benchReserve reserves and keeps messages under three limits: a day, a month
// and the last hour.
func benchReserve(b *testing.B, s Store, callers, accounts int) {
	names := make([]string, accounts)
	for i := range names {
		names[i] = "account-" + strconv.Itoa(i)
	}
	w := days(time.Now().UnixMilli())
	claims := []Claim{
		{Limit: "linkedin.classic.day", Measure: Calendar, Unit: "day", Cost: 1, Allow: 1 << 40, Windows: w},
		{Limit: "linkedin.classic.month", Measure: Calendar, Unit: "month", Cost: 1, Allow: 1 << 40, Windows: w},
		{Limit: "linkedin.classic.life", Measure: Lifetime, Cost: 1, Allow: 1 << 40},
	}
	var next atomic.Int64
	b.ReportAllocs()
	before := cpu()
	b.ResetTimer()
	done := make(chan error, callers)
	for range callers {
		go func() {
			ctx := context.Background()
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					done <- nil
					return
				}
				id := strconv.FormatInt(n, 36)
				account := names[int(uint64(n)*0x9e3779b97f4a7c15>>20)%accounts]
				d, err := s.Reserve(ctx, Request{ID: id, Account: account, Claims: claims})
				if err == nil && d.Verdict != Go {
					err = fmt.Errorf("%v", d)
				}
				if err == nil {
					err = s.Keep(ctx, id)
				}
				if err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reservations/s")
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSync is the floor of a lone caller: one page written and synced.
func BenchmarkSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
