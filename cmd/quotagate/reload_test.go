package main

import (
	"context"
	"os"
	"strings"
	"testing"
)

// TestRulesThatBreakAreSaidWithTheirCarets, are known to the verbs that ask
// the proxy, and their end is said too.
func TestRulesThatBreakAreSaidWithTheirCarets(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		"text": "\n        alow: 2\n        ^\n",
		"json": `"error":"`,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "name: two-a-day\n    on: slack.message\n    allow: 2\n    per: 24h")
			s.env = append(s.env, "QUOTAGATE_LOG_FORMAT="+format)
			file := s.variable("QUOTAGATE_RULES")
			good, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			broken := strings.Replace(string(good), "allow", "alow", 1)

			log := newTranscript()
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan int, 1)
			go func() { ended <- run(ctx, program{args: []string{"run"}, env: s.env, stdout: log, stderr: log}) }()
			t.Cleanup(func() { cancel(); <-ended })
			log.await(t, "quotagate is ready")

			if err := writeFile(file, []byte(broken), 0o600); err != nil {
				t.Fatal(err)
			}
			log.await(t, "the rules files do not load; the old rules stay in force")
			log.await(t, want)
			r := s.run(t, "quota")
			wantContains(t, "standard error", r.stderr.String(),
				"quotagate: warning: the rules files on disk do not load, and the proxy goes on with the old rules: "+file)

			if err := writeFile(file, good, 0o600); err != nil {
				t.Fatal(err)
			}
			log.await(t, "the rules load again")
			if r := s.run(t, "quota"); r.stderr.String() != "" {
				t.Errorf("quota still complains: %s", r.stderr)
			}
		})
	}
}
