package ratelimit

import (
	"path/filepath"
	"testing"
	"time"
)

// A store without its data is accepted on every replica at once, as somebody
// does who has several; one that was away then follows; and one that accepts
// what another has accepted already does not lock the others out.
func TestAnAcceptedStoreIsAcceptedByAll(t *testing.T) {
	inGuarded(t, func(t *guardedTest) {
		journal := filepath.Join(t.TempDir(), "c")
		a, b, c := t.replica("a", nil, ""), t.replica("b", nil, ""), t.replica("c", nil, journal)
		t.must(Go, a, lifetime("life", 9))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			t.server.replace("")
			t.pass(time.Second)
			for _, g := range []*Guarded{a, b} {
				if err := g.AcceptEmpty(t.Context()); err != nil {
					t.Error(err)
				}
			}
			t.pass(5 * time.Second)
			t.must(Go, a, lifetime("life", 9))
			t.must(Go, b, lifetime("life", 9))
		}
		c = t.replica("c", nil, journal) // has missed two
		t.pass(5 * time.Second)
		t.must(Go, c, lifetime("life", 9))

		// A replica without a journal has begun the lost store anew.
		t.server.replace("new")
		t.pass(time.Second)
		if err := a.AcceptEmpty(t.Context()); err != nil {
			t.Error(err)
		}
		t.pass(5 * time.Second)
		for _, g := range []*Guarded{a, b, c} {
			t.must(Go, g, lifetime("life", 9))
		}
		if !accepts(t.server.marker, "new") {
			t.Errorf("the marker is %s", t.server.marker)
		}
	})
}

func TestAMarkerNamesThoseBeforeIt(t *testing.T) {
	m := "a"
	for _, name := range []string{"b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r"} {
		m = inPlaceOf(name, m, "other")
	}
	if !accepts(m, "other<x") || !accepts(m, "q<p") || accepts(m, "r") || accepts(m, "") || accepts(m, "x") || len(m) > 40 {
		t.Errorf("%s", m)
	}
}
