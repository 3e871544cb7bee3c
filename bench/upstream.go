package main

// This file is the upstream: a service that answers as Slack's
// chat.postMessage does, and a source and sink of bytes for tunnels.

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

const (
	serviceHost = "slack.com"
	freeHost    = "untouched.example"
)

// answer is what Slack says to a message that it took, about 200 bytes.
const answer = `{"ok":true,"channel":"C0123456789","ts":"1795255325.000100","message":{"type":"message","user":"U0123456789","bot_id":"B0123456789","text":"The build is green again.","ts":"1795255325.000100"}}`

// runUpstream serves HTTPS; args are the directory of the certificates and
// whether HTTP/2 is offered. What it prints is its address and, behind a
// space, that of the source of bytes.
func runUpstream(args []string) (string, error) {
	dir, h2 := args[0], args[1] == "h2"
	cert, err := tls.LoadX509KeyPair(certFile(dir, "upstream"), keyFile(dir, "upstream"))
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	body := []byte(answer)
	server := &http.Server{
		ErrorLog:  log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		Protocols: new(http.Protocols),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Write(body)
		}),
	}
	server.Protocols.SetHTTP1(!h2)
	server.Protocols.SetHTTP2(h2)
	go server.ServeTLS(l, "", "")

	bytes, err := serveBytes()
	if err != nil {
		return "", err
	}
	return l.Addr().String() + " " + bytes, nil
}

// serveBytes answers 9 bytes, a letter and a number: D and it sends so many,
// U and it reads so many and then sends one.
func serveBytes() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	go accept(l, func(c net.Conn) {
		defer c.Close()
		for {
			var ask [9]byte
			if _, err := io.ReadFull(c, ask[:]); err != nil {
				return
			}
			if err := serveAsk(c, ask[0], int64(binary.BigEndian.Uint64(ask[1:]))); err != nil {
				return
			}
		}
	})
	return l.Addr().String(), nil
}

func serveAsk(c net.Conn, what byte, n int64) error {
	switch what {
	case 'D':
		chunk := make([]byte, 256<<10)
		for n > 0 {
			k, err := c.Write(chunk[:min(n, int64(len(chunk)))])
			if err != nil {
				return err
			}
			n -= int64(k)
		}
		return nil
	case 'U':
		if _, err := io.CopyN(discard{make([]byte, 256<<10)}, c, n); err != nil {
			return err
		}
		_, err := c.Write([]byte{'.'})
		return err
	}
	return fmt.Errorf("asked for %q", what)
}

// discard reads with a buffer as large as the sender's.
type discard struct{ buf []byte }

func (d discard) Write(p []byte) (int, error) { return len(p), nil }

func (d discard) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		n, err := r.Read(d.buf)
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// accept serves every connection of l in a goroutine of its own.
func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serve(c)
	}
}
