package proxy_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"

	"quotagate/proxy"
)

type refusing struct{ err error }

func (r refusing) Certificate(string) (*tls.Certificate, error) { return nil, r.err }

// A host that the CA may not sign for waits for a person: whoever looks at the
// log sees why nothing passes, and the client does not come back each second.
func TestAHostOutsideTheCAIsInTheLog(t *testing.T) {
	for _, c := range []struct {
		err     error
		word    string
		again   string
		records int
	}{
		{proxy.ErrOutsideCA, "authority", "300", 1},
		{proxy.ErrMinting, "mint", "1", 0},
	} {
		w := newWorld(t, five, func(_ *world, cfg *proxy.Config, e *proxy.Enforcer) {
			cfg.Certificates, cfg.Record = refusing{c.err}, e.Record
		})
		conn := w.dialFront()
		fmt.Fprint(conn, "CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example:443\r\n\r\n")
		resp := told(t, conn, http.StatusServiceUnavailable, c.word)
		if again := resp.Header.Get("Retry-After"); again != c.again {
			t.Errorf("%s: Retry-After %s, want %s", c.word, again, c.again)
		}
		if len(w.recorded) != c.records {
			t.Fatalf("%s: %d records, want %d", c.word, len(w.recorded), c.records)
		}
		if c.records == 0 {
			continue
		}
		r := w.next()
		if r.Decision != proxy.DecisionReject || r.Host != "chat.example" || r.Service != "chat" || r.Status != 503 || r.Method != "CONNECT" ||
			r.Reason == "" || r.Limit != "authority" || r.Client == "" || r.ID != resp.Header.Get("Quotagate-Id") || r.Revision != w.set.Load().Revision() {
			t.Errorf("%+v", r)
		}
		if line := string(r.AppendJSON(nil)); len(line) == 0 || len(r.Messages) != 1 {
			t.Errorf("%q", line)
		}
	}
}
