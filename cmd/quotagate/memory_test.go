package main

import (
	"math"
	"testing"
)

func TestTheCollectorHasRoomAndNeverLessThanHalfOfWhatIsLive(t *testing.T) {
	for _, tc := range []struct {
		live uint64
		want int
	}{
		{0, 2400}, {1, 2400}, {4 << 20, 2400}, // 96 MiB on top of 4
		{8 << 20, 1200}, {48 << 20, 200},
		{96 << 20, 100}, {192 << 20, 50}, {193 << 20, 50}, {1 << 40, 50}, {math.MaxUint64 / 200, 50}, {math.MaxUint64, 50},
	} {
		if got := gcPercent(tc.live); got != tc.want {
			t.Errorf("%d live: %d%%, want %d%%", tc.live, got, tc.want)
		}
	}
	for live := uint64(1); live < 1<<50; live *= 2 {
		got := gcPercent(live)
		if got < 50 || got > 2400 {
			t.Errorf("%d live: %d%%", live, got)
		}
		if room := float64(max(live, 4<<20)) * float64(got) / 100; live <= 192<<20 && room > breathing {
			t.Errorf("%d live: room for %.0f bytes", live, room)
		}
	}
}

func TestWhatIsLiveIsKnown(t *testing.T) {
	if n := liveHeap(); n >= 1<<40 {
		t.Errorf("%d bytes are live", n)
	}
}
