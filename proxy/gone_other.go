//go:build !linux

package proxy

import (
	"errors"
	"net"
)

// watches: net/http's reader beside each handler notices who leaves.
const watches = false

func hungUp(*net.TCPConn) error { return errors.ErrUnsupported }

// gone is known on Linux only; elsewhere net/http alone notices who leaves.
func gone(net.Conn) bool { return false }
