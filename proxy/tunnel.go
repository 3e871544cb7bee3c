package proxy

// This file moves the bytes of hosts that no rule names.

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// errTunnelIdle ends a tunnel in which nothing moved for its idle time.
var errTunnelIdle = errors.New("the tunnel was idle for too long")

// A tunnel joins a client to an upstream, byte for byte.
//
// Between two *net.TCPConn on Linux the bytes do not pass through the process
// (splice(2)); any wrapper around them costs that.
type tunnel struct {
	client, upstream net.Conn

	// early is what the client sent before run.
	early []byte

	// idle ends the tunnel if no byte moved either way for that long; it may
	// take up to half as long again until it does. 0 means never.
	idle time.Duration

	// hello is how long the client may take to say who it wants, once it has
	// begun to; 0 means as by default.
	hello time.Duration

	// allow, if set, is shown how the client begins, and decides with an
	// error that the tunnel ends; nothing of the client has reached the
	// upstream then. The upstream may speak before.
	allow func(hello) error

	log *slog.Logger // nil: nobody is told of a panic

	start time.Time
	moved atomic.Int64 // when bytes were last seen to have moved, since start
}

// run returns when both ways have ended or the tunnel was broken off, with
// both connections closed, and the bytes moved. An end that the two sides
// agree on is no error.
func (t *tunnel) run(ctx context.Context) (up, down int64, err error) {
	t.start = time.Now()
	type way struct {
		up, down int64
		err      error
	}
	ways := make(chan way, 2)
	go func() {
		w := way{err: errPanicked}
		defer func() { ways <- w }()
		Contained(t.log, "a tunnel", func() { w.up, w.err = t.ascend() })
	}()
	go func() {
		w := way{err: errPanicked}
		defer func() { ways <- w }()
		Contained(t.log, "a tunnel", func() { w.down, w.err = t.pour(t.upstream, t.client) })
	}()

	breakOff := func(why error) {
		if err == nil {
			err = why
		}
		t.client.Close()
		t.upstream.Close()
	}
	var wake <-chan time.Time
	var timer *time.Timer
	if t.idle > 0 {
		timer = time.NewTimer(t.patience())
		defer timer.Stop()
		wake = timer.C
	}
	done := ctx.Done()
	for left := 2; left > 0; {
		select {
		case w := <-ways:
			left--
			up, down = up+w.up, down+w.down
			if w.err != nil {
				breakOff(w.err)
			}
		case <-done:
			breakOff(context.Cause(ctx))
			done = nil
		case <-wake:
			quiet := time.Since(t.start) - time.Duration(t.moved.Load())
			if quiet >= t.patience() {
				breakOff(errTunnelIdle)
				wake = nil
				continue
			}
			timer.Reset(t.patience() - quiet)
		}
	}
	t.client.Close()
	t.upstream.Close()
	return up, down, err
}

// ascend looks at how the client begins, then pours.
func (t *tunnel) ascend() (int64, error) {
	first := t.early
	if t.allow != nil {
		h, err := readHello(t.client, t.early, cmp.Or(t.hello, DefaultLimits().HandshakeTime))
		if errors.Is(err, io.EOF) && len(h.raw) == 0 { // it only listens
			return 0, closeWrite(t.upstream)
		}
		if err == nil {
			err = t.allow(h)
		}
		if err != nil {
			return 0, err
		}
		first = h.raw
	}
	written := 0
	if len(first) > 0 {
		var err error
		written, err = t.upstream.Write(first)
		t.saw(written)
		if err != nil {
			return int64(written), err
		}
	}
	n, err := t.pour(t.client, t.upstream)
	return n + int64(written), err
}

// pour copies until src ends, and passes the end on.
//
// A splice does not tell what it has moved before it returns, so it is made to
// return four times in an idle time, by a read deadline, which loses nothing.
// There are no write deadlines: bytes on their way would be lost.
func (t *tunnel) pour(src, dst net.Conn) (total int64, err error) {
	for {
		if t.idle > 0 {
			if err := src.SetReadDeadline(time.Now().Add(t.round())); err != nil {
				return total, err
			}
		}
		n, err := io.Copy(dst, src)
		total += n
		t.saw(int(n))
		if err == nil {
			return total, closeWrite(dst)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return total, err
		}
	}
}

func (t *tunnel) saw(n int) {
	if n > 0 {
		t.moved.Store(int64(time.Since(t.start)))
	}
}

func (t *tunnel) round() time.Duration { return t.idle / 4 }

// patience is how long nothing has been seen to move when it is certain that
// nothing moved for the idle time: what moves is seen one round later.
func (t *tunnel) patience() time.Duration { return t.idle + t.round() }

// closeWrite passes the end of a stream on; a connection that cannot end one
// way alone is closed.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		// The other side may have gone already; its own way tells.
		_ = half.CloseWrite()
		return nil
	}
	return c.Close()
}
