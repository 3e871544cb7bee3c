package ratelimit

// What a store's failure is called, and what it says about the call.

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrUnavailable says that the shared store could not be asked, or did not
	// answer in time. The limit's own policy decides what becomes of the
	// message; whatever the store may have charged for it is given back when
	// the store is there again.
	ErrUnavailable = errors.New("the store of the quotas cannot be used")
	// ErrForgot says that the shared store came back without what it had
	// counted. It wraps ErrUnavailable's meaning: nothing is decided on it
	// until its data is back or a person accepts it as it is.
	ErrForgot = errors.New("the store of the quotas has lost what it counted; bring its data back, or accept it as it is (quotagate quota accept), which opens every quota anew")
)

// A fault is what is wrong with the store.
type fault struct {
	cause string // for the log: READONLY, time-out
	// sure: the attempt was not carried out. One such fault is enough to stop
	// asking; the others may be a single connection's bad luck.
	sure bool
}

// states are the error replies by which a server tells that it can decide
// nothing now, whatever it is asked; see redis's server.c, shared.*err
// (7.0.15) and its Sentinel and Cluster documents.
var states = map[string]bool{
	"READONLY": true, "OOM": true, "LOADING": true, "MASTERDOWN": true, "MISCONF": true, "NOREPLICAS": true,
	"CLUSTERDOWN": true, "TRYAGAIN": true, "BUSY": true, "NOAUTH": true, "WRONGPASS": true, "NOPERM": true,
	"MOVED": true, "ASK": true, "UNBLOCKED": true,
}

// faultOf tells what an error of the store means; nil for none, and for one
// that is the caller's.
func faultOf(err error) *fault {
	var reply redis.Error
	var timeout net.Error
	var half *halfway
	switch {
	case errors.As(err, &half): // something is charged, whatever its end was
		f := faultOf(half.error)
		if f == nil {
			return &fault{cause: "error"}
		}
		f.sure = false
		return f
	case err == nil, errors.Is(err, ErrInvalid), errors.Is(err, ErrSkew), errors.Is(err, ErrClosed):
		return nil
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &fault{cause: "connection refused", sure: true}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, redis.ErrPoolTimeout):
		return &fault{cause: "time-out"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return &fault{cause: "connection cut"}
	case errors.As(err, &reply):
		// A script's error begins with words of its own: "ERR …: OOM command not allowed".
		for word := range strings.FieldsSeq(reply.Error()) {
			if states[strings.Trim(word, "-:'")] {
				return &fault{cause: strings.Trim(word, "-:'"), sure: true}
			}
			if strings.ToUpper(word) != word && !strings.HasSuffix(word, ":") {
				break // its prose has begun
			}
		}
		return &fault{cause: "error reply"}
	}
	return &fault{cause: "error"}
}
