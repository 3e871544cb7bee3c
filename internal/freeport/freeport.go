// Package freeport gives tests the addresses of servers that are yet to start.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// Address is a loopback address that nobody listens on. Its port is outside
// the range that the system hands out, where a connection of another test might
// take it before it is used, and is given once.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 24_000+nextPort.Add(1)%8_000)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

var nextPort = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(8_000))
	return &n
}()
