package proxy

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLookoutEndsWithTheLastVisit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Limits: Limits{BodyTime: time.Minute}})
		defer s.Close()
		w := &s.lookout
		watched := func() (there, back int, going bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for v := w.first; v != nil; v = v.next {
				there++
			}
			for v := w.last; v != nil; v = v.previous {
				back++
			}
			if w.young != nil {
				t.Error("one is not attended")
			}
			return there, back, w.going
		}
		visits := make([]visit, 4)
		for i := range visits {
			visits[i].server, visits[i].version, visits[i].r = s, 1, &http.Request{}
			w.enter(&visits[i])
		}
		for left, i := range []int{1, 3, 0, 2} { // the middle, the first, the last, the only one
			<-time.After(time.Minute)
			synctest.Wait()
			if there, back, going := watched(); there != 4-left || back != 4-left || !going {
				t.Errorf("%d in the list, %d backwards, going: %t; want %d", there, back, going, 4-left)
			}
			w.leave(&visits[i])
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if there, back, going := watched(); there != 0 || back != 0 || going {
			t.Errorf("%d in the list, %d backwards, going: %t, after the last has left", there, back, going)
		}
		w.enter(&visits[0])
		<-time.After(time.Second)
		synctest.Wait()
		if _, _, going := watched(); !going {
			t.Error("nobody looks after the next visit")
		}
		w.leave(&visits[0])
	})
}
