package main

import (
	"fmt"
	"time"
)

// limits bound what a client can take up. Every one has a variable, and a
// metric that counts what it refused.
type limits struct {
	MintPerMinute        int64         `env:"MINT_PER_MINUTE" envDefault:"600"`
	WebSocketIdleTimeout time.Duration `env:"WEBSOCKET_IDLE_TIMEOUT" envDefault:"10m"`

	Grace time.Duration `env:"GRACE" envDefault:"10s"`
}

// A bound is what a variable's value must lie in.
type bound struct {
	name          string
	value         any // int64 or time.Duration
	least, utmost any
}

// ranges are the values that make sense: what is below would refuse everybody,
// and what is above would bound nobody.
func (l *limits) ranges() []bound {
	return []bound{
		{"MINT_PER_MINUTE", l.MintPerMinute, int64(1), int64(1_000_000)},
		{"WEBSOCKET_IDLE_TIMEOUT", l.WebSocketIdleTimeout, time.Second, 7 * 24 * time.Hour},
		{"GRACE", l.Grace, time.Duration(0), time.Hour},
	}
}

func (l *limits) validate() error {
	for _, b := range l.ranges() {
		if outside(b) {
			return usageError{fmt.Errorf("%s%s is %v; it is between %v and %v", envPrefix, b.name, b.value, b.least, b.utmost)}
		}
	}
	return nil
}

func outside(b bound) bool {
	switch v := b.value.(type) {
	case time.Duration:
		return v < b.least.(time.Duration) || v > b.utmost.(time.Duration)
	case int64:
		return v < b.least.(int64) || v > b.utmost.(int64)
	}
	return true
}
