package main

import (
	"path/filepath"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

func TestProxiesOfOneStoreCountTogether(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	redis.RequireAuth("sesame")
	key := filepath.Join(t.TempDir(), "shared.key")
	stages := []*stage{newStage(t, twoADay), newStage(t, twoADay)}
	for i, s := range stages {
		s.env = append(s.env, "QUOTAGATE_STORE=redis://:sesame@"+redis.Addr()+"/0?read_timeout=10s", "QUOTAGATE_HASH_KEY_FILE="+key)
		r := s.run(t, append([]string{"exec", "--"}, s.posting()...)...)
		want := []int64{2, 0}[i]
		if r.code != exitOK || s.slack.messages.Load() != want {
			t.Errorf("the %d. proxy: exit %d, %d messages arrived, want %d: %s%s", i+1, r.code, s.slack.messages.Load(), want, r.out, r.stderr)
		}
	}
	// Without a proxy the store itself is asked.
	r := stages[0].run(t, "quota")
	wantContains(t, "quota", r.out.String(), "two-a-day     2     0      2")
}

func TestARateInTheRulesIsSmoothedByEitherStore(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"embedded", "memory", "redis://" + miniredis.RunT(t).Addr() + "?read_timeout=10s"} {
		s := newStage(t, "{name: tier, on: slack.request, rate: 2, per: 24h, wait: 0s}")
		s.env = append(s.env, "QUOTAGATE_STORE="+store)
		r := s.run(t, append([]string{"exec", "--"}, s.posting()...)...)
		if n := s.slack.messages.Load(); n != 2 {
			t.Errorf("%s: %d messages arrived, want 2: %s%s", store, n, r.out, r.stderr)
		}
		wantContains(t, "the decision log", s.logged(t), `"limit":"tier"`, "2 every 24h are let through")
	}
}

func TestAUserWhoAsksForTooMuchIsToldSo(t *testing.T) {
	t.Parallel()
	s := newStage(t, "{name: many, on: slack.message, allow: 9, per: 24h}")
	s.env = append(s.env, "QUOTAGATE_USER_RATE=2/24h")
	r := s.run(t, append([]string{"exec", "--"}, s.posting()...)...)
	if n := s.slack.messages.Load(); n != 2 {
		t.Errorf("%d messages arrived, want 2: %s%s", n, r.out, r.stderr)
	}
	wantContains(t, "standard output", r.out.String(), "posted: forward\nposted: forward\nposted: reject\n")
}
