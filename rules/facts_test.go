package rules

import "testing"

// A fact that is not there is no answer: the limit binds, and of a scale the
// least holds. An expression that says itself what holds then is answered.
func TestAFactThatIsNotThereIsNoAnswer(t *testing.T) {
	facts := map[string]any{"tier": "gold", "n": 5, "vip": false, "crm": map[string]any{"stage": "won"}, "empty": nil}
	for text, want := range map[string]bool{
		`facts.tier == "trial"`:                         false,
		`facts.tier == "gold"`:                          true,
		`facts.teir == "trial"`:                         true,
		`facts["teir"] == "trial"`:                      true,
		`facts.teir != "trial"`:                         true,
		`facts.empty == "trial"`:                        true,
		`facts.teir in ["trial"]`:                       true,
		`not (facts.teir == "trial")`:                   true,
		`facts.n > 10`:                                  false,
		`facts.m > 10`:                                  true,
		`facts.vip`:                                     false,
		`facts.crm.stage == "lost"`:                     false,
		`facts.crm.stgae == "lost"`:                     true,
		`class == "manual" and facts.teir == "trial"`:   false,
		`(facts.teir ?? "gold") == "trial"`:             false,
		`facts?.teir == "trial"`:                        false,
		`"teir" in facts`:                               false,
		`"teir" in facts and facts.teir == "trial"`:     false,
		`facts.tier == "trial" or facts.teir == "lost"`: true,
	} {
		program, err := compileScene(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := (&rule{when: program}).holds(&scene{Class: automated, Facts: facts}); got != want {
			t.Errorf("%s: binds %t, want %t", text, got, want)
		}
	}
	for text, want := range map[string]int64{
		`facts.tier == "gold" ? 0.9 : 0.1`:          90,
		`facts.teir == "gold" ? 0.9 : 0.1`:          10,
		`facts.teir == "trial" ? 0.1 : 0.9`:         10,
		`(facts.teir ?? "") == "trial" ? 0.1 : 0.9`: 90,
		`facts.n / 10`:   50,
		`facts.m ?? 0.7`: 70,
		`facts.m`:        0,
	} {
		s := mustLoad(t, wired+"limits: [{name: l, on: acme.message, allow: 100, per: day, scale: '"+text+"'}]")
		if got := s.limits[0].scale.of(100, &person{facts: facts}, "x"); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}
