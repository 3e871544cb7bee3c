package main

import (
	"fmt"
	"time"

	"quotagate/proxy"
)

// limits bound what a client can take up. Every one has a variable, and a
// metric that counts what it refused. A test holds the defaults against those
// of proxy.DefaultLimits.
type limits struct {
	Conns          int64 `env:"MAX_CONNS" envDefault:"20000"`
	ConnsPerClient int64 `env:"MAX_CONNS_PER_CLIENT" envDefault:"0"`
	Tunnels        int64 `env:"MAX_TUNNELS" envDefault:"16000"`

	HeaderBytes    int64         `env:"MAX_HEADER_BYTES" envDefault:"65536"`
	HeaderTime     time.Duration `env:"HEADER_TIMEOUT" envDefault:"10s"`
	HandshakeTime  time.Duration `env:"HANDSHAKE_TIMEOUT" envDefault:"10s"`
	IdleTime       time.Duration `env:"IDLE_TIMEOUT" envDefault:"2m"`
	TunnelIdleTime time.Duration `env:"TUNNEL_IDLE_TIMEOUT" envDefault:"10m"`
	BodyTime       time.Duration `env:"BODY_TIMEOUT" envDefault:"1m"`

	BodyBytes     int64 `env:"MAX_BODY_BYTES" envDefault:"67108864"`
	BufferedBytes int64 `env:"MAX_BUFFERED_BYTES" envDefault:"536870912"`

	Streams      int64 `env:"MAX_STREAMS" envDefault:"250"`
	Resets       int64 `env:"MAX_RESETS" envDefault:"1000"`
	ControlBytes int64 `env:"MAX_CONTROL_BYTES" envDefault:"1048576"`

	Held           int64 `env:"MAX_HELD" envDefault:"10000"`
	HeldPerAccount int64 `env:"MAX_HELD_PER_ACCOUNT" envDefault:"1000"`
	HeldPerClient  int64 `env:"MAX_HELD_PER_CLIENT" envDefault:"0"`

	MintPerMinute int64 `env:"MINT_PER_MINUTE" envDefault:"600"`

	WebSocketIdleTimeout time.Duration `env:"WEBSOCKET_IDLE_TIMEOUT" envDefault:"10m"`

	ResponseTime time.Duration `env:"RESPONSE_TIMEOUT" envDefault:"5m"`

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
	count := func(name string, value, least, utmost int64) bound { return bound{name, value, least, utmost} }
	span := func(name string, value, least, utmost time.Duration) bound { return bound{name, value, least, utmost} }
	const million = 1_000_000
	return []bound{
		count("MAX_CONNS", l.Conns, 1, million),
		count("MAX_CONNS_PER_CLIENT", l.ConnsPerClient, 0, million),
		count("MAX_TUNNELS", l.Tunnels, 1, million),
		count("MAX_HEADER_BYTES", l.HeaderBytes, 1<<10, 16<<20),
		span("HEADER_TIMEOUT", l.HeaderTime, 100*time.Millisecond, time.Hour),
		span("HANDSHAKE_TIMEOUT", l.HandshakeTime, 100*time.Millisecond, time.Hour),
		span("IDLE_TIMEOUT", l.IdleTime, 100*time.Millisecond, 24*time.Hour),
		span("TUNNEL_IDLE_TIMEOUT", l.TunnelIdleTime, 100*time.Millisecond, 7*24*time.Hour),
		span("BODY_TIMEOUT", l.BodyTime, 100*time.Millisecond, 24*time.Hour),
		count("MAX_BODY_BYTES", l.BodyBytes, 1<<10, 1<<30),
		count("MAX_BUFFERED_BYTES", l.BufferedBytes, 1<<20, 1<<40),
		count("MAX_STREAMS", l.Streams, 1, 10_000),
		count("MAX_RESETS", l.Resets, 1, million),
		count("MAX_CONTROL_BYTES", l.ControlBytes, 16<<10, 1<<30),
		count("MAX_HELD", l.Held, 1, million),
		count("MAX_HELD_PER_ACCOUNT", l.HeldPerAccount, 1, million),
		count("MAX_HELD_PER_CLIENT", l.HeldPerClient, 0, million),
		count("MINT_PER_MINUTE", l.MintPerMinute, 1, million),
		span("WEBSOCKET_IDLE_TIMEOUT", l.WebSocketIdleTimeout, time.Second, 7*24*time.Hour),
		span("RESPONSE_TIMEOUT", l.ResponseTime, time.Second, 24*time.Hour),
		span("GRACE", l.Grace, 0, time.Hour),
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

// server are those that bound the connections.
func (l *limits) server() proxy.Limits {
	return proxy.Limits{
		Conns:          l.Conns,
		ConnsPerClient: l.ConnsPerClient,
		Tunnels:        l.Tunnels,
		HeaderBytes:    int(l.HeaderBytes),
		HeaderTime:     l.HeaderTime,
		HandshakeTime:  l.HandshakeTime,
		IdleTime:       l.IdleTime,
		TunnelIdleTime: l.TunnelIdleTime,
		BodyTime:       l.BodyTime,
		Streams:        int(l.Streams),
		Resets:         l.Resets,
		ControlBytes:   l.ControlBytes,
	}
}
