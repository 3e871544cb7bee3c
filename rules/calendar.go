package rules

import (
	"fmt"
	"sync/atomic"
	"time"
	_ "time/tzdata" // the same zones on every machine, and in a container without any

	"quotagate/ratelimit"
)

// Civil windows in an account's time zone: which day is it there, when did it
// begin, and when does the next one?
//
// A day begins at its first instant, which is not always 00:00: in Havana,
// Santiago and Asunción the clocks have gone forward at midnight, and
// time.Date of 00:00 is 23:00 of the day before. A day that a country skipped
// (Apia, 2011-12-30) has no length. Weeks, months and years begin with their
// first day. Windows of one unit tile time without gap or overlap.

// A unit of the calendar.
const (
	minute = iota
	hour
	day
	week
	month
	year
	units // how many there are
)

// unitNames are the words of `per:`, in the order of the constants.
func unitNames() [units]string {
	return [...]string{"minute", "hour", "day", "week", "month", "year"}
}

// shortest is the nominal length of each unit, in milliseconds.
func shortest(unit int) int64 {
	const m = 60 * 1000
	return [...]int64{m, 60 * m, 23 * 60 * m, 7 * 23 * 60 * m, 28 * 23 * 60 * m, 365 * 23 * 60 * m}[unit]
}

// zone loads a time zone by its IANA name. "Local" is not one: rules mean the
// same on every machine.
func zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("unknown time zone %q", name)
	}
	return time.LoadLocation(name)
}

// calendar answers for one zone and one unit, and remembers the last answer.
type calendar struct {
	loc  *time.Location
	unit int
	last atomic.Pointer[[3]ratelimit.Window]
	past atomic.Pointer[pastWindows]
}

// windows returns the windows before, around and after a time. They are not to be
// changed.
func (c *calendar) windows(now time.Time) *[3]ratelimit.Window {
	ms := now.UnixMilli()
	if last := c.last.Load(); last != nil && last[1].Start <= ms && ms < last[1].End {
		return last
	}
	var w [3]ratelimit.Window
	if c.unit <= hour {
		w = c.clockWindows(now.Unix())
	} else {
		w = c.civilWindows(now.Unix())
	}
	c.last.Store(&w)
	return &w
}

// clockWindows are minutes and hours. Where the clocks change in the middle
// of one, it ends there. Their labels are in universal time: an hour that
// happens twice is two windows, and labels sort as time does.
func (c *calendar) clockWindows(now int64) [3]ratelimit.Window {
	start, end := c.clock(now)
	before, _ := c.clock(start - 1)
	_, after := c.clock(end)
	return [3]ratelimit.Window{
		clockWindow(before, start), clockWindow(start, end), clockWindow(end, after),
	}
}

func clockWindow(start, end int64) ratelimit.Window {
	return ratelimit.Window{
		Label: time.Unix(start, 0).UTC().Format("2006-01-02T15:04:05Z"),
		Start: start * 1000, End: end * 1000,
	}
}

// clock returns the bounds of the minute or hour around a time, in seconds.
func (c *calendar) clock(t int64) (start, end int64) {
	length := int64(60)
	if c.unit == hour {
		length = 3600
	}
	offset, from, to := c.zoneAt(t)
	local := t + offset
	start = t - ((local%length)+length)%length
	end = start + length
	return max(start, from), min(end, to)
}

// civilWindows are days and what is made of days.
func (c *calendar) civilWindows(now int64) [3]ratelimit.Window {
	offset, _, _ := c.zoneAt(now)
	n := c.number(floorDiv(now+offset, 86400))
	// Where the clocks went back over midnight, the next day had begun.
	for c.begins(n+1) <= now {
		n++
	}
	for c.begins(n) > now {
		n--
	}
	var w [3]ratelimit.Window
	start := c.begins(n - 1)
	for i := range w {
		end := c.begins(n + int64(i))
		w[i] = ratelimit.Window{Label: c.label(n - 1 + int64(i)), Start: start * 1000, End: end * 1000}
		start = end
	}
	return w
}

// number counts the units: which day, week, month or year a civil day
// (counted from 1970-01-01) lies in.
func (c *calendar) number(d int64) int64 {
	switch c.unit {
	case day:
		return d
	case week:
		return floorDiv(d+3, 7) // 1970-01-01 was a Thursday
	}
	t := civil(d)
	if c.unit == month {
		return int64(t.Year())*12 + int64(t.Month()) - 1
	}
	return int64(t.Year())
}

// first is the first civil day of a unit.
func (c *calendar) first(n int64) int64 {
	switch c.unit {
	case day:
		return n
	case week:
		return n*7 - 3
	case month:
		return civilDay(int(floorDiv(n, 12)), time.Month(n-floorDiv(n, 12)*12+1))
	}
	return civilDay(int(n), time.January)
}

func (c *calendar) label(n int64) string {
	t := civil(c.first(n))
	switch c.unit {
	case day:
		return t.Format("2006-01-02")
	case week:
		y, w := t.ISOWeek()
		return fmt.Sprintf("%04d-W%02d", y, w)
	case month:
		return t.Format("2006-01")
	}
	return t.Format("2006")
}

// begins is the first instant at which a unit's first day, or a later one, is
// on the calendars of the zone.
func (c *calendar) begins(n int64) int64 {
	midnight := c.first(n) * 86400 // as if the zone were UTC
	// No zone is more than 26 hours off: it is the day before, or earlier.
	t := midnight - 26*3600
	for {
		offset, _, to := c.zoneAt(t)
		at := max(t, midnight-offset)
		if at < to {
			return at
		}
		t = to
	}
}

// zoneAt returns the offset from UTC in force at a time, and from when until
// when it is, in seconds.
func (c *calendar) zoneAt(t int64) (offset, from, to int64) {
	at := time.Unix(t, 0).In(c.loc)
	_, seconds := at.Zone()
	start, end := at.ZoneBounds()
	const ever = 1 << 60
	from, to = -ever, ever
	if !start.IsZero() {
		from = start.Unix()
	}
	if !end.IsZero() {
		to = end.Unix()
	}
	return int64(seconds), from, to
}

func civil(d int64) time.Time { return time.Unix(d*86400, 0).UTC() }

func civilDay(y int, m time.Month) int64 {
	return floorDiv(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Unix(), 86400)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
