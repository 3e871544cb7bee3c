//go:build !linux

package proxy

import (
	"errors"
	"net"
)

// watches: net/http's reader beside each handler notices who leaves.
const watches = false

func stirs(*net.TCPConn, bool) error { return errors.ErrUnsupported }

func glance(*net.TCPConn, []byte) (int, error) { return 0, errors.ErrUnsupported }

// gone is known on Linux only; elsewhere net/http alone notices who leaves.
func gone(net.Conn) bool { return false }
