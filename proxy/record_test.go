package proxy_test

import (
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

func TestALineTellsTimesInUTCToTheMillisecond(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 5, 7, 0, time.FixedZone("", -5*3600))
	for ns, want := range map[time.Duration]string{
		0: "14:05:07.000", 999_999: "14:05:07.000", 45 * time.Millisecond: "14:05:07.045", 999_999_999: "14:05:07.999",
	} {
		r := proxy.Record{Time: at.Add(ns), RetryAt: at.Add(ns), Messages: make([]proxy.RecordMessage, 1)}
		line := string(r.AppendJSON(nil))
		want = `"2026-11-21T` + want + `Z"`
		if !strings.HasPrefix(line, `{"time":`+want+`,"id":`) || !strings.Contains(line, `,"retry_at":`+want+`,`) {
			t.Errorf("not %s: %s", want, line)
		}
	}
}
