package ratelimit

import "errors"

var errPending = errors.New("not yet")

// answered is a Ratio's: see ratio.go.
func (r *record) answered(*record) {}
