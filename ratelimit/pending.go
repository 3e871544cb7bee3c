package ratelimit

import "errors"

var errPending = errors.New("not yet")
