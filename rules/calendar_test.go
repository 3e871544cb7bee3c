package rules

import (
	"archive/zip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"quotagate/ratelimit"
)

// zones are those with the strangest clocks, and some ordinary ones.
var zones = strings.Fields(`UTC Europe/Berlin Europe/London Europe/Dublin Europe/Moscow Europe/Istanbul
	America/New_York America/Havana America/Santiago America/Sao_Paulo America/Asuncion America/St_Johns America/Caracas
	America/Scoresbysund America/Nuuk Atlantic/Azores Africa/Casablanca Africa/Cairo Africa/Juba
	Asia/Beirut Asia/Gaza Asia/Tehran Asia/Amman Asia/Kolkata Asia/Kathmandu Asia/Pyongyang
	Australia/Lord_Howe Pacific/Apia Pacific/Fakaofo Pacific/Kiritimati Pacific/Chatham Antarctica/Troll Antarctica/Casey`)

// TestWindowsTileTime walks through the windows of every unit.
func TestWindowsTileTime(t *testing.T) {
	names, from, to := zones, 2010, 2027
	if os.Getenv("QUOTAGATE_SOAK") == "1" {
		names, from, to = everyZone(t), 2008, 2028
	} else if testing.Short() {
		from = 2024
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tileZone(t, name, from, to)
		})
	}
}

func tileZone(t *testing.T, name string, from, to int) {
	loc, err := zone(name)
	if err != nil {
		t.Fatal(err)
	}
	for unit, word := range unitNames() {
		first, last := from, to
		switch unit { // and around every change of the clocks, below
		case minute:
			last = first
		case hour:
			last = first + 1
		}
		tile(t, name, word, loc, unit, time.Date(first, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(last, 1, 8, 0, 0, 0, 0, time.UTC))
		if unit > hour {
			continue
		}
		for at := time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC).In(loc); ; {
			_, change := at.ZoneBounds()
			if change.IsZero() || change.Year() > to {
				break
			}
			tile(t, name, word, loc, unit, change.Add(-3*time.Hour), change.Add(3*time.Hour))
			at = change
		}
	}
}

func tile(t *testing.T, name, word string, loc *time.Location, unit int, start, end time.Time) {
	t.Helper()
	c := &calendar{loc: loc, unit: unit}
	w := c.windows(start)
	for now := start; now.Before(end); {
		fresh := (&calendar{loc: loc, unit: unit}).windows(now)
		if *fresh != *w {
			t.Fatalf("%s %s at %s: %v from one side, %v from the other", name, word, now, *w, *fresh)
		}
		for i := range w {
			if w[i].Label == "" || w[i].Start > w[i].End || i > 0 && (w[i].Start != w[i-1].End || w[i].Label <= w[i-1].Label) {
				t.Fatalf("%s %s at %s: %v do not follow each other", name, word, now, *w)
			}
		}
		ms := now.UnixMilli()
		if ms < w[1].Start || ms >= w[1].End {
			t.Fatalf("%s %s: %s is not in %v", name, word, now, w[1])
		}
		if unit >= day {
			atFirstInstant(t, name, loc, unit, w[1])
		}
		// The last instant of the window has the same answer.
		if last := (&calendar{loc: loc, unit: unit}).windows(time.UnixMilli(w[1].End - 1)); *last != *w {
			t.Fatalf("%s %s: %v and %v hold the same window", name, word, *w, *last)
		}
		now = time.UnixMilli(w[1].End)
		next := c.windows(now)
		// A window that has no length is passed over.
		if prev := next[0]; prev != w[1] && !(prev == w[2] && prev.Start == prev.End) {
			t.Fatalf("%s %s: after %v comes %v", name, word, *w, *next)
		}
		w = next
	}
}

// atFirstInstant: a window begins when its label's first day is first on the
// calendar: not a second earlier.
func atFirstInstant(t *testing.T, name string, loc *time.Location, unit int, w ratelimit.Window) {
	t.Helper()
	at := time.UnixMilli(w.Start).In(loc)
	c := &calendar{loc: loc, unit: unit}
	days := func(at time.Time) int64 {
		_, offset := at.Zone()
		return floorDiv(at.Unix()+int64(offset), 86400)
	}
	if got := c.label(c.number(days(at))); got != w.Label {
		t.Fatalf("%s: %s begins at %s, which is in %s", name, w.Label, at, got)
	}
	if got := c.label(c.number(days(at.Add(-time.Second)))); got >= w.Label {
		t.Fatalf("%s: %s begins at %s, and a second before it is %s", name, w.Label, at, got)
	}
}

// everyZone lists the IANA zones of the Go distribution, one of those that
// are only other names of one clock.
func everyZone(t *testing.T) []string {
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	z, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatalf("the list of zones: %v", err)
	}
	defer z.Close()
	var names []string
	clocks := map[uint32]bool{}
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/") && !clocks[f.CRC32] {
			clocks[f.CRC32] = true
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	if len(names) < 300 {
		t.Fatalf("only %d zones", len(names))
	}
	return names
}

func TestKnownTrapsOfTheCalendar(t *testing.T) {
	for _, c := range []struct{ trap, zone, unit, at, label, start, end string }{
		{"an ordinary day", "Europe/Berlin", "day", "2026-11-21T12:00:00+01:00", "2026-11-21", "2026-11-21T00:00:00+01:00", "2026-11-22T00:00:00+01:00"},
		{"23 hours", "Europe/Berlin", "day", "2026-03-29T12:00:00+02:00", "2026-03-29", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"},
		{"25 hours", "Europe/Berlin", "day", "2026-10-25T12:00:00+01:00", "2026-10-25", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"},
		{"no midnight: Havana goes forward at 00:00", "America/Havana", "day", "2026-03-08T12:00:00-04:00", "2026-03-08", "2026-03-08T01:00:00-04:00", "2026-03-09T00:00:00-04:00"},
		{"the evening before it is the old day", "America/Havana", "day", "2026-03-07T23:59:59-05:00", "2026-03-07", "2026-03-07T00:00:00-05:00", "2026-03-08T01:00:00-04:00"},
		{"midnight twice: Havana goes back at 01:00", "America/Havana", "day", "2026-11-01T12:00:00-05:00", "2026-11-01", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00"},
		{"no midnight in Santiago", "America/Santiago", "day", "2026-09-06T12:00:00-03:00", "2026-09-06", "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"},
		{"23:00 twice in Santiago", "America/Santiago", "day", "2026-04-04T23:30:00-04:00", "2026-04-04", "2026-04-04T00:00:00-03:00", "2026-04-05T00:00:00-04:00"},
		{"no midnight in São Paulo", "America/Sao_Paulo", "day", "2018-11-04T12:00:00-02:00", "2018-11-04", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		{"no midnight in Asunción", "America/Asuncion", "day", "2023-10-01T12:00:00-03:00", "2023-10-01", "2023-10-01T01:00:00-03:00", "2023-10-02T00:00:00-03:00"},
		{"no midnight in Beirut", "Asia/Beirut", "day", "2024-03-31T12:00:00+03:00", "2024-03-31", "2024-03-31T01:00:00+03:00", "2024-04-01T00:00:00+03:00"},
		{"00:01, then 23:01 again, in St. John's", "America/St_Johns", "day", "2006-10-28T23:30:00-03:30", "2006-10-29", "2006-10-29T00:00:00-02:30", "2006-10-30T00:00:00-03:30"},
		{"a day that was skipped", "Pacific/Apia", "day", "2011-12-31T12:00:00+14:00", "2011-12-31", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"},
		{"the day before it", "Pacific/Apia", "day", "2011-12-29T12:00:00-10:00", "2011-12-29", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"},
		{"half an hour", "Australia/Lord_Howe", "day", "2026-10-04T12:00:00+11:00", "2026-10-04", "2026-10-04T00:00:00+10:30", "2026-10-05T00:00:00+11:00"},
		{"a week begins on Monday", "Europe/Berlin", "week", "2026-11-22T23:59:59+01:00", "2026-W47", "2026-11-16T00:00:00+01:00", "2026-11-23T00:00:00+01:00"},
		{"a week of two years", "UTC", "week", "2027-01-01T00:00:00Z", "2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"},
		{"a week with a change of the clocks", "America/New_York", "week", "2026-03-08T12:00:00-04:00", "2026-W10", "2026-03-02T00:00:00-05:00", "2026-03-09T00:00:00-04:00"},
		{"February", "Asia/Kolkata", "month", "2026-02-28T23:59:59+05:30", "2026-02", "2026-02-01T00:00:00+05:30", "2026-03-01T00:00:00+05:30"},
		{"February of a leap year", "Asia/Tokyo", "month", "2028-02-29T12:00:00+09:00", "2028-02", "2028-02-01T00:00:00+09:00", "2028-03-01T00:00:00+09:00"},
		{"a month that begins without a midnight", "America/Asuncion", "month", "2023-10-20T12:00:00-03:00", "2023-10", "2023-10-01T01:00:00-03:00", "2023-11-01T00:00:00-03:00"},
		{"a year", "Pacific/Kiritimati", "year", "2025-12-31T10:00:00Z", "2026", "2026-01-01T00:00:00+14:00", "2027-01-01T00:00:00+14:00"},
		{"the first 02:00", "Europe/Berlin", "hour", "2026-10-25T02:30:00+02:00", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"},
		{"the second 02:00", "Europe/Berlin", "hour", "2026-10-25T02:30:00+01:00", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"},
		{"an hour of a zone with half hours", "Asia/Kolkata", "hour", "2026-11-21T10:40:00+05:30", "2026-11-21T04:30:00Z", "2026-11-21T10:00:00+05:30", "2026-11-21T11:00:00+05:30"},
		{"a minute", "Asia/Kathmandu", "minute", "2026-11-21T10:40:59+05:45", "2026-11-21T04:55:00Z", "2026-11-21T10:40:00+05:45", "2026-11-21T10:41:00+05:45"},
	} {
		loc, err := zone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		names := unitNames()
		at := mustTime(t, c.at)
		w := (&calendar{loc: loc, unit: slices.Index(names[:], c.unit)}).windows(at)
		if got := w[1]; got.Label != c.label || got.Start != mustTime(t, c.start).UnixMilli() || got.End != mustTime(t, c.end).UnixMilli() {
			t.Errorf("%s: the %s of %s in %s is %s [%s, %s), want %s [%s, %s)", c.trap, c.unit, c.at, c.zone, got.Label,
				time.UnixMilli(got.Start).In(loc).Format(time.RFC3339), time.UnixMilli(got.End).In(loc).Format(time.RFC3339), c.label, c.start, c.end)
		}
	}
	apia, _ := zone("Pacific/Apia")
	w := (&calendar{loc: apia, unit: day}).windows(mustTime(t, "2011-12-29T12:00:00-10:00"))
	if w[2].Label != "2011-12-30" || w[2].Start != w[2].End {
		t.Errorf("the day that Apia skipped is %v", w[2])
	}
}

func mustTime(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestLocalIsNoTimeZone(t *testing.T) {
	for _, name := range []string{"", "Local", "../etc/passwd", "Berlin"} {
		if _, err := zone(name); err == nil {
			t.Errorf("%q is a time zone", name)
		}
	}
}

func BenchmarkWindows(b *testing.B) {
	loc, _ := zone("America/Havana")
	c := &calendar{loc: loc, unit: day}
	now := time.Now()
	for b.Loop() {
		c.windows(now)
	}
}
