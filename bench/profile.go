package main

// This file takes CPU profiles of quotagate while it is measured, from which
// the compiler optimises the next build (cmd/quotagate/default.pgo).

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/pprof/profile"
)

// takeProfiles begins a profile of every gate, for as long as the rounds of
// requests take, and returns what waits for them and writes them.
func (p *plan) takeProfiles(ctx context.Context, gates []*quotagate) func() error {
	if p.profile == "" {
		return func() error { return nil }
	}
	// Four contestants share each round; the profile of one covers them all.
	seconds := int((time.Duration(p.rounds*4) * p.each).Seconds())
	results := make(chan error, len(gates))
	for _, q := range gates {
		go func() {
			results <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", q.admin, seconds),
				filepath.Join(p.profile, q.store+".pprof"))
		}()
	}
	return func() error {
		var errs []error
		for range gates {
			errs = append(errs, <-results)
		}
		return errors.Join(errs...)
	}
}

func fetch(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("take a profile: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("take a profile: %s", resp.Status)
	}
	prof, err := profile.Parse(resp.Body)
	if err != nil {
		return fmt.Errorf("read a profile: %w", err)
	}
	for _, m := range prof.Mapping { // where a program lay is nobody's business
		m.File = filepath.Base(m.File)
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(prof.Write(f), f.Close())
}
