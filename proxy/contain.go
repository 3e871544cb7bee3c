package proxy

// A panic is a mistake of ours in one request, and ends that request alone.

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// errPanicked ends a request in whose handling the proxy made a mistake.
var errPanicked = errors.New("the proxy made a mistake")

// logPanic says that something panicked and where, and not with what: a panic's
// words, and the arguments on its stack, may be a message's. What the runtime
// itself panics with quotes none of them.
func logPanic(log *slog.Logger, what, id string, panicked any) {
	if log == nil {
		return
	}
	why := fmt.Sprintf("%T", panicked)
	if e, ok := panicked.(runtime.Error); ok {
		why = e.Error()
	}
	args := []any{"cause", why, "at", panicPlace()}
	if id != "" {
		args = append(args, "id", id)
	}
	log.Error(what+" panicked: this is a mistake of quotagate's, please report it", args...)
}

// panicPlace is the functions and lines from the panic outwards.
func panicPlace() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	var places []string
	thrown := false
	for len(places) < 8 {
		f, more := frames.Next()
		if thrown && !strings.HasPrefix(f.Function, "runtime.") {
			places = append(places, f.Function+":"+strconv.Itoa(f.Line))
		}
		thrown = thrown || f.Function == "runtime.gopanic"
		if !more {
			break
		}
	}
	return strings.Join(places, " < ")
}

// contain answers a request whose handler panicked, if nothing was answered
// yet; else only a broken connection tells that the answer is not whole.
func (v *visit) contain(panicked any) {
	id := newID(time.Now())
	logPanic(v.server.log, "the handling of a request", id, panicked)
	v.server.Counts.Panics.Add(1)
	if k := below(connOf(v.r.Context())); k != nil && v.r.Method == http.MethodConnect {
		k.Close() // it was handed over, or is about to be
		panicAbort()
	}
	if v.started {
		panicAbort()
	}
	clear(v.ResponseWriter.Header())
	if v.version == 1 {
		v.ResponseWriter.Header().Set("Connection", "close")
	}
	writeResponse(v.ResponseWriter, failed(v.r, errPanicked, id))
}

// contain turns a panic in the governing of a request into an error. What was
// reserved stays spent: nobody knows how far it came.
func (e *Enforcer) contain(panicked any, req *http.Request, t *transit) error {
	if panicked == http.ErrAbortHandler {
		panicAbort()
	}
	e.panics.Add(1)
	id := newID(time.Now())
	if t != nil {
		id = t.id
	}
	logPanic(e.log(), "the governing of a request", id, panicked)
	Contained(e.log(), "the end of a request that panicked", func() {
		closeBody(req)
		if t == nil {
			return
		}
		defer t.land()
		t.record(DecisionError, failureOf(errPanicked).Status, errPanicked.Error()+"; it may have been sent, so it counts")
		t.keep()
	})
	return answeredError{err: errPanicked, id: id}
}

// Panics is how many requests ended in one, since the start.
func (e *Enforcer) Panics() int64 { return e.panics.Load() }

// Contained runs f, and logs a panic of it instead of passing it on; what says
// in the log what f is. It is for goroutines, where nobody else would, and
// returns whether f panicked.
func Contained(log *slog.Logger, what string, f func()) (panicked bool) {
	defer func() {
		if p := recover(); p != nil {
			panicked = true
			logPanic(log, what, "", p)
		}
	}()
	f()
	return false
}

// ContainedHandler answers 500 where next panics.
func ContainedHandler(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &noted{ResponseWriter: w}
		defer func() {
			p := recover()
			switch {
			case p == nil:
				return
			case p == http.ErrAbortHandler:
				panicAbort()
			}
			id := newID(time.Now())
			logPanic(log, "the handling of a request", id, p)
			if v.started {
				panicAbort()
			}
			clear(w.Header())
			writeResponse(w, failed(r, errPanicked, id))
		}()
		next.ServeHTTP(v, r)
	})
}

// noted is a ResponseWriter that knows whether its answer has begun.
type noted struct {
	http.ResponseWriter
	started bool
}

// Unwrap lets http.ResponseController find what is below.
func (n *noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// WriteHeader notes that the answer has begun.
func (n *noted) WriteHeader(status int) {
	n.started = n.started || status >= 200 || status == http.StatusSwitchingProtocols
	n.ResponseWriter.WriteHeader(status)
}

// Write notes the same.
func (n *noted) Write(p []byte) (int, error) {
	n.started = true
	return n.ResponseWriter.Write(p)
}

// Flush is for profiles, which ask for an http.Flusher.
func (n *noted) Flush() { _ = http.NewResponseController(n.ResponseWriter).Flush() }
