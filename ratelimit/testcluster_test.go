package ratelimit

// Several Redis servers together: Sentinel and Cluster; see testservers_test.go.

import (
	"fmt"
	"strings"
	"testing"
)

// A sentinelSet is a master, its replica, and three Sentinels that watch them
// under the name quota.
type sentinelSet struct {
	master, replica *redisServer
	sentinels       []*redisServer
}

// startSentinels starts the lot; the master is thought dead after 500 ms.
func startSentinels(t testing.TB, config ...string) *sentinelSet {
	t.Helper()
	m := startRedis(t, config...)
	set := &sentinelSet{master: m, replica: startReplica(t, m, config...)}
	for range 3 {
		s := &redisServer{t: t, flags: []string{"--sentinel"}, config: []string{
			fmt.Sprintf("sentinel monitor quota 127.0.0.1 %d 2", m.port),
			"sentinel down-after-milliseconds quota 500",
			"sentinel failover-timeout quota 3000",
			"sentinel parallel-syncs quota 1",
		}}
		s.first()
		set.sentinels = append(set.sentinels, s)
	}
	for _, s := range set.sentinels {
		s.eventually("the sentinels know each other and the replica", func() bool {
			text := fmt.Sprint(s.do("SENTINEL", "MASTER", "quota"))
			return strings.Contains(text, "num-other-sentinels 2") && strings.Contains(text, "num-slaves 1") ||
				strings.Contains(text, "num-other-sentinels:2") && strings.Contains(text, "num-slaves:1")
		})
	}
	return set
}

func (s *sentinelSet) url() string {
	var addrs []string
	for _, one := range s.sentinels {
		addrs = append(addrs, one.addr())
	}
	return "redis+sentinel://" + strings.Join(addrs, ",") + "/quota/0"
}

// failOver kills the master and waits until Sentinel has promoted the replica.
func (s *sentinelSet) failOver() {
	s.master.t.Helper()
	s.master.kill()
	s.replica.eventually("Sentinel promotes the replica", func() bool { return s.replica.info("replication", "role") == "master" })
}

// A redisCluster is three masters, each with a third of the slots.
type redisCluster struct{ nodes []*redisServer }

func startCluster(t testing.TB, config ...string) *redisCluster {
	t.Helper()
	c := &redisCluster{}
	for range 3 {
		c.nodes = append(c.nodes, startRedis(t, append([]string{"cluster-enabled yes", "cluster-node-timeout 2000"}, config...)...))
	}
	// ADDSLOTSRANGE came with 7.0; ADDSLOTS takes the slots one by one.
	const slots = 16384
	for i, n := range c.nodes {
		args := []any{"CLUSTER", "ADDSLOTS"}
		for slot := i * slots / 3; slot < (i+1)*slots/3; slot++ {
			args = append(args, slot)
		}
		n.do(args...)
		n.do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			n.do("CLUSTER", "MEET", "127.0.0.1", c.nodes[0].port)
		}
	}
	for _, n := range c.nodes {
		n.eventually("the cluster is complete", func() bool {
			text := fmt.Sprint(n.do("CLUSTER", "INFO"))
			return strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_known_nodes:3")
		})
	}
	return c
}

func (c *redisCluster) url() string {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.addr())
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}
