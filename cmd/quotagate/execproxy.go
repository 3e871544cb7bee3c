package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/caarlos0/env/v11"

	"quotagate/ratelimit"
)

// ownProxy starts a proxy in this process, on addresses that the system
// chooses. stop ends it, after what is under way has ended.
func (p program) ownProxy(ctx context.Context, c *config, f *flags) (api *proxyAPI, stop func() error, err error) {
	own := *c
	own.Listen, own.Admin = "127.0.0.1:0", "127.0.0.1:0"
	if _, set := env.ToMap(p.env)[envPrefix+"LOG_LEVEL"]; !set {
		own.LogLevel = "warn" // the terminal is the program's
	}
	s, err := p.open(&own, version())
	if errors.Is(err, ratelimit.ErrLocked) {
		return nil, nil, hinted(err, "start `quotagate run` first, and all programs share it; or name the admin address of the one that runs with --admin")
	}
	if err != nil {
		return nil, nil, err
	}
	// Not our context: the proxy has to outlive the program, and the signal
	// that ends our context is the program's to answer.
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- s.serve(serving, version()) }()
	stop = func() error {
		end()
		return errors.Join(<-ended, s.close())
	}
	own.Admin = s.back.Addr().String()
	api, err = p.findProxy(ctx, &own, f)
	if err == nil && api == nil {
		err = fmt.Errorf("the proxy that was started on %s does not answer", own.Listen)
	}
	if err != nil {
		return nil, nil, errors.Join(err, stop())
	}
	return api, stop, nil
}
