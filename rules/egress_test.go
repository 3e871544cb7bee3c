package rules

import (
	"strings"
	"testing"
)

// The stricter of all files holds, whichever of them comes first.
func TestGovernedOnlyHoldsWhereOneFileSaysSo(t *testing.T) {
	const uses = "use: [more.yaml]\n"
	for _, tc := range []struct {
		first, second string
		want          bool
	}{
		{"", "", false},
		{"egress: open\n", "", false},
		{"egress: governed-only\n", "", true},
		{"egress: governed-only\n", "egress: open\n", true},
		{"egress: open\n", "egress: governed-only\n", true},
		{"", "egress: governed-only\n", true},
	} {
		s := mustLoad(t, "version: 1\n"+uses+tc.first, "more.yaml", "version: 1\n"+tc.second)
		if s.GovernedOnly() != tc.want {
			t.Errorf("%q and %q: %v", tc.first, tc.second, s.GovernedOnly())
		}
	}
	_, err := loadText(t, "version: 1\negress: governed_only\n")
	if err == nil || !strings.Contains(err.Error(), `rules.yaml:2:9: "governed_only" is not one of open, governed-only`) || !strings.Contains(err.Error(), `did you mean "governed-only"?`) {
		t.Error(err)
	}
}
