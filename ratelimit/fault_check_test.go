package ratelimit

import (
	"strings"
	"testing"
	"time"
)

func TestWhatIsWrongWithAServerIsSaidAtTheStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		config []string
		want   []string // parts of the log, and no other finding
	}{
		{"as it should be", []string{"appendonly yes"}, nil},
		{"evicting", []string{"appendonly yes", "maxmemory 100mb", "maxmemory-policy volatile-lru"}, []string{"maxmemory-policy volatile-lru"}},
		{"without a file", nil, []string{"no append-only file"}},
		{"where INFO is forbidden", []string{"appendonly yes", "user default on nopass ~* &* +@all -info"},
			[]string{"does not tell its server", "does not tell its memory", "does not tell its persistence", "does not tell its replication"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := guardedReplicas(t, 1, startRedis(t, c.config...).url())
			f.findings(c.want...)
		})
	}
	t.Run("a clock that is off", func(t *testing.T) {
		t.Parallel()
		f := &faultTest{T: t, log: &logged{}}
		o := GuardedOptions{}
		o.Now = func() time.Time { return time.Now().Add(5 * time.Second) }
		f.replicas = append(f.replicas, f.open(startRedis(t, "appendonly yes").url(), o))
		f.ready()
		f.findings("clock and this computer's are 5s apart")
	})
	t.Run("durability without a replica", func(t *testing.T) {
		t.Parallel()
		f := &faultTest{T: t, log: &logged{}}
		f.replicas = append(f.replicas, f.open(startRedis(t, "appendonly yes").url()+"?durability=replica", GuardedOptions{}))
		f.ready()
		f.findings("it has no replica")
	})
}

// findings compares what the log says of the store.
func (f *faultTest) findings(want ...string) {
	f.Helper()
	const mark = "the store of the quotas: "
	eventually(f, "the store is looked at", func() bool { return strings.Count(f.log.String(), mark) >= len(want) })
	for _, w := range want {
		if !strings.Contains(f.log.String(), w) {
			f.Errorf("the log does not say %q", w)
		}
	}
	if n := strings.Count(f.log.String(), mark); n != len(want) {
		f.Errorf("%d findings, want %d", n, len(want))
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for v, want := range map[string]bool{"5.0.14": true, "6.0.16": true, "6.2.0": false, "7.0.15": false, "10.1": false, "unstable": false} {
		if older(v) != want {
			t.Errorf("older(%s) is %v", v, !want)
		}
	}
}
