//go:build !linux

package proxy

import "net"

// gone is known on Linux only; elsewhere net/http alone notices who leaves.
func gone(net.Conn) bool { return false }
