package e2e

import (
	"net/http"
	"testing"

	"quotagate/internal/freeport"
)

// TestAnUpstreamThatFails: what the client is told, and whether the message
// counts. It counts unless it is certain that none of it was written.
func TestAnUpstreamThatFails(t *testing.T) {
	t.Parallel()
	s := newService(t)
	nobody := freeport.Address(t)
	for _, c := range []struct {
		name, account string
		dial          string // what stands in for LinkedIn
		answer        string // what the service is asked to do
		status        int
		used          int64
	}{
		{name: "a certificate that nobody signed", account: "anna", dial: s.untrusted, status: http.StatusBadGateway},
		{name: "nobody listens", account: "bert", dial: nobody, status: http.StatusBadGateway},
		{name: "a reset after the request", account: "carl", dial: s.secure, answer: "reset", status: http.StatusBadGateway, used: 1},
		{name: "a slow answer", account: "dora", dial: s.secure, answer: "slow", status: http.StatusOK, used: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := start(t, s, setup{
				rules:     rulesWith(listed(c.account), limits(`{name: ten-a-day, on: linkedin.message, allow: 10, per: day}`)),
				connectTo: linkedinWeb + ":443=" + c.dial,
			})
			r := encode(t, viaVoyager.nth(c.account, 1))
			if c.answer != "" {
				r.Header.Set(answerHeader, c.answer)
			}
			a := do(g.byHand().client(t, false), r)
			if a.Error != "" || a.Status != c.status {
				t.Errorf("the client got %+v, want %d", a, c.status)
			}
			if word := a.Headers["quotagate-error"]; (word != "") != (c.status != http.StatusOK) {
				t.Errorf("Quotagate-Error is %q", word)
			}
			// A retry of ours would arrive twice.
			if got := len(s.from(c.account)); got != int(c.used) {
				t.Errorf("the service received %d messages, want %d", got, c.used)
			}
			used, _ := g.used(t, c.account, "ten-a-day")
			if used != c.used {
				t.Errorf("%d used, want %d", used, c.used)
			}
			all := g.decisions(t)
			if len(all) == 0 {
				t.Fatal("nothing in the decision log")
			}
			last := all[len(all)-1]
			if want := map[bool]string{true: "forward", false: "error"}[c.status == http.StatusOK]; last.Decision != want || last.Status != c.status {
				t.Errorf("the decision log says %+v, want %s %d", last, want, c.status)
			}
		})
	}
}
