package ratelimit

// A ledger as text: JSON, one record a line after a line that says what it is.
// Every store writes and reads the same. Times are milliseconds since the Unix
// epoch; accounts, recipients and messages are the names that the rules gave
// them, keyed hashes where they were anything else.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

const (
	portableKind    = "quotagate ledger"
	portableVersion = 1
)

type portableHeader struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	Time    int64  `json:"time"` // the ledger's now
	// Key is a word of whoever keeps exports, about the key that names were
	// hashed under; it is not looked at here.
	Key string `json:"key,omitempty"`
}

type portableRecord struct {
	Account   string            `json:"account"`
	Key       string            `json:"key,omitempty"`
	SameAs    string            `json:"same_as,omitempty"`
	Holds     []portableHold    `json:"holds,omitempty"`
	Replied   int64             `json:"replied,omitempty"`
	Connected int64             `json:"connected,omitempty"`
	Gifts     []portableGift    `json:"gifts,omitempty"`
	Owed      []portableDebt    `json:"owed,omitempty"`
	Scopes    []string          `json:"scopes,omitempty"`
	Message   string            `json:"message,omitempty"`
	Sent      int64             `json:"sent,omitempty"`
	Counters  []portableCounter `json:"counters,omitempty"`
}

type portableHold struct {
	Name    string   `json:"name,omitempty"`
	Until   int64    `json:"until"` // 0 until resumed
	Why     string   `json:"why,omitempty"`
	Ramp    int64    `json:"ramp,omitempty"`
	Lasted  int64    `json:"lasted,omitempty"`
	Within  int64    `json:"within,omitempty"`
	Answers []string `json:"answers,omitempty"`
}

type portableGift struct {
	ID    string `json:"id"`
	Limit string `json:"limit"`
	Units int64  `json:"units"`
	End   int64  `json:"end,omitempty"`
}

type portableDebt struct {
	ID     string         `json:"id"`
	Slot   int64          `json:"slot"`
	Until  int64          `json:"until"`
	Charge portableCharge `json:"charge"`
}

type portableCharge struct {
	Scope     string        `json:"scope,omitempty"`
	Key       string        `json:"key,omitempty"`
	Limit     string        `json:"limit"`
	Unit      string        `json:"unit,omitempty"`
	Measure   string        `json:"measure"`
	Item      int           `json:"item,omitempty"`
	Cost      int64         `json:"cost"`
	Label     string        `json:"label,omitempty"`
	At        int64         `json:"at,omitempty"`
	Warned    bool          `json:"warned,omitempty"`
	First     bool          `json:"first,omitempty"`
	Recipient string        `json:"recipient,omitempty"`
	Where     string        `json:"where,omitempty"`
	Split     []portablePot `json:"split,omitempty"`
}

type portablePot struct {
	Label string `json:"label"`
	Used  int64  `json:"used"`
	End   int64  `json:"end,omitempty"`
}

type portableCounter struct {
	Limit   string           `json:"limit"`
	Measure string           `json:"measure"`
	Unit    string           `json:"unit,omitempty"`
	First   int64            `json:"first,omitempty"`
	Windows []portableWindow `json:"windows,omitempty"`
	Used    int64            `json:"used,omitempty"`
	Warned  int64            `json:"warned,omitempty"`
	Span    int64            `json:"span,omitempty"`
	Log     [][3]int64       `json:"log,omitempty"`   // time, units, good ones
	Slots   [][3]int64       `json:"slots,omitempty"` // time, messages, fraction of the jitter in 65536ths
	Pots    []portablePot    `json:"pots,omitempty"`
	Seen    []portableSight  `json:"seen,omitempty"`
	Alike   *portableAlike   `json:"alike,omitempty"`
}

type portableWindow struct {
	Label  string          `json:"label,omitempty"`
	Start  int64           `json:"start,omitempty"`
	End    int64           `json:"end,omitempty"`
	Used   int64           `json:"used,omitempty"`
	Warned bool            `json:"warned,omitempty"`
	Seen   []portableSight `json:"seen,omitempty"`
}

type portableSight struct {
	Who string `json:"who"`
	At  int64  `json:"at,omitempty"`
	N   int64  `json:"n"`
}

type portableAlike struct {
	Until     int64           `json:"until,omitempty"`
	Groups    []string        `json:"groups,omitempty"`
	Exact     string          `json:"exact,omitempty"`
	Signature []byte          `json:"signature,omitempty"`
	People    []portableSight `json:"people,omitempty"`
	Others    int64           `json:"others,omitempty"`
}

// measureNames are how the measures are written; distinct ones follow a word.
var measureNames = [...]string{
	Calendar: "calendar", Rolling: "rolling", Lifetime: "lifetime", Pace: "pace", Credits: "credits",
	Unanswered: "unanswered", Settling: "settling", Similar: "similar", Ratio: "ratio", Concurrent: "concurrent", Hours: "hours",
}

const distinctWord = "distinct "

func measureName(m Measure) string {
	name := measureNames[m&^distinctBit]
	if m&distinctBit != 0 {
		name = distinctWord + name
	}
	return name
}

func measureNamed(name string) (Measure, bool) {
	for m := range measureNames {
		for _, kind := range []Measure{Measure(m), Measure(m) | distinctBit} {
			if kindOf(kind) != nil && measureName(kind) == name {
				return kind, true
			}
		}
	}
	return 0, false
}

// line is a record as a line of an export.
func (r *record) line() ([]byte, error) {
	if !utf8.ValidString(r.account) || !utf8.ValidString(r.key) {
		return nil, fmt.Errorf("export the record %q of %q: its name is not text", r.key, r.account)
	}
	b, err := json.Marshal(r.portable())
	if err != nil {
		return nil, fmt.Errorf("export the record %q of %q: %w", r.key, r.account, err)
	}
	return append(b, '\n'), nil
}

func headerLine(now int64) ([]byte, error) {
	b, err := json.Marshal(portableHeader{Kind: portableKind, Version: portableVersion, Time: now})
	return append(b, '\n'), err
}

func parseHeader(line []byte) (now int64, err error) {
	var h portableHeader
	if err := strictly(line, &h); err != nil || h.Kind != portableKind {
		return 0, fmt.Errorf("it does not begin like an exported ledger (%q)", portableKind)
	}
	if h.Version != portableVersion {
		return 0, fmt.Errorf("its version is %d, this quotagate knows %d; use the quotagate that wrote it", h.Version, portableVersion)
	}
	if h.Time < 0 || h.Time > forever {
		return 0, fmt.Errorf("its time is out of range")
	}
	return h.Time, nil
}

func parseLine(line []byte) (*record, error) {
	var p portableRecord
	if err := strictly(line, &p); err != nil {
		return nil, err
	}
	return p.record()
}

// strictly decodes all of a line, and nothing that it does not know.
func strictly(line []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return fmt.Errorf("there is more than one value in it")
	}
	return nil
}
