package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quotagate/ratelimit"
)

func TestALedgerFromTheFutureIsOpenedOnlyWhenToldTo(t *testing.T) {
	c := &config{Data: t.TempDir(), Store: "embedded"}
	key := newHashKey([]byte(strings.Repeat("k", minHashKey)))
	future := func() time.Time { return time.Now().AddDate(10, 0, 0) }
	store, err := ratelimit.OpenEmbedded(filepath.Join(c.Data, ledgerFile), ratelimit.Options{Now: future})
	if err != nil {
		t.Fatal(err)
	}
	claim := ratelimit.Claim{Limit: "life", Measure: ratelimit.Lifetime, Cost: 1, Allow: 5}
	if _, err := store.Reserve(context.Background(), ratelimit.Request{ID: "1", Account: "anna", Claims: []ratelimit.Claim{claim}}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	var h hintedError
	if _, err := openLedger(c, key, slog.New(slog.DiscardHandler)); !errors.Is(err, ratelimit.ErrClock) || !errors.As(err, &h) || !strings.Contains(h.hint, "quotagate run --accept-clock") {
		t.Fatalf("%v", err)
	}
	c.acceptClock = true
	again, err := openLedger(c, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	d, err := again.Reserve(context.Background(), ratelimit.Request{ID: "2", Account: "anna", Claims: []ratelimit.Claim{claim}})
	if err != nil || d.Uses[0].Used != 2 {
		t.Errorf("%+v %v", d, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
