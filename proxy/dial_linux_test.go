package proxy

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// TestASilentAddressHoldsTheNextUpForADelayOnly dials an address whose backlog
// is full: Linux drops what comes then, as a firewall would.
func TestASilentAddressHoldsTheNextUpForADelayOnly(t *testing.T) {
	silent := fullListener(t)
	open := listen(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), silent.Port()).String())
	began := time.Now()
	c, err := connectFirst(t.Context(), []netip.AddrPort{silent, open})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != open.String() {
		t.Errorf("connected to %s", c.RemoteAddr())
	}
	if took := time.Since(began); took < attemptDelay/2 || took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// fullListener is a listener of which no connection comes through any more.
func fullListener(t *testing.T) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(name.(*syscall.SockaddrInet4).Port))
	for range 8 {
		c, err := net.DialTimeout("tcp", addr.String(), 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("the backlog does not fill")
	return addr
}
