package e2e

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The hosts that the rules name, and one that no rule names.
const (
	linkedinWeb = "www.linkedin.com"
	linkedinAPI = "api.linkedin.com"
	slackHost   = "slack.com"
	telegramAPI = "api.telegram.org"
	untouched   = "untouched.example"
)

// delivery is a message that reached the service.
type delivery struct {
	Host, Account, Recipient, Text, ID string
	Path, Proto                        string
	Header                             http.Header
	Body                               string
	At                                 time.Time
}

// service is the loopback service: the judge. It believes nothing but the
// bytes that reach it.
type service struct {
	authority *authority
	secure    string // address of the HTTPS listener, HTTP/1.1 and HTTP/2
	plain     string // address of the HTTP listener
	untrusted string // address of an HTTPS listener whose certificate nobody signed that counts
	leaf      tls.Certificate

	mu        sync.Mutex
	delivered []delivery
	other     []string               // requests that were no message
	held      map[string]chan string // events that a stream waits for, by the request's E2E-Stream
}

// Headers by which a client asks the service to misbehave. The proxy forwards
// what it does not know, so no test disturbs another.
const (
	answerHeader = "E2E-Answer" // reset | slow | throttled
	streamHeader = "E2E-Stream" // the name of a stream, see release
)

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{authority: newAuthority(t, "the service's CA"), held: make(map[string]chan string)}
	hosts := []string{linkedinWeb, linkedinAPI, slackHost, telegramAPI, untouched}
	s.leaf = s.authority.leaf(t, hosts...)
	s.secure = s.serve(t, &tls.Config{Certificates: []tls.Certificate{s.leaf}})
	s.plain = s.serve(t, nil)
	nobody := newAuthority(t, "nobody's CA")
	s.untrusted = s.serve(t, &tls.Config{Certificates: []tls.Certificate{nobody.leaf(t, hosts...)}})
	return s
}

// serve starts one listener; without a config it speaks plain HTTP.
func (s *service) serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler:           s,
		TLSConfig:         config,
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // resets are part of the tests
	}
	var done sync.WaitGroup
	done.Go(func() {
		if config == nil {
			server.Serve(listener)
		} else {
			server.ServeTLS(listener, "", "")
		}
	})
	t.Cleanup(func() {
		server.Close()
		done.Wait()
	})
	return listener.Addr().String()
}

// connectTo sends every host to the loopback service, in the form of
// QUOTAGATE_CONNECT_TO.
func (s *service) connectTo() string {
	var pairs []string
	for _, h := range []string{linkedinWeb, linkedinAPI, slackHost, telegramAPI, untouched} {
		pairs = append(pairs, h+":443="+s.secure, h+":80="+s.plain)
	}
	return strings.Join(pairs, ",")
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name := r.Header.Get(streamHeader); name != "" {
		s.stream(w, r, name)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
	if err != nil {
		return // the client left in the middle of its request: nothing was delivered
	}
	m, answer, ok := understand(r, body)
	if !ok {
		s.mu.Lock()
		s.other = append(s.other, r.Method+" "+r.Host+r.URL.Path)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/plain")
		if r.Host != untouched {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, "the service here\n")
		return
	}
	m.Path, m.Proto, m.Header, m.Body, m.At = r.URL.Path, r.Proto, r.Header.Clone(), string(body), time.Now()
	s.mu.Lock()
	s.delivered = append(s.delivered, m)
	s.mu.Unlock()

	switch r.Header.Get(answerHeader) {
	case "reset":
		reset(w)
		return
	case "slow":
		select {
		case <-time.After(1500 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
	answer(w)
}

// reset ends the connection without an answer: with a TCP reset where there
// is a connection of its own, with RST_STREAM in HTTP/2.
func reset(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

// stream sends server-sent events, each when release hands it over.
func (s *service) stream(w http.ResponseWriter, r *http.Request, name string) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	events := s.events(name)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			io.WriteString(w, "data: "+e+"\n\n")
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// events is the channel of the named stream; closing it ends the stream.
func (s *service) events(name string) chan string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.held[name]
	if !ok {
		c = make(chan string)
		s.held[name] = c
	}
	return c
}

// count is the number of messages that arrived at the host; "" is all hosts.
func (s *service) count(host string) int { return len(s.messages(host)) }

// messages are the messages that arrived at the host, in the order of arrival.
func (s *service) messages(host string) []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.delivered), func(d delivery) bool {
		return host != "" && d.Host != host
	})
}

// from are the messages of one sender, in the order of arrival. Every account
// that a sender has at a service ends in its name.
func (s *service) from(sender string) []delivery {
	return slices.DeleteFunc(s.messages(""), func(d delivery) bool {
		return !strings.HasSuffix(d.Account, sender)
	})
}

func texts(messages []delivery) []string {
	var all []string
	for _, m := range messages {
		all = append(all, m.Text)
	}
	return all
}
