package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseRate reads how many requests each user of the proxy may make in a time:
// 600/1m, or 600/minute; "" is no bound.
func parseRate(text string) (n int64, per time.Duration, err error) {
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
		return 0, 0, usageError{hinted(fmt.Errorf("%sUSER_RATE is %q", envPrefix, text), "write how many requests in how much time: 600/1m, or 50/second")}
	}
	return n, per, nil
}
