//go:build unix

package ratelimit

// A million accounts (QUOTAGATE_SOAK=1; else ten thousand): resident memory
// stays bounded, and the rate holds.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// anonymous is the resident memory of this process that is no mapped file; 0
// where there is no /proc to ask.
func anonymous() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10
		}
	}
	return 0
}

func TestManyAccountsStayInBoundedMemory(t *testing.T) {
	const callers = 64
	accounts, again := int64(10_000), int64(2000)
	if soak() {
		accounts, again = 1_000_000, 100_000
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	s, err := OpenEmbedded(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := days(time.Now().UnixMilli())
	claims := []Claim{
		{Limit: "linkedin.classic.day", Measure: Calendar, Unit: "day", Cost: 1, Allow: 100, Windows: w},
		{Limit: "linkedin.classic.month", Measure: Calendar, Unit: "month", Cost: 1, Allow: 1500, Windows: w},
		{Limit: "hour", Measure: Rolling, Span: hour, Cost: 1, Allow: 100},
		{Limit: "linkedin.classic.life", Measure: Lifetime, Cost: 1, Allow: 1 << 40},
	}
	var next atomic.Int64
	round := func(total int64, account func(n int64) int64) time.Duration {
		next.Store(0)
		start := time.Now()
		used := cpu()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for n := next.Add(1); n <= total; n = next.Add(1) {
					id := fmt.Sprint(start.UnixNano(), n)
					if _, err := s.Reserve(context.Background(), Request{ID: id, Account: fmt.Sprint("account-", account(n)), Claims: claims}); err != nil {
						t.Error(err)
						return
					}
					if err := s.Keep(context.Background(), id); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(start)
		t.Logf("%d reservations: %.0f/s, %.1f µs of CPU each, %d MiB resident", total, float64(total)/took.Seconds(),
			float64((cpu()-used).Microseconds())/float64(total), anonymous()>>20)
		return took
	}
	round(accounts, func(n int64) int64 { return n - 1 })
	took := round(again, func(n int64) int64 { return n * 7_368_787 % accounts })
	if rate := float64(again) / took.Seconds(); soak() && rate < 5000 {
		t.Errorf("%.0f reservations/s with a million accounts", rate)
	}
	if rss := anonymous(); soak() && rss > 300<<20 {
		t.Errorf("%d MiB resident", rss>>20)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if s, err = OpenEmbedded(path, Options{}); err != nil {
		t.Fatal(err)
	}
	names, err := s.Accounts(context.Background())
	t.Logf("opened in %v, %d accounts, %d MiB resident, a file of %d MiB", time.Since(start), len(names), anonymous()>>20, size(path)>>20)
	if err != nil || int64(len(names)) != accounts {
		t.Errorf("%d accounts, %v", len(names), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
