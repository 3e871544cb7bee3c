package e2e

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoSecretIsWrittenDown: a canary stands in every field of a message that
// is nobody's business, forwarded, refused, failed and not understood. Then
// all that the proxy wrote and shows is searched for it.
func TestNoSecretIsWrittenDown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{
		rules: rulesWith(limits(`{name: two-a-day, on: "*", allow: 2, per: day}`)),
		env:   []string{"QUOTAGATE_LOG_LEVEL=debug"},
	})
	const canary = "CaNaRy7f3a"
	client := g.byHand().client(t, true)
	for i := range 3 { // forward, forward, reject
		for _, r := range []request{
			{Method: "POST", URL: "https://" + linkedinWeb + "/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage&q=" + canary + "-query",
				Headers: map[string]string{"Cookie": "li_at=" + canary + "-cookie; JSESSIONID=" + canary + "-session", "Csrf-Token": canary + "-csrf", "X-Li-Track": canary + "-header"},
				Body:    fmt.Sprintf(`{"mailboxUrn":"urn:li:fsd_profile:%[1]s-mailbox","hostRecipientUrns":["urn:li:fsd_profile:%[1]s-recipient"],"message":{"body":{"text":"%[1]s-text %[2]d"},"originToken":"%[1]s-origin-%[2]d"}}`, canary, i)},
			{Method: "POST", URL: "https://" + linkedinAPI + "/rest/messages",
				Headers: map[string]string{"Authorization": "Bearer " + canary + "-bearer"},
				JSON:    map[string]any{"recipients": []string{"urn:li:person:" + canary + "-recipient"}, "subject": canary + "-subject", "body": canary + "-text"}},
			{Method: "POST", URL: "https://" + slackHost + "/api/chat.postMessage",
				Form: map[string]string{"token": "xoxb-" + canary + "-form-token", "channel": canary + "-channel", "text": canary + "-text", "blocks": `[{"type":"section","text":{"type":"plain_text","text":"` + canary + `-block"}}]`}},
			{Method: "POST", URL: "https://" + telegramAPI + "/bot7111:" + canary + "-path-token/sendMessage",
				JSON: map[string]any{"chat_id": "@" + canary + "_chat", "text": canary + "-text"}},
			{Method: "GET", URL: "https://" + telegramAPI + "/bot7111:" + canary + "-path-token/getUpdates?secret=" + canary + "-query"},
			{Method: "POST", URL: "https://" + slackHost + "/" + canary + "-path", Headers: map[string]string{answerHeader: "reset"}, Body: canary + "-body"},
			{Method: "POST", URL: "https://" + linkedinWeb + "/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage",
				Headers: map[string]string{"Cookie": "li_at=" + canary + "-cookie"}, Body: `{"message":"` + canary + `-broken`},
		} {
			do(client, encode(t, r))
		}
	}
	// A request that is no HTTP, one that names a host that is not there, and
	// credentials that nobody asked for.
	do(client, encode(t, request{Method: "GET", URL: "https://" + strings.ToLower(canary) + "-host.invalid/"}))
	w := g.byHand()
	w.proxy = "http://user:" + canary + "-password@" + g.listen
	do(w.client(t, true), encode(t, viaSlackJSON.nth(canary, 1)))
	if s.count("") == 0 || g.logged(t, "reject") == 0 {
		t.Fatalf("%d delivered, %d refused: the test shows nothing", s.count(""), g.logged(t, "reject"))
	}

	search := func(where, content string) {
		for what, needle := range map[string]string{
			"as it is":      canary,
			"in base64":     strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(canary)), "=")[:10],
			"in hex":        hex.EncodeToString([]byte(canary)),
			"percent-coded": url.QueryEscape("xoxb-" + canary),
		} {
			if i := strings.Index(content, needle); i >= 0 {
				t.Errorf("%s holds the canary %s: …%q…", where, what, content[max(0, i-60):min(len(content), i+60)])
			}
		}
	}
	for _, page := range []string{"/", "/metrics", "/api/v1/accounts", "/api/v1/decisions", "/api/v1/limits", "/api/v1/held", "/readyz"} {
		status, body := g.get(page)
		// A page that is not there yet is searched as well, and may be absent.
		if status != http.StatusOK && status != http.StatusNotFound {
			t.Errorf("GET %s: %d", page, status)
		}
		search("the admin page "+page, body)
	}
	for _, verb := range [][]string{{"log"}, {"log", "--json"}, {"quota"}, {"quota", "--json"}} {
		search("`quotagate "+strings.Join(verb, " ")+"`", g.verb(t, verb...))
	}
	g.stop(t)
	search("what it printed", g.out.String())
	files := 0
	err := filepath.WalkDir(g.data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(name)
		files++
		search(name, string(b))
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("read %d files of the data directory, error %v", files, err)
	}
}
