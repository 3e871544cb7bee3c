package proxy

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpEstablished is the state in which neither side has closed (TCP_ESTABLISHED,
// linux/include/net/tcp_states.h).
const tcpEstablished = 1

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

// closed reports whether the other side has closed its half of a connection.
func closed(fd uintptr) bool {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	return err == nil && info.State != tcpEstablished
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
