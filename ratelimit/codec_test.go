package ratelimit

import (
	"reflect"
	"testing"
)

// FuzzRecord decodes what may be in a file: it must not fail badly, and what
// it understands it must write down as it read it.
func FuzzRecord(f *testing.F) {
	full := &record{holds: []hold{{Hold: Hold{Until: 5, Why: "why"}}}, counters: []counter{
		{limit: "day", unit: "day", measure: Calendar, wins: [2]tally{{label: "a", start: 1, end: 2, used: 3, warned: true}, {label: "b", start: 2, end: 3, used: 1}}},
		{limit: "roll", measure: Rolling, span: 9, warned: 4, log: []entry{{at: 1, n: 2}, {at: 5, n: 1}}, total: 3},
		{limit: "life", measure: Lifetime, used: 7, warned: 1},
		{limit: "pace", measure: Pace, span: 5, slots: []slot{{1, 1, 9}, {8, 3, 65535}}},
		{limit: "old", measure: Pace, slots: []slot{{1, 1, 9}}},
	}}
	f.Add(appendRecord(nil, full)[4:])
	f.Add(appendRecord(nil, &record{aliasOf: "anna"})[4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeRecord("a", "k", seal(append(make([]byte, 4), body...)))
		if err != nil {
			return
		}
		again, err := decodeRecord("a", "k", appendRecord(nil, r))
		if err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%v\n%+v\n%+v", err, r, again)
		}
	})
}

func TestABookingIsReadAsItWasWritten(t *testing.T) {
	in := []charge{
		{key: "bert", limit: "day", unit: "day", measure: Calendar, cost: 3, label: "2026-11-23", at: t0, warned: true},
		{limit: "pace", measure: Pace, cost: 1, at: t0 + 1},
	}
	same, out, err := decodeBooking("id", appendBooking(nil, "same", in))
	if err != nil || same != "same" || !reflect.DeepEqual(in, out) {
		t.Errorf("%v\n%+v", err, out)
	}
	b := appendBooking(nil, "", in)
	b[9] ^= 1
	if _, _, err := decodeBooking("id", b); err == nil {
		t.Error("a changed byte was not noticed")
	}
}
