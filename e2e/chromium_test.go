package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// webClient is a page of www.linkedin.com that sends as LinkedIn's web client
// does: with fetch, the token of its session read from the cookie, the body as
// text. (mautrix/linkedin pkg/linkedingo/messages.go and the public description
// of the Voyager API, read 2026-11-21.)
const webClient = `<!doctype html><meta charset="utf-8"><title>Messaging</title><h1>Messaging</h1><script>
async function send(n) {
  const token = document.cookie.match(/JSESSIONID="?([^";]+)/)[1];
  const answer = await fetch('/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage', {
    method: 'POST', credentials: 'include',
    headers: {
      'accept': 'application/json', 'content-type': 'text/plain;charset=UTF-8', 'csrf-token': token,
      'x-li-lang': 'en_US', 'x-restli-protocol-version': '2.0.0',
    },
    body: JSON.stringify({
      message: { body: { attributes: [], text: 'message ' + n }, renderContentUnions: [], originToken: crypto.randomUUID() },
      mailboxUrn: 'urn:li:fsd_profile:anna', trackingId: String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16))),
      dedupeByClientGeneratedToken: false, hostRecipientUrns: ['urn:li:fsd_profile:R' + n],
    }),
  });
  return {
    status: answer.status, body: await answer.text(), retryAfter: answer.headers.get('retry-after'),
    limit: answer.headers.get('quotagate-limit'), decision: answer.headers.get('quotagate-decision'),
  };
}
</script>`

// fetched is what the page got for one message.
type fetched struct {
	Status                            int
	Body, RetryAfter, Limit, Decision string
}

// newLinkedIn is the loopback service with the page of the web client on it; it
// returns what QUOTAGATE_CONNECT_TO leads there.
func newLinkedIn(t *testing.T) (s *service, connectTo string) {
	t.Helper()
	s = newService(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet || r.URL.Path != "/messaging/" {
				s.ServeHTTP(w, r)
				return
			}
			w.Header().Add("Set-Cookie", "li_at=cookie-of-anna; Path=/; Secure; HttpOnly; SameSite=None")
			w.Header().Add("Set-Cookie", `JSESSIONID="ajax:1234567890"; Path=/; Secure; SameSite=None`)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, webClient)
		}),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{s.leaf}},
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.ServeTLS(l, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return s, linkedinWeb + ":443=" + l.Addr().String()
}

const setupURL = "http://quotagate.internal/"

func (b *browser) isAt(t *testing.T, want string) {
	t.Helper()
	var url string
	if b.eval(t, "location.href", &url); url != want {
		t.Errorf("the browser is at %s, want %s", url, want)
	}
}

// heldNow is how many requests the proxy holds.
func (g *gate) heldNow(t *testing.T) int {
	t.Helper()
	_, body := g.get("/api/v1/status")
	var status struct{ Held int }
	if err := json.Unmarshal([]byte(body), &status); err != nil {
		t.Fatalf("the status is %q: %v", body, err)
	}
	return status.Held
}

// TestChromiumSendsThroughTheProxy: a browser that trusts the certificate shows
// the set-up page, and sends the web client's messages: one at once, one that is
// held, and one that is refused, which the page itself can read.
func TestChromiumSendsThroughTheProxy(t *testing.T) {
	t.Parallel()
	s, connectTo := newLinkedIn(t)
	// Its own calls home go to hosts that no rule names: refused at once.
	g := start(t, s, setup{connectTo: connectTo, rules: rulesWith("egress: governed-only", listed("anna"), limits(
		`{name: space-out, on: linkedin.message, pace: 15s, wait: 40s}`,
		`{name: two-a-day, on: linkedin.message, allow: 2, per: day}`))})
	b := newBrowser(t, "http://"+g.listen, g.ca)

	b.open(t, "https://quotagate.internal/")
	b.shows(t, "#trust", "the page that came by TLS says so", func(text string) bool { return strings.Contains(text, "this browser trusts it") })
	b.open(t, setupURL)
	b.isAt(t, setupURL)
	b.shows(t, "#address", "the page names the proxy's address", func(text string) bool { return text == g.listen })
	b.shows(t, "#trust", "the page says that the certificate is trusted", func(text string) bool { return strings.Contains(text, "this browser trusts it") })
	b.shows(t, "#first", "no request came yet", func(text string) bool { return strings.Contains(text, "none came through yet") })

	linkedin := b.tab(t)
	linkedin.open(t, "https://"+linkedinWeb+"/messaging/")
	b.shows(t, "#first", "the page says that the first request came", func(text string) bool {
		return strings.Contains(text, "your first request came through")
	})
	b.shows(t, "#requests", "the page names it", func(text string) bool {
		return strings.Contains(text, linkedinWeb) && strings.Contains(text, "linkedin: no message, so it went straight on; the answer was 200")
	})

	var first fetched
	linkedin.eval(t, "send(1)", &first)
	if first.Status != http.StatusOK || first.Decision != "forward" || s.count("") != 1 {
		t.Fatalf("the first message: %+v, and the service counts %d", first, s.count(""))
	}

	linkedin.eval(t, "window.second = send(2), true", nil)
	eventually(t, browserPatience, "the second message is held", func() bool { return g.heldNow(t) == 1 })
	b.shows(t, "#requests", "the page says that it is held", func(text string) bool { return strings.Contains(text, "held by space-out") })
	if n := s.count(""); n != 1 {
		t.Errorf("the service counts %d while the second message is held", n)
	}
	var second fetched
	linkedin.eval(t, "second", &second)
	if second.Status != http.StatusOK || second.Decision != "forward" || g.heldNow(t) != 0 {
		t.Errorf("the second message: %+v, and %d held", second, g.heldNow(t))
	}
	wantTexts(t, s.from("anna"), 2)

	var third fetched
	linkedin.eval(t, "send(3)", &third)
	wait, err := strconv.Atoi(third.RetryAfter)
	if third.Status != http.StatusTooManyRequests || third.Decision != "reject" || third.Limit != "two-a-day" || err != nil || wait < 1 {
		t.Errorf("the third message: %+v, want 429 of two-a-day with Retry-After", third)
	}
	var native struct {
		Data struct {
			Code   string
			Status int
		}
	}
	if err := json.Unmarshal([]byte(third.Body), &native); err != nil || native.Data.Code != "QUOTA_EXCEEDED" || native.Data.Status != http.StatusTooManyRequests {
		t.Errorf("the refusal's body is not LinkedIn's: %q, %v", third.Body, err)
	}
	b.shows(t, "#requests", "the page says what was held, and what refused", func(text string) bool {
		return strings.Contains(text, "let through; the answer was 200, after ") && strings.Contains(text, "a message (linkedin.message), refused by two-a-day until ")
	})
	if n := s.count(""); n != 2 {
		t.Errorf("the service counts %d messages, want 2", n)
	}
	var page string
	b.eval(t, "document.body.innerText", &page)
	for _, secret := range []string{"cookie-of-anna", "ajax:1234567890", "message 1", "fsd_profile", "/voyager/"} {
		if strings.Contains(page, secret) {
			t.Errorf("the set-up page shows %q", secret)
		}
	}
}

// TestChromiumThatDoesNotTrustSendsNothing: the page says so, and no message
// leaves.
func TestChromiumThatDoesNotTrustSendsNothing(t *testing.T) {
	t.Parallel()
	s, connectTo := newLinkedIn(t)
	g := start(t, s, setup{connectTo: connectTo, rules: rulesWith("egress: governed-only", listed("anna"))})
	b := newBrowser(t, "http://"+g.listen)

	b.open(t, setupURL)
	b.shows(t, "#trust", "the page says that the certificate is not trusted", func(text string) bool { return strings.Contains(text, "does not trust it yet") })
	b.isAt(t, setupURL)

	other := b.tab(t)
	if err := other.do(chromedp.Navigate("https://" + linkedinWeb + "/messaging/")); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("a page of LinkedIn's: %v, want ERR_CERT_AUTHORITY_INVALID", err)
	}
	other.open(t, "about:blank")
	var failure string
	other.eval(t, fmt.Sprintf(`fetch(%s, {method: 'POST', mode: 'no-cors', body: %s}).then((a) => 'an answer: ' + a.type, (e) => e.name)`,
		quoted("https://"+linkedinWeb+"/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage"),
		quoted(viaVoyager.nth("anna", 1).Body)), &failure)
	if failure != "TypeError" {
		t.Errorf("a message's fetch gave %q, want a TypeError", failure)
	}
	b.shows(t, "#first", "the page says that a client did not trust the certificate", func(text string) bool {
		return strings.Contains(text, "did not trust the certificate")
	})
	if n := s.count(""); n != 0 || len(g.decisions(t)) != 0 {
		t.Errorf("the service counts %d messages, and the log %d", n, len(g.decisions(t)))
	}
}
