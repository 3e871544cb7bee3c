package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"quotagate/proxy"
	"quotagate/rules"
)

//go:embed setup
var setupFiles embed.FS

// eventsBeat is how often an open page is told that nothing is new, so that one
// that went away is noticed.
const eventsBeat = 15 * time.Second

// setupPage is what http://quotagate.internal/ and https://quotagate.internal/
// show through the proxy: that it works, whether the client trusts the
// certificate, the files and the settings that clients need, and the visitor's
// first request.
func (s *service) setupPage() (http.Handler, error) {
	page, err := template.ParseFS(setupFiles, "setup/page.html")
	if err != nil {
		return nil, fmt.Errorf("read the set-up page: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		data, err := s.setupData(r)
		var out bytes.Buffer
		if err == nil {
			err = page.Execute(&out, data)
		}
		if err != nil {
			s.log.Error("the set-up page could not be made", "error", err.Error())
			http.Error(w, "quotagate: the page could not be made; the proxy's log says why", http.StatusInternalServerError)
			return
		}
		serveFile(w, "text/html; charset=utf-8", "", out.Bytes())
	})
	for _, asset := range []struct{ name, kind string }{{"style.css", "text/css; charset=utf-8"}, {"page.js", "text/javascript; charset=utf-8"}} {
		text, err := setupFiles.ReadFile("setup/" + asset.name)
		if err != nil {
			return nil, fmt.Errorf("read the set-up page: %w", err)
		}
		mux.HandleFunc("GET /"+asset.name, func(w http.ResponseWriter, _ *http.Request) { serveFile(w, asset.kind, "", text) })
	}
	for _, d := range s.downloads() {
		mux.HandleFunc("GET /"+d.name, func(w http.ResponseWriter, r *http.Request) { serveFile(w, d.kind, d.as, d.content(r)) })
	}
	mux.HandleFunc("GET /ok", trustAsked)
	mux.HandleFunc("GET /events", s.events)
	return guardSetup(mux), nil
}

func serveFile(w http.ResponseWriter, kind, saveAs string, content []byte) {
	w.Header().Set("Content-Type", kind)
	if saveAs != "" {
		w.Header().Set("Content-Disposition", `attachment; filename="`+saveAs+`"`)
	}
	_, _ = w.Write(content) // a client that left needs no file
}

// The origins of the page.
const (
	plainOrigin  = "http://" + proxy.InternalHost
	secureOrigin = "https://" + proxy.InternalHost
)

// guardSetup keeps other websites out: they can neither read nor run nor frame
// anything here. A Host that is not ours comes by rebinding, a foreign Origin or
// Sec-Fetch-Site from a script or a picture of another page; a link to here may
// be followed.
// https://www.w3.org/TR/fetch-metadata/, read 2026-11-21
func guardSetup(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' "+secureOrigin+
			"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
		ours := origin == plainOrigin || origin == secureOrigin
		foreign := site != "" && site != "same-origin" && site != "none" && !ours && r.Header.Get("Sec-Fetch-Mode") != "navigate"
		if rules.NormaliseHost(r.Host) != proxy.InternalHost || origin != "" && !ours || foreign {
			http.Error(w, "quotagate: this page is for those who open it themselves", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// trustAsked answers the page, opened without TLS, that asks by TLS whether its
// browser trusts the certificate: no other page may read the answer.
func trustAsked(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", plainOrigin)
	w.Header().Set("Vary", "Origin")
	serveFile(w, "text/plain; charset=utf-8", "", []byte("trusted\n"))
}

// events tells an open page of the visitor's requests as they come: each event
// is all that it shows.
func (s *service) events(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		return
	}
	client := proxy.ClientOf(r.Context())
	who := s.visits.visitor(client.Addr, client.User)
	more, leave, ok := s.visits.follow(who)
	if !ok {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "quotagate: too many of these pages are open", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	beat := time.NewTicker(eventsBeat)
	defer beat.Stop()
	show := func() error {
		text, err := json.Marshal(s.visits.shown(who))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "data: %s\n\n", text)
		return err
	}
	for err := show(); err == nil && out.Flush() == nil; {
		select {
		case <-more:
			err = show()
		case <-beat.C:
			_, err = w.Write([]byte(":\n\n"))
		case <-r.Context().Done():
			return
		case <-s.draining:
			return
		}
	}
}
