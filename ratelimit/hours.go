package ratelimit

// Hours: a slot lies within the open times. Nothing is remembered.

type hoursKind struct{ plain }

// opens returns the first open time that is not before at. After the last
// interval that was given it is open: nobody asked yet.
func (cl *Claim) opens(at int64) int64 {
	for i := range cl.Open {
		o := &cl.Open[i]
		if at < o.End && o.Start < o.End {
			return max(at, o.Start)
		}
	}
	return at
}

func (hoursKind) earliest(m *demand, at int64) int64 { return m.claim.opens(at) }

func (hoursKind) use(m *demand, at int64, u *Use) {
	u.Allow = 0
	if open := m.claim.opens(at); open > at {
		u.Resets = open
	}
}

func (hoursKind) charge(*demand, *Claim, int64, *charge) bool    { return false }
func (hoursKind) refund(*counter, *charge, func(string) *record) {}
func (hoursKind) merge(_, _ *counter)                            {}
func (hoursKind) over(*counter, int64) bool                      { return true }
func (hoursKind) encode(b []byte, _ *counter) []byte             { return b }
func (hoursKind) decode(*decoder, *counter)                      {}
