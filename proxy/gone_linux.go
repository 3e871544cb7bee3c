package proxy

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpEstablished is the state in which neither side has closed (TCP_ESTABLISHED,
// linux/include/net/tcp_states.h).
const tcpEstablished = 1

// gone reports whether the other side has closed its half of the connection.
// net/http notices that by reading, but it reads one byte only: a client that
// sent anything behind its request (an old one sends a line end) leaves
// unnoticed.
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
	closed := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		closed = err == nil && info.State != tcpEstablished
	})
	return closed || err != nil
}
