package ratelimit

import (
	"context"
	"errors"
)

var errPending = errors.New("not yet")

// Cool implements Store.
func (m *Memory) Cool(context.Context, Cooling) (Hold, error) { return Hold{}, errPending }

// Observe implements Store.
func (m *Memory) Observe(context.Context, Event) error { return errPending }

// Give implements Store.
func (m *Memory) Give(context.Context, string, Gift) error { return errPending }

// Cool implements Store.
func (e *Embedded) Cool(context.Context, Cooling) (Hold, error) { return Hold{}, errPending }

// Observe implements Store.
func (e *Embedded) Observe(context.Context, Event) error { return errPending }

// Give implements Store.
func (e *Embedded) Give(context.Context, string, Gift) error { return errPending }
