package main

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestTheHostsOfAStoreAreThoseItsAddressNames(t *testing.T) {
	for store, want := range map[string][]string{
		"embedded": nil, "memory": nil, "unix:///run/redis.sock": nil,
		"redis://redis.internal:6379/0":             {"redis.internal"},
		"redis://redis.internal":                    {"redis.internal"},
		"rediss://u:p%40ss@[fd00::7]:6380/1":        {"fd00::7"},
		"redis+sentinel://:p@a:26379,b,[::1]:1/m/0": {"a", "b", "::1"},
		"redis+cluster://10.0.0.1:1,10.0.0.2:2?x=y": {"10.0.0.1", "10.0.0.2"},
	} {
		if got := storeHosts(store); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", store, got, want)
		}
	}
}

func TestTheStoresAddressesFollowItsNames(t *testing.T) {
	var mu sync.Mutex
	answers := map[string]string{"a": "9.9.9.1", "b": "9.9.9.2"}
	clock := time.Unix(0, 0)
	w := &hostWatch{hosts: []string{"a", "b"}, now: func() time.Time { return clock },
		lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			if answers[host] == "" {
				return nil, errors.New("no such host")
			}
			return []netip.Addr{netip.MustParseAddr(answers[host])}, nil
		}}
	w.look()
	want := func(addrs ...string) {
		t.Helper()
		var got []string
		for _, a := range w.addresses() {
			got = append(got, a.String())
		}
		if !slices.Equal(got, addrs) {
			t.Errorf("got %v, want %v", got, addrs)
		}
	}
	want("9.9.9.1", "9.9.9.2")
	mu.Lock()
	answers["a"], answers["b"] = "9.9.9.3", "" // one moves, one does not resolve
	mu.Unlock()
	want("9.9.9.1", "9.9.9.2")
	clock = clock.Add(storeNamesFor + time.Second)
	w.addresses()
	w.running.Wait()
	want("9.9.9.3", "9.9.9.2")
}
