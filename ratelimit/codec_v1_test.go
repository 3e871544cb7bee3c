package ratelimit

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The bytes were written by version 1's own code, at 2026-11-21.
func TestRecordsOfVersion1AreRead(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r, err := decodeRecord("anna", "", unhex("7491834f00010a03776879050103646179036461790161020206010162040202000204726f6c6c001208020204080203046c696665000e02840470616365000a020202090e06ffff0304036f6c640001020209"))
	want := &record{account: "anna", holds: []hold{{Hold: Hold{Until: 5, Why: "why"}}}, counters: []counter{
		{limit: "day", unit: "day", measure: Calendar, wins: [2]tally{{label: "a", start: 1, end: 2, used: 3, warned: true}, {label: "b", start: 2, end: 3, used: 1}}},
		{limit: "roll", measure: Rolling, span: 9, warned: 4, log: []entry{{at: 1, n: 2}, {at: 5, n: 1}}, total: 3},
		{limit: "life", measure: Lifetime, used: 7, warned: 1},
		{limit: "pace", measure: Pace, span: 5, slots: []slot{{1, 1, 9}, {8, 3, 65535}}},
		{limit: "old", measure: Pace, slots: []slot{{1, 1, 9}}},
	}}
	if err != nil || !reflect.DeepEqual(r, want) {
		t.Errorf("%v\n%+v", err, r)
	}
	alias := unhex("ce05ef0804616e6e610000")
	if r, err := decodeRecord("bea", "", alias); err != nil || r.aliasOf != "anna" || !isAlias(alias) {
		t.Errorf("%v %+v", err, r)
	}
	same, charges, err := decodeBooking("id", unhex("37474138028104626572740364617903646179060a323032362d31312d323380c09edbc0680400047061636500020082c09edbc068"))
	booked := []charge{
		{key: "bert", limit: "day", unit: "day", measure: Calendar, cost: 3, label: "2026-11-23", at: t0, warned: true},
		{limit: "pace", measure: Pace, cost: 1, at: t0 + 1},
	}
	if err != nil || same != "" || !reflect.DeepEqual(charges, booked) {
		t.Errorf("%v %+v", err, charges)
	}
}

// testdata/ledger-v1.db.gz: at t0 version 1 let one message go (a day, a life,
// the last hour of bert), one more (a pace) that showed bea to be anna, booked a
// third (the pace, the life), paused carl for an hour, and was closed.
func TestAFileOfVersion1IsOpenedAndGoesOn(t *testing.T) {
	packed, err := os.Open(filepath.Join("testdata", "ledger-v1.db.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	in, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &fakeClock{ms: t0 + second}
	for range 2 { // as it was, and as it is written now
		s := &testStore{Store: openAt(t, path, c), t: t, clock: c}
		s.wantUsed(s.daily("day", 9), 1)
		s.wantUsed(lifetime("life", 9), 1) // the booking's was given back
		s.wantUsed(rolling("roll", 9, hour).by("bert"), 1)
		s.want(s.look(pace("pace", minute)), Refused, t0+minute, "pace")
		if name, err := s.Resolve(t.Context(), []string{"bea"}); err != nil || name != "anna" {
			t.Errorf("bea is %q: %v", name, err)
		}
		s.want(s.request(Request{Account: "carl", Dry: true, Claims: []Claim{lifetime("x", 1)}}), Refused, t0+hour, PausedLimit)
		_, id := s.ask(s.daily("day", 9), rolling("roll", 9, hour).by("bert"), pace("pace", 0))
		s.cancel(id)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
