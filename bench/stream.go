package main

// This file measures a tunnel: bytes through one connection, for a time.

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// A stream is a connection to the source of bytes.
type stream struct {
	net.Conn
	chunk []byte
}

// openStream connects to addr, and through it, if it is a proxy, to the host
// that no rule names.
func openStream(addr string, proxy bool) (*stream, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: c, chunk: make([]byte, 256<<10)}
	if !proxy {
		return s, nil
	}
	if _, err := fmt.Fprintf(c, "CONNECT %[1]s:443 HTTP/1.1\r\nHost: %[1]s:443\r\n\r\n", freeHost); err != nil {
		c.Close()
		return nil, err
	}
	// The source is silent until it is asked, so nothing is lost in the buffer.
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("open a tunnel: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		c.Close()
		return nil, fmt.Errorf("open a tunnel: answered %s", resp.Status)
	}
	return s, nil
}

// portion is large enough that asking for it costs nothing.
const portion = 64 << 20

// move moves bytes for d, down from the upstream ('D') or up to it ('U'), and
// returns how many and in what time.
func (s *stream) move(ctx context.Context, what byte, d time.Duration) (n int64, took time.Duration, err error) {
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	var ask [9]byte
	ask[0] = what
	binary.BigEndian.PutUint64(ask[1:], portion)
	began := time.Now()
	for time.Since(began) < d {
		if _, err := s.Write(ask[:]); err != nil {
			return n, 0, err
		}
		if what == 'D' {
			_, err = io.CopyN(discard{s.chunk}, s.Conn, portion)
		} else {
			err = s.push()
		}
		if err != nil {
			return n, 0, err
		}
		n += portion
	}
	return n, time.Since(began), nil
}

// push sends a portion and waits until the other side has it.
func (s *stream) push() error {
	for left := portion; left > 0; {
		k, err := s.Write(s.chunk[:min(left, len(s.chunk))])
		if err != nil {
			return err
		}
		left -= k
	}
	_, err := io.ReadFull(s, make([]byte, 1))
	return err
}
