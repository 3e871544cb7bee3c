package rules

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"quotagate/ratelimit"
)

// hours: the times of the week at which messages may go, by the wall clock of
// the account's zone. It is open whenever that clock shows such a time: an
// hour that happens twice is open twice, one that is skipped never comes.

// weekly is open from a time of a day until another, in seconds since its
// midnight; until may lie in the next day.
type weekly struct {
	days        [7]bool // from Monday
	from, until int64
}

// opening is what `hours` says, and what it came to in each zone.
type opening struct {
	weekly []weekly
	zones  sync.Map // of *openTimes, by the zone's name
}

// openTimes are the open times around those at which they hold.
type openTimes struct {
	from, until int64 // ms: asked within, they are the answer
	list        []ratelimit.Interval
}

func weekdays() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

func (c *compiler) hours(l *limit) *opening {
	o := &opening{}
	for i := range l.Hours {
		h := &l.Hours[i]
		w, ok := weekly{days: c.days(h)}, true
		if w.from, ok = c.clock(h.From, false); !ok {
			continue
		}
		if w.until, ok = c.clock(h.To, true); !ok {
			continue
		}
		if w.from == w.until {
			c.at(h.To.pos, "these hours begin and end at %s\nfrom 00:00 to 24:00 is the whole day", h.From.S)
			continue
		}
		if w.until < w.from {
			w.until += 86400
		}
		o.weekly = append(o.weekly, w)
	}
	return o
}

// clock reads 09:00; an end may be 24:00.
func (c *compiler) clock(t text, end bool) (seconds int64, ok bool) {
	if t.S == "" {
		return 0, false // said where it was decoded
	}
	h, m, found := strings.Cut(t.S, ":")
	hour, err := strconv.Atoi(h)
	minute, err2 := strconv.Atoi(m)
	good := found && err == nil && err2 == nil && len(h) <= 2 && len(m) == 2 && hour >= 0 && minute >= 0 && minute < 60
	if !good || hour > 23 && !(end && hour == 24 && minute == 0) {
		c.at(t.pos, "%q is not a time of the day\nwrite it in quotes, as \"09:00\"", t.S)
		return 0, false
	}
	return int64(hour*3600 + minute*60), true
}

// days reads mon-fri, or a list of days and such ranges.
func (c *compiler) days(h *hours) (days [7]bool) {
	if h.Days != nil && len(h.Days) == 0 {
		c.at(h.pos, "days: is empty: these hours are on no day\nwrite days: mon-fri, or leave days: out for every day")
	}
	if len(h.Days) == 0 {
		return [7]bool{true, true, true, true, true, true, true}
	}
	for _, word := range h.Days {
		if word.S == "" {
			continue
		}
		first, last, isRange := strings.Cut(strings.ToLower(word.S), "-")
		if !isRange {
			last = first
		}
		i, j := slices.Index(weekdays(), first), slices.Index(weekdays(), last)
		if i < 0 || j < 0 {
			bad := first
			if i >= 0 {
				bad = last
			}
			hint := "they are " + strings.Join(weekdays(), ", ") + ", and mon-fri is from one to the other"
			for k, day := range weekdays() {
				if strings.HasPrefix(bad, day) {
					hint = "write it as " + weekdays()[k]
				}
			}
			c.at(word.pos, "%q is not a day of the week\n%s", bad, hint)
			continue
		}
		for ; ; i = (i + 1) % 7 {
			days[i] = true
			if i == j {
				break
			}
		}
	}
	return days
}

const (
	// A week has at least one opening: these reach from the one before now to
	// the two after it, whatever a zone does to its clocks.
	hoursBefore = 9 * 86400
	hoursAfter  = 23 * 86400
	// hoursKept is for how long an answer is kept.
	hoursKept = 86400
)

// around are the open times from the opening before now to the two that follow
// now's or the next one, in order, none touching another.
func (o *opening) around(c *calendar, now time.Time) []ratelimit.Interval {
	ms := now.UnixMilli()
	list := o.times(c, ms)
	i, _ := slices.BinarySearchFunc(list, ms, func(one ratelimit.Interval, ms int64) int {
		if one.End <= ms {
			return -1
		}
		return 1
	})
	return list[max(i-1, 0):min(i+3, len(list))]
}

// always reports that it never closes where clocks run evenly.
func (o *opening) always() bool {
	utc := &calendar{loc: time.UTC, unit: day}
	return len(o.between(utc, 0, 8*86400)) == 1 && o.between(utc, 0, 8*86400)[0].End == 8*86400*1000
}

// times are the open times around a time, for longer than around needs.
func (o *opening) times(c *calendar, ms int64) []ratelimit.Interval {
	name := c.loc.String()
	if last, ok := o.zones.Load(name); ok {
		if t := last.(*openTimes); t.from <= ms && ms < t.until {
			return t.list
		}
	}
	t := &openTimes{from: floorDiv(ms, hoursKept*1000) * hoursKept * 1000}
	t.until = t.from + hoursKept*1000
	t.list = o.between(c, t.from/1000-hoursBefore, t.until/1000+hoursAfter)
	o.zones.Store(name, t)
	return t.list
}

// between are the open times that begin after from and before until (s), whole
// ones, but for those that are open at from or until.
func (o *opening) between(c *calendar, from, until int64) []ratelimit.Interval {
	var list []ratelimit.Interval
	for at := from; at < until; {
		// Within a segment the clock runs evenly.
		offset, _, to := c.zoneAt(at)
		end := min(to, until)
		for d := floorDiv(at+offset, 86400) - 1; d*86400-offset < end; d++ {
			for i := range o.weekly {
				w := &o.weekly[i]
				if !w.days[weekday(d)] {
					continue
				}
				opens, closes := max(d*86400+w.from-offset, at), min(d*86400+w.until-offset, end)
				if opens < closes {
					list = append(list, ratelimit.Interval{Start: opens * 1000, End: closes * 1000})
				}
			}
		}
		at = end
	}
	slices.SortFunc(list, func(a, b ratelimit.Interval) int { return int(a.Start/1000 - b.Start/1000) })
	return joined(list)
}

// joined makes one of intervals that meet.
func joined(list []ratelimit.Interval) []ratelimit.Interval {
	out := list[:0]
	for _, one := range list {
		if n := len(out); n > 0 && one.Start <= out[n-1].End {
			out[n-1].End = max(out[n-1].End, one.End)
			continue
		}
		out = append(out, one)
	}
	return out
}

// weekday is the day of the week of a civil day, from Monday.
func weekday(d int64) int64 { return d + 3 - floorDiv(d+3, 7)*7 } // 1970-01-01 was a Thursday
