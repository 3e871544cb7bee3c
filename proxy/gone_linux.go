package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// watches: it is known here who leaves, without reading.
const watches = true

// stirs waits until the other side has closed its half of the connection, also
// behind bytes that nobody has read: io.EOF; or, if it is to listen, until there
// are bytes: nil. Another error is why it was not waited for.
func stirs(c *net.TCPConn, listen bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var what int16
	err = raw.Read(func(fd uintptr) bool {
		what = state(fd)
		return what&leaving != 0 || listen && what != 0
	})
	if err == nil && what&leaving != 0 {
		err = io.EOF
	}
	return err
}

const leaving = unix.POLLRDHUP | unix.POLLHUP | unix.POLLERR | unix.POLLNVAL

// state is what poll(2) tells of a socket's reading. The state in TCP_INFO does
// not tell who left: of MPTCP, which Go's listeners take, it is that of one way
// of several, and stays (Linux 6.18, 2026-11).
func state(fd uintptr) int16 {
	ask := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
	for {
		n, err := unix.Poll(ask[:], 0)
		if errors.Is(err, unix.EINTR) { // who waits is not asked again
			continue
		}
		if err != nil || n == 0 {
			return 0
		}
		return ask[0].Revents
	}
}

// glance reads what is there already; nothing is a time-out, so that crypto/tls
// goes on when there is something.
func glance(c *net.TCPConn, p []byte) (n int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	looked := raw.Read(func(fd uintptr) bool {
		for n, err = unix.Read(int(fd), p); errors.Is(err, unix.EINTR); {
			n, err = unix.Read(int(fd), p)
		}
		return true
	})
	switch {
	case errors.Is(looked, os.ErrDeadlineExceeded), errors.Is(err, unix.EAGAIN):
		return 0, os.ErrDeadlineExceeded
	case looked != nil:
		return 0, looked
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
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
	err = raw.Control(func(fd uintptr) { left = state(fd)&leaving != 0 })
	return left || err != nil
}
