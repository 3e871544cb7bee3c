package main

import (
	"fmt"
	"net/http"
)

// setupPage is what http://quotagate.internal/ shows through the proxy: that
// it works, and the files that clients need.
func (s *service) setupPage() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "This request came through quotagate.\n\n"+
			"The certificate that clients must trust: http://quotagate.internal/ca.pem\n"+
			"The same with the system's own roots:    http://quotagate.internal/bundle.pem\n"+
			"Its SHA-256: %s\n", s.ca.Fingerprint())
	})
	mux.HandleFunc("GET /ca.pem", func(w http.ResponseWriter, _ *http.Request) { servePEM(w, s.ca.PEM()) })
	mux.HandleFunc("GET /bundle.pem", func(w http.ResponseWriter, _ *http.Request) {
		pem, err := s.ca.Bundle()
		if err != nil {
			pem = s.ca.PEM()
		}
		servePEM(w, pem)
	})
	return mux
}

func servePEM(w http.ResponseWriter, pem []byte) {
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(pem) // a client that left needs no file
}
