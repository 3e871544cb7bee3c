package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"quotagate/rules"
)

func (p program) runCommand(f *flags) *cobra.Command {
	var acceptClock bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "the proxy, in the foreground",
		Args:  argCount(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			c.acceptClock = acceptClock
			return p.serve(cmd.Context(), c)
		},
	}
	cmd.Flags().StringVar(&f.listen, "listen", "", "`ADDR` of the proxy (QUOTAGATE_LISTEN, 127.0.0.1:8080)")
	cmd.Flags().BoolVar(&acceptClock, "accept-clock", false, "open a ledger that was written while the system clock was wrong")
	return cmd
}

// serve runs the proxy until the context ends.
func (p program) serve(ctx context.Context, c *config) error {
	tuneGC(p.variable("GOGC"))
	s, err := p.open(c, version())
	if err != nil {
		return err
	}
	for _, w := range append(s.rules().Warnings(), s.rules().Aged(time.Now())...) {
		s.log.Warn(w.String())
	}
	s.sayCA(s.rules(), time.Now())
	s.log.Info("quotagate is ready",
		"proxy", c.proxyScheme()+"://"+s.front.Addr().String(),
		"admin", "http://"+s.back.Addr().String(),
		"rules", strings.Join(c.Rules, ","),
		"hosts", len(s.rules().Hosts()),
		"store", storeName(c.Store),
		"data", c.Data)
	unhook := onSecondSignal(func() {
		s.log.Warn("a second signal: what still runs is broken off")
		s.hurry()
	})
	defer unhook()
	err = s.serve(ctx, version())
	err = errors.Join(err, s.close())
	s.log.Info("quotagate has stopped")
	if err == nil && s.patient.Err() != nil {
		return exitError(exitFailure)
	}
	return err
}

// onSecondSignal calls f when a person, or a supervisor, loses patience. A
// third signal ends the process as the system does it.
func onSecondSignal(f func()) (stop func()) {
	signals, done := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		for range 2 {
			select {
			case <-signals:
			case <-done:
				return
			}
		}
		f()
	}()
	return sync.OnceFunc(func() { close(done) })
}

// logger writes what a person should see to standard error.
func (p program) logger(c *config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo // the demo's own; others are checked
	}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(tint.NewTextHandler(p.stderr, &tint.Options{
		Level: level, TimeFormat: time.DateTime, NoColor: !p.terminal(p.stderr),
	}))
}

// loadRules loads the files, and says how to begin where there are none.
func loadRules(files []string, o rules.Options) (*rules.Set, error) {
	set, err := rules.Load(files, o)
	if errors.Is(err, os.ErrNotExist) && len(files) == 1 && files[0] == "quotagate.yaml" {
		return nil, hinted(err, "`quotagate init` writes starter rules to this directory; or name others with --rules")
	}
	if err != nil {
		return nil, hinted(fmt.Errorf("the rules do not load:\n%w", err), "`quotagate check` looks at them without starting anything")
	}
	return set, nil
}
