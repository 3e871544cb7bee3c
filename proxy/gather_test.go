package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A slowConn takes one piece whenever it is told to.
type slowConn struct {
	net.Conn
	takes  chan struct{}
	mu     sync.Mutex
	pieces []string
	fails  error
	closed bool
}

func (c *slowConn) Write(p []byte) (int, error) {
	<-c.takes
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails != nil {
		return 0, c.fails
	}
	c.pieces = append(c.pieces, string(p))
	return len(p), nil
}

func (c *slowConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *slowConn) SetWriteDeadline(time.Time) error { return nil }

func (c *slowConn) taken() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%.20q", c.pieces)
}

func TestWhatIsWrittenMeanwhileLeavesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowConn{takes: make(chan struct{})}
		g := newGatherer(c)
		for _, piece := range []string{"header ", "data ", "another ", "end"} {
			if n, err := g.Write([]byte(piece)); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
			synctest.Wait() // the first is being written by then
		}
		c.takes <- struct{}{}
		c.takes <- struct{}{}
		g.finish()
		if got := c.taken(); got != `["header " "data another end"]` {
			t.Error(got)
		}
	})
}

func TestAWriterWaitsWhereTooMuchWaitsAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &slowConn{takes: make(chan struct{})}
		g := newGatherer(c)
		written := 0
		go func() {
			for {
				if _, err := g.Write(make([]byte, 1<<10)); err != nil {
					return
				}
				written += 1 << 10
			}
		}()
		synctest.Wait()
		if written < mostGathered || written > 2*mostGathered {
			t.Errorf("%d bytes were left to be written", written)
		}
		c.mu.Lock()
		c.fails = errors.New("reset")
		c.mu.Unlock()
		close(c.takes)
		synctest.Wait()
		if _, err := g.Write([]byte("more")); !errors.Is(err, c.fails) || !c.closed {
			t.Errorf("%v, closed: %t", err, c.closed)
		}
	})
}

// crypto/tls forbids further writes before it closes.
func TestWhatLiesThereIsWrittenBeforeTheConnectionCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := &gatheringConn{Conn: ours}
		c.gathers.Store(newGatherer(ours))
		if _, err := c.Write([]byte("the last words")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.SetWriteDeadline(time.Unix(1, 0)), c.SetDeadline(time.Unix(1, 0))); err != nil {
			t.Fatal(err)
		}
		go c.Close()
		if got, err := io.ReadAll(theirs); string(got) != "the last words" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if _, err := c.Write([]byte("more")); err == nil {
			t.Error("a closed connection is written to")
		}
	})
}

func TestAPeerThatTakesNothingDoesNotKeepTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := &gatheringConn{Conn: ours}
		c.gathers.Store(newGatherer(ours))
		if _, err := c.Write([]byte("nobody reads this")); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c.Close()
		if took := time.Since(began); took != lastWrites {
			t.Errorf("it was closed after %v", took)
		}
	})
}

// Long and short pieces of one writer keep their order.
func TestNothingIsLostOrMovedByGathering(t *testing.T) {
	ours, theirs := net.Pipe()
	c := &gatheringConn{Conn: ours}
	c.gathers.Store(newGatherer(ours))
	var want bytes.Buffer
	for i := range 300 {
		want.Write(bytes.Repeat([]byte{byte(i)}, 1+i*i%(3*worthCopying)))
	}
	go func() {
		defer c.Close()
		rest := want.Bytes()
		for i := 0; len(rest) > 0; i++ {
			n := min(len(rest), 1+i*i%(3*worthCopying))
			if _, err := c.Write(append([]byte(nil), rest[:n]...)); err != nil {
				t.Error(err)
				return
			}
			rest = rest[n:]
		}
	}()
	got, err := io.ReadAll(theirs)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes came of %d: %v", len(got), want.Len(), err)
	}
}

func TestADialThatFailsIsNoConnection(t *testing.T) {
	refused := errors.New("refused")
	dial := Gathering(func(context.Context, string, string) (net.Conn, error) { return nil, refused })
	if c, err := dial(t.Context(), "tcp", "chat.example:443"); c != nil || !errors.Is(err, refused) {
		t.Error(c, err)
	}
}
