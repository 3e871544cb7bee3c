package rules

import (
	"encoding/json"
	"errors"
	"testing"
)

// A place is written the same everywhere, so that programs read it one way.
func TestPlacesAreOneShapeInJSON(t *testing.T) {
	s := mustLoad(t, wired+"limits: [{name: a, on: '*', allow: 0, per: day}]")
	_, err := loadText(t, "version: 1\nlimts: []")
	var one *Error
	errors.As(err, &one)
	for _, c := range []struct {
		v    any
		want string
	}{
		{one, `{"at":{"file":"rules.yaml","line":2,"col":1},"message":"unknown key \"limts\" in the file","hint":"did you mean \"limits\"?"}`},
		{s.Warnings()[0], `{"at":{"file":"rules.yaml","line":23,"col":17},"message":"the limit \"a\" allows 0: it lets nothing through, ever"}`},
		{s.Limits()[0].At, `{"file":"rules.yaml","line":23,"col":17}`},
	} {
		if got, err := json.Marshal(c.v); err != nil || string(got) != c.want {
			t.Errorf("%s %v, want %s", got, err, c.want)
		}
	}
}
