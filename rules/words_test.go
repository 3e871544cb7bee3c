package rules

import (
	"strings"
	"testing"
	"testing/fstest"
)

// A word that an expression can never meet is said: the limit would bind nobody.
func TestWordsThatNothingIsCalledAreSaid(t *testing.T) {
	for text, want := range map[string]string{
		`when: 'class == "automatic"'`:                          `there is no class "automatic"`,
		`when: 'not (class in ["manual", "robot"])'`:            `there is no class "robot"`,
		`when: '"Manual" != class'`:                             `there is no class "Manual"`,
		`when: 'kind == "acme.message"'`:                        `did you mean "message"?`,
		`when: 'kind in ["message", "mesage"]'`:                 `of the kind "mesage"`,
		`when: 'service == "acne"'`:                             `of the service "acne"`,
		`when: 'plan == "fre"'`:                                 `the plan "fre" is nearly the plan "free"`,
		`scale: 'plan == "fre" ? 0.1 : 1.0'`:                    `the plan "fre" is nearly the plan "free"`,
		`when: 'class == "manual" and kind in ["message"]'`:     ``,
		`when: 'service == "acme" and plan in ["free","gold"]'`: ``,
	} {
		s, err := LoadFS(fstest.MapFS{"f.yaml": {Data: []byte(wired + "limits: [{name: l, on: acme.message, allow: 9, per: day, " + text + "}]\n")}}, []string{"f.yaml"}, Options{Hash: func(_, v string) string { return v }})
		said := ""
		if err != nil {
			said = err.Error()
		} else {
			for _, w := range s.Warnings() {
				said += w.Message + "\n" + w.Hint + "\n"
			}
		}
		if want != "" && !strings.Contains(said, want) || want == "" && (strings.Contains(said, "when:") || strings.Contains(said, "class") || strings.Contains(said, "nearly")) {
			t.Errorf("%s: %q, want %q", text, said, want)
		}
	}
}

func TestCallsOfNobodyAreWarnedOf(t *testing.T) {
	const rest = "messages: [{name: a.b, match: {path: /}, account: {const: x}}]\nlimits: [{name: l, on: a.request, rate: 5, per: second}]\n"
	for head, want := range map[string]bool{
		"services: {a: {hosts: [a.example]}}\n":                                        true,
		"services: {a: {hosts: [a.example]}}\ndefaults: {unknown_account: shared}\n":   false,
		"services: {a: {hosts: [a.example], account: {bearer: true, secret: true}}}\n": false,
	} {
		s := matching(t, "version: 1\n"+head+rest)
		warned := false
		for _, w := range s.Warnings() {
			warned = warned || strings.Contains(w.Message, "nothing says whose a call to a is")
		}
		if warned != want {
			t.Errorf("%s: warned %v", head, warned)
		}
	}
}

// A list of days that is empty is no day, and not every day.
func TestHoursOfNoDayAreRefused(t *testing.T) {
	for days, want := range map[string]bool{"days: [], ": true, "": false, "days: [mon], ": false} {
		_, err := LoadFS(fstest.MapFS{"f.yaml": {Data: []byte(wired + "limits: [{name: l, on: acme.message, hours: {" + days + "from: '09:00', to: '10:00'}}]\n")}}, []string{"f.yaml"}, Options{Hash: func(_, v string) string { return v }})
		if refused := err != nil && strings.Contains(err.Error(), "on no day"); refused != want {
			t.Errorf("%q: %v", days, err)
		}
	}
}
