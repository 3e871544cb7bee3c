package admin_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	"quotagate/proxy"
)

func explain(url, token, body string) string {
	return fmt.Sprintf(`{"method":"POST","url":%q,"header":{"Authorization":["Bearer %s"]},"body":%q}`, url, token, base64.StdEncoding.EncodeToString([]byte(body)))
}

func TestExplainTellsAndCountsNothing(t *testing.T) {
	d := newDesk(t)
	for range 7 { // more than the day allows
		x := read[proxy.Explanation](t, d.ask("POST", "/api/v1/explain", explain("https://chat.example/send", "annas-token", `{"to":"bob"}`)))
		if x.Decision != "forward" || x.Account != "anna" || len(x.Messages) != 1 || x.Messages[0] != "chat.message" || len(x.Uses) != 1 || x.Uses[0].Used != 0 {
			t.Fatalf("%+v", x)
		}
	}
	for range 5 {
		d.send(t, "annas-token")
	}
	x := read[proxy.Explanation](t, d.ask("POST", "/api/v1/explain", explain("https://chat.example/send", "annas-token", `{"to":"bob"}`)))
	if x.Decision != "reject" || x.Limit != "chat.day" || x.Answer == nil || x.Answer.Status != 429 || x.RetryAt.Before(noon) {
		t.Errorf("%+v", x)
	}
	if x := read[proxy.Explanation](t, d.ask("POST", "/api/v1/explain", explain("https://nobody.example/send", "x", ""))); x.Decision != "pass" {
		t.Errorf("%+v", x)
	}
}

func TestExplainAsksForTheUserThatIsNamed(t *testing.T) {
	d := newDesk(t)
	for user, account := range map[string]string{"anna": "anna", "bert": ""} {
		x := read[proxy.Explanation](t, d.ask("POST", "/api/v1/explain", `{"method":"POST","url":"https://chat.example/send","body":"e30=","proxy_user":"`+user+`"}`))
		if x.Account != account || (x.Decision == "forward") != (account != "") {
			t.Errorf("%s: %+v", user, x)
		}
	}
}

func TestExplainRefusesWhatIsNoRequest(t *testing.T) {
	d := newDesk(t)
	for _, body := range []string{
		"", "{", "[]", `{"method":"GET","url":"https://chat.example/","more":1}`,
		`{"method":"GET","url":"/send"}`, `{"method":"GET","url":""}`, `{"method":"GET","url":"https:///send"}`, `{"method":"GET","url":"mailto:anna"}`,
		`{"method":"GET","url":"://"}`, `{"method":"G ET","url":"https://chat.example/"}`, `{"method":"GET","url":"https://chat.example/\u0000"}`,
		`{"method":"GET","url":"https://chat.example/","body":"no base64!"}`, `{"method":"GET","url":"https://chat.example/","at":"noon"}`,
	} {
		w := d.ask("POST", "/api/v1/explain", body)
		if w.Code != http.StatusBadRequest || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
