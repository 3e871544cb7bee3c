package proxy

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLookoutEndsWithTheLastVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Limits: Limits{BodyTime: time.Minute}})
		defer s.Close()
		w := &s.lookout
		watched := func() (n, walked int, going bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for v := w.first; v != nil; v = v.next {
				walked++
			}
			return w.visits, walked, w.going
		}
		visits := make([]visit, 4)
		for i := range visits {
			visits[i].server, visits[i].version = s, 1
			w.enter(&visits[i])
		}
		for left, i := range []int{1, 3, 0, 2} { // the middle, the first, the last, the only one
			<-time.After(time.Minute)
			synctest.Wait()
			if n, walked, going := watched(); n != 4-left || walked != 4-left || !going {
				t.Errorf("%d visits, %d in the list, going: %t; want %d", n, walked, going, 4-left)
			}
			w.leave(&visits[i])
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if n, walked, going := watched(); n != 0 || walked != 0 || going {
			t.Errorf("%d visits, %d in the list, going: %t, after the last has left", n, walked, going)
		}
		w.enter(&visits[0])
		if _, _, going := watched(); !going {
			t.Error("nobody looks after the next visit")
		}
		w.leave(&visits[0])
	})
}
