package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// newSocketPair returns a server's socket and its client's end.
func newSocketPair(t *testing.T) (*socket, *net.TCPConn) {
	t.Helper()
	client, conn := tcpPair(t)
	return newSocket(t, client, conn), client
}

func newSocket(t *testing.T, client, conn *net.TCPConn) *socket {
	t.Helper()
	s := New(Config{})
	k := &socket{TCPConn: conn, server: s}
	s.census.enter(k.from)
	t.Cleanup(func() { client.Close(); conn.Close(); s.Close() })
	return k
}

const (
	quick = 30 * time.Millisecond
	ample = 20 * time.Second
)

func TestADeadlineEndsAReadWhenItIsWantedTo(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for name, tc := range map[string]struct {
		set   func(*socket)
		after time.Duration // the read ends with a deadline, not before; 0: it does not end
	}{
		"one":      {func(k *socket) { k.SetReadDeadline(in(quick)) }, quick},
		"a sooner": {func(k *socket) { k.SetReadDeadline(in(ample)); k.SetReadDeadline(in(quick)) }, quick},
		"a later":  {func(k *socket) { k.SetReadDeadline(in(quick)); k.SetReadDeadline(in(4 * quick)) }, 4 * quick},
		"a later, twice": {func(k *socket) {
			k.SetReadDeadline(in(quick))
			k.SetReadDeadline(in(ample))
			k.SetReadDeadline(in(3 * quick))
		}, 3 * quick},
		"taken back": {func(k *socket) { k.SetReadDeadline(in(quick)); k.SetReadDeadline(time.Time{}) }, 0},
		"set anew": {func(k *socket) {
			k.SetReadDeadline(in(quick))
			k.SetReadDeadline(time.Time{})
			k.SetReadDeadline(in(2 * quick))
		}, 2 * quick},
		"both":             {func(k *socket) { k.SetDeadline(in(quick)) }, quick},
		"both, taken back": {func(k *socket) { k.SetDeadline(in(quick)); k.SetDeadline(time.Time{}) }, 0},
		"while it reads": {func(k *socket) {
			k.SetReadDeadline(in(ample))
			time.AfterFunc(quick, func() { k.SetReadDeadline(time.Unix(1, 0)) })
		}, quick},
	} {
		for _, way := range []string{"read", "splice"} {
			if way == "splice" && name == "while it reads" {
				continue // tunnels do not
			}
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				k, client := newSocketPair(t)
				began := time.Now()
				tc.set(k)
				time.AfterFunc(10*quick, func() { client.Write([]byte("x")); client.CloseWrite() })
				var n int64
				var err error
				if way == "read" {
					var m int
					m, err = k.Read(make([]byte, 10))
					n = int64(m)
				} else {
					n, err = k.WriteTo(io.Discard)
				}
				took := time.Since(began)
				if tc.after == 0 {
					if n != 1 || err != nil {
						t.Errorf("%d bytes and %v after %v, want one byte", n, err, took)
					}
					return
				}
				if !errors.Is(err, os.ErrDeadlineExceeded) || took < tc.after {
					t.Errorf("%d bytes and %v after %v, want the deadline after %v", n, err, took, tc.after)
				}
			})
		}
	}
}
