package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"quotagate/proxy"
)

// checkRates finds rates that cannot be read.
func (c *config) checkRates() error {
	for name, text := range map[string]string{"USER_RATE": c.UserRate, "GUESS_RATE": c.GuessRate} {
		if _, _, err := parseRate(name, text); err != nil {
			return err
		}
	}
	return nil
}

// parseRate reads how many there may be in a time: 600/1m, or 600/minute; "" is
// no bound.
func parseRate(name, text string) (n int64, per time.Duration, err error) {
	if text == "" {
		return 0, 0, nil
	}
	count, unit, ok := strings.Cut(text, "/")
	n, errN := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
	unit = strings.TrimSpace(unit)
	switch unit {
	case "second", "s":
		per = time.Second
	case "minute", "m":
		per = time.Minute
	case "hour", "h":
		per = time.Hour
	default:
		per, err = time.ParseDuration(unit)
	}
	if !ok || errN != nil || err != nil || n < 1 || per < time.Millisecond || per > 24*time.Hour || n/int64(per/time.Millisecond) >= 1000 {
		return 0, 0, usageError{hinted(fmt.Errorf("%s%s is %q", envPrefix, name, text), "write how many in how much time: 600/1m, or 50/second")}
	}
	return n, per, nil
}

// newGuard bounds what each user of the proxy may ask of it, or is nil.
func (s *service) newGuard() *proxy.Guard {
	n, per, err := parseRate("USER_RATE", s.cfg.UserRate)
	if err != nil || n == 0 { // config checked it
		return nil
	}
	return &proxy.Guard{Rates: s.ledger.rates, N: n, Per: per, Hash: s.hash}
}

// newGuesses bounds the wrong passwords of an address, or is nil.
func (s *service) newGuesses() *proxy.Guesses {
	n, per, err := parseRate("GUESS_RATE", s.cfg.GuessRate)
	if err != nil || n == 0 {
		return nil
	}
	return proxy.NewGuesses(n, per, time.Now)
}
