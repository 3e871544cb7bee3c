package ratelimit

import "testing"

func settling(allow, span int64, to string) Claim {
	return Claim{Limit: "settle", Measure: Settling, Cost: 1, Allow: allow, Span: span, Key: to, Recipient: to}
}

func TestANewConnectionGetsSoManyUntilItRepliesOrTheTimeIsOver(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := settling(1, 10*day, "bert")
		for range 3 { // not known to have connected: not bound
			d, _ := s.ask(c)
			s.want(d, Go, t0, "")
		}
		s.at(t0+hour).connected("bert", 0)
		d, first := s.ask(c)
		s.want(d, Go, t0+hour, "")
		d, _ = s.ask(c)
		s.want(d, Refused, t0+hour+10*day, "settle")
		s.cancel(first)
		d, _ = s.ask(c)
		s.want(d, Go, t0+hour, "")

		s.at(t0+2*hour).replied("bert", t0+hour-1) // before it connected
		s.want(s.look(c), Refused, t0+hour+10*day, "settle")
		s.at(t0+hour+10*day-1).want(s.look(c), Refused, t0+hour+10*day, "settle")
		s.at(t0+hour+10*day).want(s.look(c), Go, t0+hour+10*day, "")
	})
}

func TestAReplySettlesAConnection(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := settling(1, 0, "bert") // until a reply only
		s.connected("bert", 0)
		s.ask(c)
		if d := s.at(t0 + 300*day).look(c); !d.Never() || d.Fits != 0 {
			t.Errorf("without a reply: %+v", d)
		}
		s.replied("bert", 0)
		s.want(s.look(c), Go, t0+300*day, "")
	})
}

// That somebody connected is often learned late: what was sent since counts.
func TestMessagesOfBeforeAConnectionWasLearnedOfCount(t *testing.T) {
	eachLaw(t, func(s *testStore) {
		c := settling(1, 10*day, "bert")
		s.at(t0 + hour).ask(c)
		s.at(t0+2*hour).connected("bert", t0+hour) // in the same millisecond: since then
		s.want(s.look(c), Refused, t0+hour+10*day, "settle")
		s.connected("carl", t0+2*hour)
		s.ask(settling(1, 10*day, "carl"))
		s.want(s.look(settling(1, 10*day, "carl")), Refused, t0+2*hour+10*day, "settle")
	})
}
