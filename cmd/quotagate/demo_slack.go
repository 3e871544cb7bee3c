package main

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"quotagate/certs"
)

// pretendHost is the name under which the demo's service is reached.
const pretendHost = "slack.com"

// A pretendSlack is a service on this machine that takes every message and
// counts them. Its count is the judge of the demo.
type pretendSlack struct {
	listener net.Listener
	server   *http.Server
	caFile   string
	messages atomic.Int64
}

// startPretendSlack serves with a CA of its own, which it keeps in dir.
func startPretendSlack(dir string) (*pretendSlack, error) {
	ca, err := certs.Open(dir, certs.Options{Allow: func(host string) bool { return host == pretendHost }, Host: "the demo's service",
		Hosts: func() ([]string, error) { return []string{pretendHost}, nil }})
	if err != nil {
		return nil, err
	}
	s := &pretendSlack{caFile: filepath.Join(dir, certs.CertFile)}
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/chat.postMessage", func(w http.ResponseWriter, _ *http.Request) {
		s.messages.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true,"channel":"C0DEMO"}`) // a client that left was counted all the same
	})
	s.server = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return ca.Certificate(pretendHost) },
		},
	}
	go func() {
		if err := s.server.ServeTLS(s.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			s.listener.Close() // the bot then says what went wrong
		}
	}()
	return s, nil
}

func (s *pretendSlack) addr() string { return s.listener.Addr().String() }

func (s *pretendSlack) close() { s.server.Close() }
