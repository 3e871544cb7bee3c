package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestRulesAreReadAgainWhenTheyChange: a new number holds at once and what was
// used stays; a file that is wrong changes nothing and is said to be.
func TestRulesAreReadAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	s := newService(t)
	three := rulesWith(listed("anna"), limits(`{name: some-a-day, on: "*", allow: 3, per: day}`))
	five := strings.Replace(three, "allow: 3", "allow: 5", 1)
	broken := strings.Replace(five, "allow: 5", "allwo: 500", 1)
	g := start(t, s, setup{rules: three})
	sent := 0
	send := func() attempt {
		sent++
		return do(g.byHand().client(t, false), encode(t, viaVoyager.nth("anna", sent)))
	}
	decision := func() string { return send().Headers["quotagate-decision"] }
	for _, want := range []string{"forward", "forward", "forward", "reject"} {
		if got := decision(); got != want {
			t.Fatalf("message %d: %q, want %q", sent, got, want)
		}
	}

	writeFile(t, g.rulesFile, five)
	eventually(t, 15*time.Second, "the fourth message passes under the new limit", func() bool { return decision() == "forward" })
	if got := decision(); got != "forward" {
		t.Fatalf("the fifth message: %q", got)
	}
	if got := decision(); got != "reject" {
		t.Fatalf("the sixth message: %q", got)
	}

	before := len(g.out.String())
	writeFile(t, g.rulesFile, broken)
	eventually(t, 15*time.Second, "the log says what is wrong and that the old rules stay", func() bool {
		return strings.Contains(g.out.String()[before:], "allwo")
	})
	if got := decision(); got != "reject" {
		t.Errorf("under a broken file: %q", got)
	}
	if got := s.count(""); got != 5 {
		t.Errorf("the service received %d messages, want 5", got)
	}

	// Editors replace files; that is seen too.
	writeFile(t, g.rulesFile+".new", strings.Replace(three, "allow: 3", "allow: 6", 1))
	rename(t, g.rulesFile+".new", g.rulesFile)
	eventually(t, 15*time.Second, "the sixth message passes", func() bool { return decision() == "forward" })
	if got := decision(); got != "reject" {
		t.Errorf("the seventh message: %q", got)
	}
	if got := s.count(""); got != 6 {
		t.Errorf("the service received %d messages, want 6", got)
	}
}
