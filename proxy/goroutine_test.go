package proxy

// A panic in a goroutine that no handler stands above would end the process.

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

const (
	bomb      = "s3cret text"
	chatRules = "version: 1\nservices: {chat: {hosts: [chat.example]}}\n"
)

// aLog is written by many goroutines.
type aLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *aLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// tells checks that the log tells of a panic, without its words.
func (l *aLog) tells(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.b.String(); !strings.Contains(s, "panicked") || strings.Contains(s, bomb) {
		t.Errorf("the log: %q", s)
	}
}

func logTo() (*aLog, *slog.Logger) {
	l := &aLog{}
	return l, slog.New(slog.NewTextHandler(l, nil))
}

// A mined side of a WebSocket panics in one of its methods.
type mined struct {
	net.Conn
	in     string
	closed chan struct{} // once it was tried
	once   sync.Once
}

func (m *mined) Read(p []byte) (int, error) {
	if m.in == "read" {
		panic(bomb)
	}
	return m.Conn.Read(p)
}

func (m *mined) Write(p []byte) (int, error) {
	if m.in == "write" {
		panic(bomb)
	}
	return m.Conn.Write(p)
}

func (m *mined) Close() error {
	m.once.Do(func() { close(m.closed) })
	err := m.Conn.Close()
	if m.in == "close" {
		panic(bomb)
	}
	return err
}

func TestAPanicOnOneSideOfAWebSocketClosesBoth(t *testing.T) {
	for _, in := range []string{"read", "write", "close"} {
		for _, atService := range []bool{false, true} {
			t.Run(in, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					said, log := logTo()
					client, ourClient := net.Pipe()
					service, ourService := net.Pipe()
					sides := [2]*mined{{Conn: ourClient, closed: make(chan struct{})}, {Conn: ourService, closed: make(chan struct{})}}
					w := &webSocket{client: sides[0], service: sides[1], early: strings.NewReader(""), idle: time.Minute, log: log}
					if atService {
						sides[1].in = in
					} else {
						sides[0].in = in
					}
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						w.run()
					}()
					<-ended
					for _, side := range sides {
						<-side.closed
					}
					client.Close()
					service.Close()
					said.tells(t)
				})
			})
		}
	}
}

// Neither side takes the word that the socket was idle.
func TestAnIdleWebSocketEndsThoughNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, ourClient := net.Pipe()
		service, ourService := net.Pipe()
		defer client.Close()
		defer service.Close()
		w := &webSocket{client: ourClient, service: ourService, early: strings.NewReader(""), idle: time.Minute}
		begin := time.Now()
		if !w.run() || time.Since(begin) > time.Minute+2*time.Second {
			t.Errorf("it took %s", time.Since(begin))
		}
	})
}

func TestAPanicOfTheDialerIsAnError(t *testing.T) {
	said, log := logTo()
	d := &Dialer{Log: log, AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Own: func() []netip.AddrPort { panic(bomb) }}
	_, err := d.DialContext(t.Context(), "tcp", "127.0.0.1:80")
	var dial *DialError
	if !errors.As(err, &dial) || failureOf(err).Word != "internal" {
		t.Errorf("%v", err)
	}
	said.tells(t)
}

type minedBody struct{}

func (minedBody) Read([]byte) (int, error) { panic(bomb) }
func (minedBody) Close() error             { return nil }

func TestAPanicWhileTheTransportReadsABodyIsAnError(t *testing.T) {
	said, log := logTo()
	out := &http.Request{Body: minedBody{}}
	watch(out, nil, log)
	if _, err := io.ReadAll(out.Body); !errors.Is(err, errPanicked) {
		t.Errorf("%v", err)
	}
	said.tells(t)
}

// minedAnswer panics at what a transport's, or a timer's, goroutine asks of it.
type minedAnswer struct{ http.ResponseWriter }

func (minedAnswer) Header() http.Header             { panic(bomb) }
func (minedAnswer) SetReadDeadline(time.Time) error { panic(bomb) }

func TestAPanicOverAnEarlyAnswerIsAnError(t *testing.T) {
	said, log := logTo()
	early := &earlyAnswers{w: minedAnswer{}, log: log}
	if err := early.pass(http.StatusEarlyHints, http.Header{}); !errors.Is(err, errPanicked) {
		t.Errorf("%v", err)
	}
	early.end() // its lock is free
	said.tells(t)
}

func TestAPanicOfTheWatchOverASlowClientEndsTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, log := logTo()
		s := New(Config{Log: log, Limits: Limits{BodyTime: time.Minute}})
		defer s.Close()
		v := &visit{noted: noted{ResponseWriter: minedAnswer{}}, server: s, r: &http.Request{RemoteAddr: "192.0.2.1:1"}}
		s.lookout.enter(v)
		v.begin(&v.reading)
		<-time.After(time.Minute + time.Minute/8)
		s.lookout.leave(v)
		<-time.After(time.Minute)
		synctest.Wait()
		v.mu.Lock() // is free
		defer v.mu.Unlock()
		said.tells(t)
	})
}

// minedLedger panics when it is told something, or asked to prolong a lease.
type minedLedger struct {
	ratelimit.Store
	calls atomic.Int64
}

func (m *minedLedger) Observe(context.Context, ratelimit.Event) error {
	m.calls.Add(1)
	panic(bomb)
}

func (m *minedLedger) Fire(context.Context, string) (ratelimit.Decision, error) {
	m.calls.Add(1)
	panic(bomb)
}

func TestAPanicOverALessonLeavesTheOthers(t *testing.T) {
	said, log := logTo()
	ledger := &minedLedger{}
	e := &Enforcer{Ledger: ledger, Log: log}
	for range 2 {
		e.learning.add(e, lesson{event: ratelimit.Event{Account: "anna", At: 1}})
	}
	if err := e.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := ledger.calls.Load(); n != 2 {
		t.Errorf("%d lessons were taken", n)
	}
	said.tells(t)
}

func TestALeaseIsProlongedAfterAPanicToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said, log := logTo()
		ledger := &minedLedger{}
		l := newLease(ledger, "1", log)
		<-time.After(2*leaseEvery + time.Second)
		l.end()
		if n := ledger.calls.Load(); n != 2 {
			t.Errorf("prolonged %d times", n)
		}
		said.tells(t)
	})
}

func TestWhoCannotBeLookedUpMayBeAnybody(t *testing.T) {
	said, log := logTo()
	g := &gazetteer{log: log}
	set, err := rules.LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(chatRules)}}, []string{"q.yaml"}, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort("192.0.2.7:443")
	lookUp := func(context.Context, string) []netip.AddrPort { panic(bomb) }
	if !g.lives(t.Context(), set, at, lookUp) {
		t.Error("a tunnel went on of which nobody knows where it leads")
	}
	if g.lives(t.Context(), set, at, func(context.Context, string) []netip.AddrPort { return nil }) {
		t.Error("the panic is still believed")
	}
	said.tells(t)
}

type panickingTransport struct {
	late func(code int, h http.Header) error
}

func (p *panickingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	p.late = ClientOf(req.Context()).informational
	panic(bomb)
}

// written notes the statuses of answers.
type written struct {
	http.ResponseWriter
	statuses []int
}

func (w *written) WriteHeader(status int) {
	w.statuses = append(w.statuses, status)
	w.ResponseWriter.WriteHeader(status)
}

func TestNoEarlyAnswerComesBehindAPanic(t *testing.T) {
	set, err := rules.LoadFS(fstest.MapFS{"q.yaml": {Data: []byte(chatRules)}}, []string{"q.yaml"}, rules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	transport := &panickingTransport{}
	s := New(Config{Rules: func() *rules.Set { return set }, Transport: transport})
	defer s.Close()
	w := &written{ResponseWriter: httptest.NewRecorder()}
	s.Intercepted("chat.example")(w, httptest.NewRequest(http.MethodGet, "https://chat.example/", nil))
	if err := transport.late(http.StatusEarlyHints, http.Header{}); err != nil {
		t.Error(err)
	}
	if len(w.statuses) != 1 || w.statuses[0] != http.StatusInternalServerError {
		t.Errorf("answered %v", w.statuses)
	}
}
