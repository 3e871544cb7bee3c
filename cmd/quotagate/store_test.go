package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"quotagate/ratelimit"
)

func TestAStoreIsShownWithoutItsSecrets(t *testing.T) {
	for store, want := range map[string]string{
		"embedded":                             "embedded",
		"redis://h:6379/0":                     "redis://h:6379/0",
		"redis://:sesame@h:6379/0":             "redis://h:6379/0",
		"rediss://user:sesame@h/1?x=sesame":    "rediss://h/1",
		"redis+sentinel://u:p@a:1,b:2/m?q=s":   "redis+sentinel://a:1,b:2/m",
		"redis+cluster://u:p@a:1,b:2":          "redis+cluster://a:1,b:2",
		"redis://u:ses@me/x@h":                 "redis://h", // not escaped as it should be
		"redis://h/0?sentinel_password=sesame": "redis://h/0",
		"unix:///run/redis.sock?password=x":    "unix:///run/redis.sock",
	} {
		if got := storeName(store); got != want {
			t.Errorf("%s is shown as %s, want %s", store, got, want)
		}
		if err := (&config{Store: store}).checkStore(); err != nil {
			t.Errorf("%s: %v", store, err)
		}
	}
	for _, store := range []string{"", "redis", "redis:h", "http://h", "postgres://u:sesame@h"} {
		if err := (&config{Store: store}).checkStore(); err == nil {
			t.Errorf("%s is a store", store)
		}
	}
}

func TestTheTimeOfAStoreIsThatOfItsAddress(t *testing.T) {
	for store, want := range map[string]time.Duration{
		"embedded": 0, "redis://h": 0, "redis://h?read_timeout=2s": 2 * time.Second, "redis://h/1?pool_size=3&read_timeout=50ms": 50 * time.Millisecond,
		"redis://h?read_timeout=3": 3 * time.Second, "redis://h?read_timeout=-1": 0, "redis://h?read_timeout=soon": 0,
	} {
		if got := storeTimeout(store); got != want {
			t.Errorf("%s: %s, want %s", store, got, want)
		}
	}
}

func TestARateOfUsersIsReadOrRefused(t *testing.T) {
	for text, want := range map[string]struct {
		n   int64
		per time.Duration
	}{
		"": {}, "600/1m": {600, time.Minute}, "600/minute": {600, time.Minute}, "50/second": {50, time.Second},
		"50/s": {50, time.Second}, "5 / 1h": {5, time.Hour}, "5/hour": {5, time.Hour}, "1/90s": {1, 90 * time.Second},
	} {
		if n, per, err := parseRate("USER_RATE", text); err != nil || n != want.n || per != want.per {
			t.Errorf("%q: %d in %s, %v", text, n, per, err)
		}
	}
	for _, text := range []string{"600", "/1m", "0/1m", "-1/1m", "600/", "600/0s", "600/-1m", "x/1m", "600/1d", "600/25h", "1000000/1ms"} {
		if n, per, err := parseRate("USER_RATE", text); err == nil {
			t.Errorf("%q: %d in %s", text, n, per)
		}
	}
}

func TestAStoresPasswordIsKeptFromPrograms(t *testing.T) {
	p := program{env: []string{"A=1", "QUOTAGATE_STORE=redis://:sesame@h", "QUOTAGATE_ADMIN_TOKEN=sesame"}}
	for _, kv := range p.environment(aWiring(), "127.0.0.1:2") {
		if len(kv) >= 6 && kv[len(kv)-6:] == "sesame" || kv == p.env[1] {
			t.Errorf("%s", kv)
		}
	}
}

func TestALedgerOfANewerQuotagateHasAWayOut(t *testing.T) {
	var h hintedError
	err := (&config{Data: "/data"}).whyShut(fmt.Errorf("open it: %w", ratelimit.ErrNewer))
	if !errors.As(err, &h) || !strings.Contains(h.hint, "start the newer quotagate again") || !strings.Contains(h.hint, "quota import") {
		t.Errorf("%v\nhint: %s", err, h.hint)
	}
}
