package proxy_test

// Sending the table of spellings, by HTTP/1.1 and HTTP/2, to services that speak
// the one or the other.

import (
	"maps"
	"net/http"
	"slices"
	"testing"
)

// TestEverySpellingIsOneMessage: each way to write a send is counted as what it
// is, or refused with a reason; none reaches a service uncounted. What is
// counted is refused where there is no room. The services count for themselves.
func TestEverySpellingIsOneMessage(t *testing.T) {
	for _, from := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, to := range []string{"HTTP/1.1", "HTTP/2.0"} {
			t.Run("from "+from+" to "+to, func(t *testing.T) { everySpelling(t, from, to) })
		}
	}
}

func everySpelling(t *testing.T, from, to string) {
	t.Run("with room", func(t *testing.T) {
		s := newSpelled(t, "1000000", to)
		n := s.each(t, from, func(name string, y way, a answered) {
			switch {
			case y.want == refused:
				if a.status < 400 || a.status >= 500 || a.reached != 0 || a.messages >= 0 && (a.reason == "" || a.limit == "") {
					t.Errorf("%s: %+v", name, a)
				}
			case y.want == reset:
				if a.status != 0 || a.reached != 0 || a.messages >= 0 {
					t.Errorf("%s: %+v", name, a)
				}
			case a.status != http.StatusOK || a.reached != 1 || max(a.messages, 0) != y.want:
				t.Errorf("%s: %+v, want %d", name, a, y.want)
			}
		})
		if v := s.version.Load(); v != to {
			t.Errorf("the services were spoken to in %v", v)
		}
		t.Logf("%d spellings of %d sends", n, len(sends()))
	})
	t.Run("with none", func(t *testing.T) {
		s := newSpelled(t, "0", to)
		s.each(t, from, func(name string, y way, a answered) {
			if y.want != nothing && a.reached != 0 {
				t.Errorf("%s: %+v", name, a)
			}
		})
	})
}

// An answered spelling is its answer, what reached the service, and what the
// last record has: -1 messages if there was none.
type answered struct {
	status, messages int
	reached          int64
	limit, reason    string
}

// each sends every row of the table, but for those that a client of the version
// cannot write; these it lists.
func (s *spelled) each(t *testing.T, from string, look func(name string, y way, a answered)) int {
	names, ask := map[string]bool{}, s.ask
	rows, unwritten, otherwise := 0, map[string]string{}, map[string]int{}
	if from == "HTTP/2.0" {
		ask, unwritten, otherwise = s.askInFrames, maps.Clone(notInFrames), maps.Clone(otherInFrames)
	}
	for service, one := range sends() {
		for _, y := range append([]way{{name: "as its clients write it", want: 1}}, one.ways...) {
			name := service + ": " + y.name
			if names[name] {
				t.Errorf("%s: twice in the table", name)
			}
			names[name] = true
			if why, ok := unwritten[name]; ok {
				t.Logf("not in %s: %s: %s", from, name, why)
				delete(unwritten, name)
				continue
			}
			rows++
			if want, ok := otherwise[name]; ok {
				y.want = want
				delete(otherwise, name)
			}
			status, limit := ask(t, one.host, one.spell(y))
			messages, reason := s.latest()
			look(name, y, answered{status: status, messages: messages, reached: s.reached.Swap(0), limit: limit, reason: reason})
		}
	}
	if len(unwritten)+len(otherwise) > 0 {
		t.Errorf("no longer in the table: %q %q", slices.Sorted(maps.Keys(unwritten)), slices.Sorted(maps.Keys(otherwise)))
	}
	return rows
}

// latest is how many messages the last record has and its reason; -1 if there
// was no record.
func (s *spelled) latest() (int, string) {
	n, reason := -1, ""
	for len(s.recorded) > 0 {
		r := <-s.recorded
		n, reason = len(r.Messages), r.Reason
	}
	return n, reason
}
