package proxy

import (
	"context"
	"net"
	"testing"
	"time"
)

// An IPv6 customer has a /64 at least, and may use each of its addresses once.
func TestAClientIsItsNetwork(t *testing.T) {
	same := [][2]string{
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:2"},
		{"192.0.2.1:1", "192.0.2.1:2"},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2"},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1"},
	}
	others := [][2]string{
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1"},
		{"192.0.2.1:1", "192.0.2.2:1"},
	}
	wrong := func() bool { return false }
	check := func(pair [2]string, one bool) {
		t.Helper()
		var addrs [2]net.Addr
		for i, text := range pair {
			a, err := net.ResolveTCPAddr("tcp", text)
			if err != nil {
				t.Fatal(err)
			}
			addrs[i] = a
		}
		if (networkOf(addrs[0]) == networkOf(addrs[1])) != one {
			t.Errorf("connections of %v: counted as one is %v", pair, !one)
		}
		c := census{limits: &Limits{Conns: 10, ConnsPerClient: 1}}
		c.enter(networkOf(addrs[0]))
		if _, ok := c.enter(networkOf(addrs[1])); ok == one {
			t.Errorf("connections of %v: the second is let in: %v", pair, ok)
		}
		begin := time.Now()
		g := NewGuesses(1, time.Minute, func() time.Time { return begin })
		g.check(context.Background(), pair[0], wrong)
		if _, wait := g.check(context.Background(), pair[1], wrong); (wait > 0) != one {
			t.Errorf("guesses of %v: the second has to wait %s", pair, wait)
		}
		guard := Guard{}
		if (guard.key(&Client{Addr: pair[0]}) == guard.key(&Client{Addr: pair[1]})) != one {
			t.Errorf("requests of %v: counted as one is %v", pair, !one)
		}
	}
	for _, pair := range same {
		check(pair, true)
	}
	for _, pair := range others {
		check(pair, false)
	}
}
