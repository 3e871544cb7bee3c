package e2e

import (
	"fmt"
	"slices"
	"testing"
)

// TestEverythingArrivesWithoutQuotagate is the control of the suite: through
// a relay that knows no quota, every client delivers every message by every
// way of sending, and the service counts each of them once.
func TestEverythingArrivesWithoutQuotagate(t *testing.T) {
	t.Parallel()
	s := newService(t)
	w := relay(t, s)
	for i, c := range everyCaller {
		for j, via := range everySend {
			t.Run(c.name+"/"+via.name, func(t *testing.T) {
				t.Parallel()
				sender := fmt.Sprintf("control%dx%d", i, j)
				got := c.call(t, w, via.series(sender, 4))
				wantTexts(t, s.from(sender), 4)
				if len(got) != 4 {
					t.Fatalf("the client reports %d attempts, want 4", len(got))
				}
				for _, a := range got {
					if a.Error != "" || a.Status < 200 || a.Status > 299 {
						t.Errorf("attempt %d: status %d, error %q, body %s", a.N, a.Status, a.Error, a.Body)
					}
				}
			})
		}
	}
	for i, sdk := range everySDK {
		t.Run(sdk.name, func(t *testing.T) {
			t.Parallel()
			if sdk.execOnly {
				sdk.args = append(slices.Clone(sdk.args), "agent")
			}
			sender := fmt.Sprintf("controlsdk%d", i)
			for _, a := range sdk.send(t, w, sender, 4) {
				if a.Error != "" {
					t.Errorf("attempt %d: %s %s", a.N, a.Error, a.Body)
				}
			}
			wantTexts(t, s.from(sender), 4)
		})
	}
}

// wantTexts checks that exactly the first count messages arrived, in order.
func wantTexts(t *testing.T, got []delivery, count int) {
	t.Helper()
	var want []string
	for n := 1; n <= count; n++ {
		want = append(want, text(n))
	}
	if !slices.Equal(texts(got), want) {
		t.Errorf("the service received %q, want %q", texts(got), want)
	}
}
