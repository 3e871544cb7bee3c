package rules

import (
	"fmt"
	"testing"
	"time"

	"quotagate/ratelimit"
)

func openingOf(t testing.TB, hours string) *opening {
	t.Helper()
	s := mustLoad(t, wired+"limits: [{name: x, on: acme.message, hours: "+hours+"}]")
	return s.limits[0].open
}

// TestHoursAreWhatTheClockShows: open is when a clock on the wall there shows
// a time that is listed, minute by minute, around every change of the clocks.
func TestHoursAreWhatTheClockShows(t *testing.T) {
	for _, c := range []struct {
		hours string
		open  func(time.Time) bool
	}{
		{"{days: mon-fri, from: '09:00', to: '18:00'}", func(t time.Time) bool {
			return t.Weekday() >= 1 && t.Weekday() <= 5 && t.Hour() >= 9 && t.Hour() < 18
		}},
		{"{from: '02:10', to: '02:50'}", func(t time.Time) bool { return t.Hour() == 2 && t.Minute() >= 10 && t.Minute() < 50 }},
		{"{from: '00:00', to: '00:30'}", func(t time.Time) bool { return t.Hour() == 0 && t.Minute() < 30 }},
		{"{days: [sat, sun], from: '22:00', to: '02:30'}", func(t time.Time) bool {
			late, early := t.Hour() >= 22, t.Hour() < 2 || t.Hour() == 2 && t.Minute() < 30
			return late && (t.Weekday() == 6 || t.Weekday() == 0) || early && (t.Weekday() == 0 || t.Weekday() == 1)
		}},
		{"[{days: sat-mon, from: '08:00', to: '24:00'}, {days: mon, from: '23:00', to: '01:00'}, {days: tue, from: '01:00', to: '02:00'}]", func(t time.Time) bool {
			return (t.Weekday() == 6 || t.Weekday() <= 1) && t.Hour() >= 8 || t.Weekday() == 2 && t.Hour() < 2
		}},
	} {
		o := openingOf(t, c.hours)
		for _, name := range zones {
			loc, err := zone(name)
			if err != nil {
				t.Fatal(err)
			}
			cal := &newCalendars(loc)[day]
			for _, at := range changesOf(loc) {
				from := at.Add(-50 * time.Hour).Truncate(24 * time.Hour)
				list := o.between(cal, from.Unix(), from.Unix()+5*86400)
				checkOpen(t, name+" "+c.hours, list, loc, from, c.open)
			}
		}
	}
}

// changesOf are the changes of a zone's clocks in years that had odd ones.
func changesOf(loc *time.Location) []time.Time {
	var list []time.Time
	for _, year := range []int{2011, 2016, 2026} {
		at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		list = append(list, at)
		for {
			_, change := at.In(loc).ZoneBounds()
			if change.IsZero() || change.Year() > year {
				break
			}
			list, at = append(list, change.UTC()), change
		}
	}
	return list
}

// checkOpen holds intervals against what the clock shows every minute of five
// days, but for the seconds of zones that changed within a minute.
func checkOpen(t *testing.T, what string, list []ratelimit.Interval, loc *time.Location, from time.Time, open func(time.Time) bool) {
	t.Helper()
	i := 0
	for m := range 5 * 24 * 60 {
		at := from.Add(time.Duration(m) * time.Minute)
		for i < len(list) && list[i].End <= at.UnixMilli() {
			i++
		}
		got := i < len(list) && list[i].Start <= at.UnixMilli()
		if want := open(at.In(loc)); got != want {
			t.Errorf("%s: at %s open is %v", what, at.In(loc), got)
			return
		}
	}
	for j := 1; j < len(list); j++ {
		if list[j].Start <= list[j-1].End {
			t.Errorf("%s: %v and %v touch", what, list[j-1], list[j])
		}
	}
}

func TestHoursOverTheTraps(t *testing.T) {
	const office = "{days: mon-fri, from: '09:00', to: '18:00'}"
	for _, c := range []struct{ hours, zone, now, want string }{
		{office, "Europe/Berlin", "2026-11-20T12:00:00Z", "11-19 08:00–17:00, 11-20 08:00–17:00, 11-23 08:00–17:00, 11-24 08:00–17:00"},
		// The weekend: the opening before, then the next two and one more.
		{office, "Europe/Berlin", "2026-03-28T12:00:00Z", "03-27 08:00–17:00, 03-30 07:00–16:00, 03-31 07:00–16:00, 04-01 07:00–16:00"},
		// 02:10 to 02:50 is skipped on the 29th, and comes twice on 2026-10-25.
		{"{from: '02:10', to: '02:50'}", "Europe/Berlin", "2026-03-28T12:00:00Z", "03-28 01:10–01:50, 03-30 00:10–00:50, 03-31 00:10–00:50, 04-01 00:10–00:50"},
		{"{from: '02:10', to: '02:50'}", "Europe/Berlin", "2026-10-25T00:50:00Z", "10-25 00:10–00:50, 10-25 01:10–01:50, 10-26 01:10–01:50, 10-27 01:10–01:50"},
		// It opens at 02:30, which is 03:00 that day.
		{"{from: '02:30', to: '06:00'}", "America/New_York", "2026-03-08T06:00:00Z", "03-07 07:30–11:00, 03-08 07:00–10:00, 03-09 06:30–10:00, 03-10 06:30–10:00"},
		// Over midnight, into the day that begins at 01:00.
		{"{from: '22:00', to: '00:30'}", "America/Havana", "2026-03-07T12:00:00Z", "03-07 03:00–05:30, 03-08 03:00–05:00, 03-09 02:00–04:30, 03-10 02:00–04:30"},
		// Half an hour, in Lord Howe.
		{"{from: '01:45', to: '02:15'}", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", "04-03 14:45–15:15, 04-04 14:45–15:00, 04-04 15:15–15:45, 04-05 15:15–15:45"},
		// Apia had no 30th.
		{"{days: fri, from: '09:00', to: '10:00'}", "Pacific/Apia", "2011-12-29T12:00:00Z", "12-23 19:00–20:00, 01-05 19:00–20:00, 01-12 19:00–20:00, 01-19 19:00–20:00"},
		{"{from: '00:00', to: '24:00'}", "UTC", "2026-01-10T12:00:00Z", "01-01 00:00–00:00"},
	} {
		loc, err := zone(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, one := range openingOf(t, c.hours).around(&newCalendars(loc)[day], mustTime(t, c.now)) {
			if i > 0 {
				got += ", "
			}
			got += fmt.Sprintf("%s–%s", time.UnixMilli(one.Start).UTC().Format("01-02 15:04"), time.UnixMilli(one.End).UTC().Format("15:04"))
		}
		if got != c.want {
			t.Errorf("%s in %s at %s:\n%s\nwant\n%s", c.hours, c.zone, c.now, got, c.want)
		}
	}
}

// Whenever it is asked, the answer has the opening before and the two after.
func TestHoursReachFarEnough(t *testing.T) {
	for _, hours := range []string{"{days: wed, from: '09:00', to: '09:01'}", "{from: '23:59', to: '00:01'}", "{days: [mon, thu], from: '20:00', to: '04:00'}"} {
		o := openingOf(t, hours)
		for _, name := range []string{"UTC", "Europe/Berlin", "Pacific/Apia", "America/Havana"} {
			loc, _ := zone(name)
			cal := &newCalendars(loc)[day]
			for at := mustTime(t, "2026-01-01T00:00:00Z"); at.Year() < 2027; at = at.Add(5*time.Hour + 17*time.Minute) {
				list := o.around(cal, at)
				before, after := 0, 0
				for _, one := range list {
					if one.End <= at.UnixMilli() || one.Start <= at.UnixMilli() {
						before++
					}
					if one.Start > at.UnixMilli() {
						after++
					}
				}
				if before < 1 || after < 2 || len(list) > 4 {
					t.Fatalf("%s in %s at %s: %v", hours, name, at, list)
				}
			}
		}
	}
}

func TestHoursThatNeverClose(t *testing.T) {
	for hours, want := range map[string]bool{
		"{from: '00:00', to: '24:00'}": true, "[{from: '00:00', to: '12:00'}, {from: '12:00', to: '00:00'}]": true,
		"{days: mon-sat, from: '00:00', to: '24:00'}": false, "{from: '00:00', to: '23:59'}": false,
	} {
		if got := openingOf(t, hours).always(); got != want {
			t.Errorf("%s: always is %v", hours, got)
		}
	}
}
