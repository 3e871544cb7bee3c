package ratelimit

import "testing"

func TestARecipientCountsOnceInAWindow(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		reach := func(who string) Claim { return s.daily("reach", 2).distinct().to(who) }
		for _, who := range []string{"bert", "carl", "bert"} {
			d, _ := s.ask(reach(who))
			s.want(d, Go, t0, "")
		}
		d, _ := s.ask(reach("dora"))
		s.want(d, Refused, t0+day, "reach")
		s.wantUsed(reach("x"), 2)
		s.want(s.at(t0+day-1).look(reach("dora")), Refused, t0+day, "reach")
		d, _ = s.at(t0 + day).ask(reach("dora"))
		s.want(d, Go, t0+day, "")
	})
}

func TestARecipientOfARollingWindowCountsFromItsLatestMessage(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		reach := func(who string) Claim { return rolling("reach", 2, hour).distinct().to(who) }
		s.ask(reach("bert"))
		s.at(t0 + 10*minute).ask(reach("carl"))
		_, second := s.at(t0 + 30*minute).ask(reach("bert"))
		// carl leaves first, though bert came first.
		d, _ := s.ask(reach("dora"))
		s.want(d, Refused, t0+70*minute, "reach")
		// Without the second message bert is where he was before it.
		s.cancel(second)
		s.want(s.look(reach("dora")), Refused, t0+hour, "reach")
		_, second = s.ask(reach("bert"))
		s.want(s.at(t0+70*minute-1).look(reach("dora")), Refused, t0+70*minute, "reach")
		s.want(s.at(t0+70*minute).look(reach("dora")), Go, t0+70*minute, "")
		s.cancel(second)
		s.wantUsed(reach("x"), 0)
	})
}

func TestGivingBackTheFirstOfTwoLeavesTheRecipientCounted(t *testing.T) {
	for name, claim := range map[string]func(s *testStore, who string) Claim{
		"calendar": func(s *testStore, who string) Claim { return s.daily("reach", 1).distinct().to(who) },
		"rolling":  func(_ *testStore, who string) Claim { return rolling("reach", 1, hour).distinct().to(who) },
		"lifetime": func(_ *testStore, who string) Claim { return lifetime("reach", 1).distinct().to(who) },
	} {
		t.Run(name, func(t *testing.T) {
			eachLaw(t, func(s *testStore) {
				_, first := s.ask(claim(s, "bert"))
				_, second := s.ask(claim(s, "bert"))
				s.cancel(first)
				s.wantUsed(claim(s, "x"), 1)
				if d := s.look(claim(s, "carl")); d.Verdict != Refused {
					s.t.Errorf("bert no longer counts: %+v", d)
				}
				s.cancel(second)
				s.wantUsed(claim(s, "x"), 0)
			})
		})
	}
}

func TestRecipientsOfOneRequestAreCountedTogether(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		reach := func(who string, item int) Claim { return rolling("reach", 3, hour).distinct().to(who).ofItem(item) }
		s.ask(reach("a", 0))
		d, _ := s.ask(reach("a", 0), reach("b", 1), reach("b", 2), reach("c", 3))
		s.want(d, Go, t0, "")
		s.wantUsed(reach("x", 0), 3)
		d, _ = s.at(t0+1).ask(reach("d", 0), reach("e", 1))
		s.want(d, Refused, t0+hour, "reach")
		d, _ = s.ask(reach("d", 0), reach("e", 1), reach("f", 2), reach("g", 3))
		s.want(d, Refused, 0, "reach")
		if d.Fits != 3 {
			s.t.Errorf("fits %d, want 3", d.Fits)
		}
	})
}

func TestALoweredAllowanceStillLetsThroughWhoCountsAlready(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		for _, who := range []string{"a", "b", "c"} {
			s.ask(rolling("reach", 3, hour).distinct().to(who))
		}
		s.want(s.look(rolling("reach", 1, hour).distinct().to("a")), Go, t0, "")
		s.want(s.look(rolling("reach", 1, hour).distinct().to("d")), Refused, t0+hour, "reach")
	})
}

func TestDistinctWarnsOnce(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		reach := func(who string) Claim { return s.daily("reach", 5).distinct().to(who).warning(2) }
		var warned []bool
		var ids []string
		for _, who := range []string{"a", "a", "b", "c"} {
			d, id := s.ask(reach(who))
			warned, ids = append(warned, d.Uses[0].Warn), append(ids, id)
		}
		if want := [4]bool{false, false, true, false}; [4]bool(warned) != want {
			s.t.Errorf("warned %v, want %v", warned, want)
		}
		s.cancel(ids[2])
		s.cancel(ids[3])
		if d, _ := s.ask(reach("d")); !d.Uses[0].Warn {
			s.t.Error("the next to cross does not warn")
		}
	})
}

// Of one recipient only the latest few times are kept: what is older counts
// from the next of them, so that no order of giving back makes it too little.
func TestManyMessagesToOneRecipientStayBounded(t *testing.T) {
	var seen []sight
	for at := int64(1); at <= 100; at++ {
		seen = addSight(seen, sight{"bert", at, 1})
	}
	if len(seen) != keptSights {
		t.Fatalf("%d times are kept", len(seen))
	}
	for at := int64(100); at > 93; at-- {
		seen = removeSight(seen, "bert", at, 1)
	}
	if len(seen) != 1 || seen[0].n != 93 || seen[0].at != 93 {
		t.Errorf("left: %+v", seen)
	}
}
