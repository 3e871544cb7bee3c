package proxy

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// watches: it is known here who leaves, without reading.
const watches = true

// hungUp waits until the other side has closed its half of the connection, also
// behind bytes that nobody has read. The error is why it was not waited for.
func hungUp(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(closed)
}

// closed reports whether the other side has closed its half of a connection. The
// state in TCP_INFO does not tell: of MPTCP, which Go's listeners take, it is
// that of one way of several, and stays (Linux 6.18, 2026-11).
func closed(fd uintptr) bool {
	ask := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	for {
		n, err := unix.Poll(ask[:], 0)
		if !errors.Is(err, unix.EINTR) { // who waits is not asked again
			return err == nil && n > 0
		}
	}
}

// gone reports whether the other side has closed its half of the connection.
func gone(c net.Conn) bool {
	for {
		wrapped, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = wrapped.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true // closed on our side
	}
	left := false
	err = raw.Control(func(fd uintptr) { left = closed(fd) })
	return left || err != nil
}
