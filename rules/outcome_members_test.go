package rules

import "testing"

// Only the members that the conditions look at are read; what is left out is
// still checked.
func TestAnAnswersOtherMembersAreCheckedAndLeftOut(t *testing.T) {
	for _, tc := range []struct {
		body string
		ok   bool
		want any
	}{
		{`{"a":{"deep":[1,2]},"ok":true}`, true, true},
		{`{"a":{"x":1,"x":2},"ok":true}`, false, nil},
		{`{"a":1,"a":2,"ok":true}`, false, nil},
		{"{\"a\":\"\xff\",\"ok\":true}", false, nil},
		{`{"ok":true} more`, false, nil},
	} {
		v, err := readJSONMembers([]byte(tc.body), []string{"ok"})
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.body, err)
			continue
		}
		if tc.ok {
			m := v.(picked)
			if len(m) != 1 || m[0] != (member{"ok", tc.want}) {
				t.Errorf("%s: read %v", tc.body, m)
			}
		}
	}
}
