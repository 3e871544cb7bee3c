package ruletest

import (
	"fmt"
	"path/filepath"
	"testing"

	"quotagate/rules"
)

// BenchmarkSend is the cost of one send of a rule test, all in: a LinkedIn
// message with its number in the body, and two limits.
func BenchmarkSend(b *testing.B) {
	file := filepath.Join(b.TempDir(), "bench.test.yaml")
	writeFile(b, file, fmt.Sprintf(`
rules: [linkedin/classic]
tests:
  - name: many
    start: 2026-01-01T00:00:00Z
    given: {plan: free}
    steps:
      - send:
          request: POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage
          json: {mailboxUrn: "urn:li:fsd_profile:ACoAAB", hostRecipientUrns: ["urn:li:r${n}"], message: {body: {text: "Hello ${n}"}}}
        times: %d
        every: 30m
        expect: {decision: forward}
`, min(b.N, 1_000_000)))
	f, err := rules.LoadTests(file)
	if err != nil {
		b.Fatal(err)
	}
	set, err := f.Load(rules.Options{Hash: plain})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, failure := range runTest(b.Context(), set, f.Tests[0], nil).Failures {
		b.Error(failure)
	}
}
