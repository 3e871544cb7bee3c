package proxy

// Who leaves is told by the socket on Linux alone.

import (
	"context"
	"net"
	"testing"
	"time"
)

// A watched socket, and what is called when its client leaves.
func watched(t *testing.T) (k *socket, client *net.TCPConn, left context.Context) {
	t.Helper()
	k, client = newSocketPair(t)
	return k, client, watchedBy(t, k)
}

func watchedBy(t *testing.T, k *socket) (left context.Context) {
	left = leaves(context.Background(), k.server.spoken(k))
	t.Cleanup(func() { k.Close(); k.unwatch() })
	return left
}

func hasLeft(t *testing.T, left context.Context) {
	t.Helper()
	select {
	case <-left.Done():
	case <-time.After(ample):
		t.Error("nobody noticed that the client has left")
	}
}

func TestWhoLeavesIsNoticedWithoutReading(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn){
		"closed":                   func(c *net.TCPConn) { c.Close() },
		"half closed":              func(c *net.TCPConn) { c.CloseWrite() },
		"reset":                    func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
		"behind bytes nobody read": func(c *net.TCPConn) { c.Write([]byte("GET")); c.Close() },
	} {
		for order, begin := range map[string]func(*socket){
			"the reader first": func(k *socket) { k.stepAside(); k.attend() },
			"the reader last":  func(k *socket) { k.attend(); k.stepAside() },
		} {
			t.Run(name+", "+order, func(t *testing.T) {
				k, client, left := watched(t)
				k.SetReadDeadline(time.Now().Add(quick)) // and it goes on behind one that was taken back
				k.SetReadDeadline(time.Time{})
				begin(k)
				<-time.After(2 * quick)
				if left.Err() != nil {
					t.Error("a client that stays was taken to have left")
				}
				leave(client)
				hasLeft(t, left)
			})
		}
	}
	t.Run("over MPTCP", func(t *testing.T) { // where the system has it
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var several net.Dialer
		several.SetMultipathTCP(true)
		client, err := several.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		k := newSocket(t, client.(*net.TCPConn), conn.(*net.TCPConn))
		left := watchedBy(t, k)
		k.stepAside()
		k.attend()
		if gone(k) {
			t.Error("a client that stays was taken to have left")
		}
		client.Close()
		hasLeft(t, left)
		if !gone(k) {
			t.Error("a client that left is taken to be there")
		}
	})
	t.Run("closed on our side", func(t *testing.T) {
		k, _, left := watched(t)
		k.stepAside()
		k.attend()
		k.Close()
		hasLeft(t, left)
	})
}

func TestAWatchIsInNoReadersWay(t *testing.T) {
	k, client, left := watched(t)
	k.stepAside()
	k.attend()
	k.SetReadDeadline(time.Now().Add(ample))
	client.Write([]byte("ab"))
	buf := make([]byte, 1)
	if n, err := k.Read(buf); n != 1 || err != nil || buf[0] != 'a' {
		t.Fatalf("%q, %d, %v", buf, n, err)
	}
	if k.reads.watching.Load() != nil {
		t.Error("the watch goes on beside a reader")
	}
	// The next one-byte read is net/http's own until the request is done.
	conn := k.server.spoken(k)
	if n, err := conn.Read(buf); n != 1 || err != nil || buf[0] != 'b' {
		t.Errorf("%q, %d, %v", buf, n, err)
	}
	k.rest()
	if n, err := conn.Read(buf); n != 0 || err != nil {
		t.Errorf("net/http's reader got %d, %v, want nothing", n, err)
	}
	k.release() // and who has the connection now may read bytes one by one
	k.rest()
	k.attend()
	client.Write([]byte("c"))
	if n, err := conn.Read(buf); n != 1 || err != nil || buf[0] != 'c' {
		t.Errorf("%q, %d, %v", buf, n, err)
	}
	if k.reads.watching.Load() != nil || left.Err() != nil {
		t.Error("a connection that net/http gave away is watched")
	}
}

// Beside a reader a watch would keep the socket's bytes from it.
func TestNobodyIsWatchedBesideAReaderThatHadRoomForOneByte(t *testing.T) {
	k, client, left := watched(t)
	conn := k.server.spoken(k)
	buf := make([]byte, 1)
	if n, err := conn.Read(buf); n != 0 || err != nil { // as bufio does behind 4095 bytes of a header
		t.Fatalf("%d, %v", n, err)
	}
	client.Write([]byte("ab"))
	if n, err := conn.Read(buf); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if k.attend(); k.reads.watching.Load() != nil {
		t.Error("the client is watched")
	}
	if n, err := conn.Read(buf); n != 1 || err != nil || buf[0] != 'b' || left.Err() != nil {
		t.Errorf("%q, %d, %v, %v", buf, n, err, left.Err())
	}
	k.rest()
	k.attend()
	if conn.Read(buf); k.reads.watching.Load() == nil {
		t.Error("the client is not watched in its next request")
	}
}
