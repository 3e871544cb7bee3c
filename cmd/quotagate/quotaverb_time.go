package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caarlos0/env/v11"
)

// location is the time zone that people are shown times in: TZ, or the
// machine's.
func (p program) location() *time.Location {
	if name, ok := env.ToMap(p.env)["TZ"]; ok {
		if loc, err := time.LoadLocation(strings.TrimPrefix(name, ":")); err == nil {
			return loc
		}
	}
	return time.Local
}

// parseWhen reads what --at, --since and --until take: a time, a day, an hour
// of the clock where now is, or a duration that counts from now. What has no
// direction of its own goes in that of sign: 10:00 is the next one or the last.
func parseWhen(flag, s string, now time.Time, sign time.Duration) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02 15:04", "2006-01-02T15:04", time.DateTime, "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse("15:04", s); err == nil {
		hour := func(day int) time.Time {
			return time.Date(now.Year(), now.Month(), now.Day()+day, t.Hour(), t.Minute(), 0, 0, now.Location())
		}
		today := hour(0)
		switch {
		case sign > 0 && today.Before(now):
			return hour(1), nil
		case sign < 0 && today.After(now):
			return hour(-1), nil
		}
		return today, nil
	}
	if d, ok := parseSpan(s); ok {
		return now.Add(sign * d), nil
	}
	return time.Time{}, usageError{hinted(fmt.Errorf("--%s %q is neither a time nor a duration", flag, s),
		"write 2026-11-21, 10:00, 2026-11-21T09:00:00+01:00, or 30m, 12h, 7d")}
}

// parseSpan is time.ParseDuration with days and weeks.
func parseSpan(s string) (time.Duration, bool) {
	for unit, hours := range map[string]float64{"d": 24, "w": 7 * 24} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			f, err := strconv.ParseFloat(n, 64)
			return time.Duration(f * hours * float64(time.Hour)), err == nil && f >= 0 && f < 10000
		}
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0
}

// inWords is a duration as people say it, to two units: 3d 4h, 12m 30s.
func inWords(d time.Duration) string {
	d = d.Round(time.Second)
	if d <= 0 {
		return "now"
	}
	var parts []string
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.d; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			d -= n * u.d
		} else if len(parts) > 0 {
			break
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}

// asWritten is a duration as rules files have it: 7d, 24h, 90s.
func asWritten(d time.Duration) string {
	for _, u := range []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if d%u.d == 0 && d >= u.d && (u.name != "d" || d > u.d) {
			return fmt.Sprintf("%d%s", d/u.d, u.name)
		}
	}
	return d.String()
}

// inMoments is a short duration: 43 ms, 911 ms, 1.9 s, 12 s, 2m 5s.
func inMoments(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return inWords(d)
}

// printable keeps control characters of logs and answers out of terminals.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == utf8.RuneError || 0x7f <= c && c < 0xa0 {
			return '?'
		}
		return c
	}, s)
}
