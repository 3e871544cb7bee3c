package ratelimit

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestAClockThatGoesBackIsReportedOnce(t *testing.T) {
	var log bytes.Buffer
	wall := &fakeClock{ms: t0}
	c := clock{wall: wall.now, log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, step := range []int64{0, 5 * second, -400, 100, -3 * second, 10, 10} {
		wall.add(step)
		c.read()
	}
	if got := c.read(); got != t0+5*second {
		t.Errorf("now is t0%+d", got-t0)
	}
	if n := strings.Count(log.String(), "the clock went back"); n != 1 {
		t.Errorf("reported %d times:\n%s", n, &log)
	}
	wall.add(minute)
	c.read()
	wall.add(-minute)
	c.read()
	if n := strings.Count(log.String(), "the clock went back"); n != 2 {
		t.Errorf("the second time: reported %d times", n)
	}
}
