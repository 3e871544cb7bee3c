package rules

import (
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// What each shipped pack takes for a message, and what it does not.
func TestPacks(t *testing.T) {
	s := matching(t, "version: 1\nuse: [linkedin, slack, telegram]\n")
	const (
		dash  = "POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage"
		sales = "POST https://www.linkedin.com/sales-api/salesApiMessageActions?action=createMessage"
		sdui  = "POST https://www.linkedin.com/flagship-web/rsc-action/actions/server-request"
		bot   = "https://api.telegram.org/bot12:AAx/"
		form  = "Content-Type: application/x-www-form-urlencoded"
	)
	premium := `"hostMessageCreateContent":{"com.linkedin.voyager.dash.messaging.MessageCreateContent":{"messageCreateContentUnion":{"premiumInMail":{}}}}`
	for _, c := range []struct{ request, headers, body, want string }{
		{dash, "Cookie: li_at=c", `{"mailboxUrn":"urn:li:fsd_profile:ACo1","hostRecipientUrns":["urn:li:r1"],"message":{"body":{"text":"x"},"originToken":"t"}}`, "linkedin.message r1 [linkedin.mailbox urn:li:fsd_profile:ACo1, linkedin.li_at c]"},
		{dash, "Cookie: li_at=c", `{"mailboxUrn":"urn:li:fsd_profile:me","message":{"conversationUrn":"urn:li:c1"}}`, "linkedin.message c1 [linkedin.li_at c]"},
		{dash, "Cookie: li_at=c", `{"hostRecipientUrns":["urn:li:r1"],` + premium + `}`, "linkedin.inmail r1 [linkedin.li_at c]"},
		{dash, "Cookie: li_at=c", ``, "linkedin.message  [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/voyager/api/messaging/conversations/2-abc==/events?action=create", "Cookie: li_at=c", `{"eventCreate":{"originToken":"t"}}`, "linkedin.message 2-abc== [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/voyager/api/messaging/conversations?action=create", "Cookie: li_at=c", `{"conversationCreate":{"recipients":["a"],"subtype":"MEMBER_TO_MEMBER"}}`, "linkedin.message a [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/voyager/api/messaging/conversations?action=create", "Cookie: li_at=c", `{"conversationCreate":{"recipients":["a"],"subtype":"INMAIL"}}`, "linkedin.inmail a [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/voyager/api/voyagerRelationshipsDashMemberRelationships?action=verifyQuotaAndCreateV2&decorationId=x", "Cookie: li_at=c", `{"invitee":{"inviteeUnion":{"memberProfile":"urn:li:p"}}}`, "linkedin.invite p [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/voyager/api/voyagerRelationshipsDashMemberRelationships?action=verifyQuotaAndCreate", "Cookie: li_at=c", `{"inviteeProfileUrn":"urn:li:p"}`, "linkedin.invite p [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/voyager/api/growth/normInvitations", "Cookie: li_at=c", `{"invitee":{"com.linkedin.voyager.growth.invitation.InviteeProfile":{"profileId":"p"}}}`, "linkedin.invite p [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/voyager/api/growth/normInvitations", "Cookie: li_at=c", `{"invitations":[{"invitee":{"x":{"profileId":"p"}}},{"invitee":{"x":{"profileId":"q"}}}]}`, "linkedin.invite p + linkedin.invite q [linkedin.li_at c]"},
		{sdui + "?sduiid=com.linkedin.sdui.requests.mynetwork.addaAddConnection", "Cookie: li_at=c", `{"requestedArguments":{"payload":{"nonIterableProfileId":"p"}}}`, "linkedin.invite p [linkedin.li_at c]"},
		{sdui, "Cookie: li_at=c|Content-Type: application/json", `{"serverRequest":{"requestId":"com.linkedin.sdui.requests.mynetwork.addaAddConnection","requestedArguments":{"payload":{"inviteeUrn":{"memberId":"7"}}}}}`, "linkedin.invite 7 [linkedin.li_at c]"},
		{sdui + "?sduiid=other", "Cookie: li_at=c|Content-Type: application/json", `{"requestId":"com.linkedin.sdui.feed.like"}`, ""},
		{sales, "Cookie: li_at=c", `{"createMessageRequest":{"recipients":["urn:li:fs_salesProfile:(ACw1,NAME_SEARCH,x)"],"subject":"s"}}`, "linkedin.inmail ACw1 [linkedin.li_at c]"},
		{sales, "Cookie: li_at=c", `{"createMessageRequest":{"threadId":"2-x"}}`, "linkedin.message 2-x [linkedin.li_at c]"},
		{sales, "Cookie: li_at=c", `{}`, "linkedin.inmail  [linkedin.li_at c]"},
		{"POST https://www.linkedin.com/sales-api/salesApiConnection?action=connectV2", "Cookie: li_at=c", `{"member":"urn:li:m"}`, "linkedin.invite m [linkedin.li_at c]"},
		{"POST https://api.linkedin.com/rest/messages", "Authorization: Bearer b", `{"recipients":["urn:li:person:a","urn:li:person:b"],"body":"x"}`, "linkedin.message a,b [linkedin.token b]"},
		{"POST https://api.linkedin.com/v2/messages", "Authorization: Bearer b", `{"recipients":[{"recipient_id":"a"}],"messageType":"INMAIL"}`, "linkedin.inmail a [linkedin.token b]"},
		{"POST https://api.linkedin.com/v2/invitations", "Authorization: Bearer b", `{"invitee":"urn:li:person:a"}`, "linkedin.invite a [linkedin.token b]"},
		{"POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=recall", "Cookie: li_at=c", `{}`, ""},
		{"POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerConversations?action=typing", "Cookie: li_at=c", `{}`, ""},
		{"GET https://www.linkedin.com/voyager/api/messaging/conversations", "Cookie: li_at=c", ``, ""},
		{"GET https://api.linkedin.com/v2/messages", "Authorization: Bearer b", ``, ""},

		{"POST https://slack.com/api/chat.postMessage", "Authorization: Bearer b", `{"channel":"C1","text":"x"}`, "slack.message C1 [slack.token b]"},
		{"POST https://slack.com/api/chat.postMessage", form, `token=b&channel=C1&text=x`, "slack.message C1 [slack.token b]"},
		{"GET https://acme.enterprise.slack.com/api/chat.meMessage?token=b&channel=C1&text=x", "", ``, "slack.message C1 [slack.token b]"},
		{"POST https://slack.com/api/files.completeUploadExternal", "Authorization: Bearer b|" + form, `channel_id=C1&files=%5B%5D`, "slack.message C1 [slack.token b]"},
		{"POST https://slack.com/api/files.completeUploadExternal", "Authorization: Bearer b|" + form, `files=%5B%5D`, ""},
		{"POST https://hooks.slack.com/services/T1/B1/xyz", "", `{"text":"x"}`, "slack.message xyz [slack.team T1]"},
		{"POST https://hooks.slack.com/services/T1/B1/xyz", form, `payload=%7B%22text%22%3A%22x%22%7D`, "slack.message xyz [slack.team T1]"},
		{"POST https://slack.com/api/chat.update", "Authorization: Bearer b", `{}`, ""},
		{"GET https://slack.com/api/conversations.history?channel=C1", "Authorization: Bearer b", ``, ""},

		{"POST " + bot + "sendMessage", "", `{"chat_id":-100123,"text":"x"}`, "telegram.message -100123 [telegram.bot 12]"},
		{"GET " + bot + "SENDmessage?chat_id=5&text=x", "", ``, "telegram.message 5 [telegram.bot 12]"},
		{"POST " + bot + "sendPhoto", form, `chat_id=5`, "telegram.message 5 [telegram.bot 12]"},
		{"POST https://api.telegram.org/bot12%3AAAx/sendmessage", "", `{"chat_id":5}`, "telegram.message 5 [telegram.bot 12]"},
		{"POST " + bot + "sendMediaGroup", "", `{"chat_id":5,"media":[{},{}]}`, "telegram.message 5 + telegram.message 5 [telegram.bot 12]"},
		{"POST " + bot + "sendMediaGroup", form, `chat_id=5&media=%5B%7B%7D%2C%7B%7D%5D`, "telegram.message 5 + telegram.message 5 [telegram.bot 12]"},
		{"POST " + bot + "copyMessages", "", `{"chat_id":5,"message_ids":[1,2]}`, "telegram.message 5 + telegram.message 5 [telegram.bot 12]"},
		{"POST " + bot + "forwardMessage", "", `{"chat_id":5}`, "telegram.message 5 [telegram.bot 12]"},
		{"POST " + bot + "sendChatAction", "", `{"chat_id":5}`, ""},
		{"POST " + bot + "getUpdates", "", `{}`, ""},
		{"POST " + bot + "editMessageText", "", `{}`, ""},
	} {
		method, target, _ := strings.Cut(c.request, " ")
		var headers []string
		if c.headers != "" {
			headers = strings.Split(c.headers, "|")
		}
		sight := s.Look(call(t, method, target, headers...))
		got, err := sight.Read([]byte(c.body))
		if err != nil {
			t.Errorf("%s %s: %v", c.request, c.body, err)
			continue
		}
		said := ""
		if got != nil {
			var list, ids []string
			for _, m := range got.Messages {
				var to []string
				for _, r := range m.Recipients {
					to = append(to, strings.TrimSuffix(strings.TrimPrefix(r, "<"+m.Service+".recipient "), ">"))
				}
				list = append(list, m.Name()+" "+strings.Join(to, ","))
			}
			for _, id := range got.Identities {
				_, id, _ = strings.Cut(id, "~<")
				ids = append(ids, strings.TrimSuffix(id, ">"))
			}
			said = fmt.Sprintf("%s [%s]", strings.Join(list, " + "), strings.Join(ids, ", "))
		}
		if said != c.want {
			t.Errorf("%s %s\n got %q\nwant %q", c.request, c.body, said, c.want)
		}
	}
}

// What the services answer is read for what it proves.
func TestPackOutcomes(t *testing.T) {
	s := matching(t, "version: 1\nuse: [linkedin, slack, telegram]\n")
	for _, c := range []struct {
		request, body string
		status        int
		location      string
		answer        string
		want          Outcome
	}{
		{"POST https://slack.com/api/chat.postMessage", "token=b", 200, "", `{"ok":true,"ts":"1"}`, Sent},
		{"POST https://slack.com/api/chat.postMessage", "token=b", 200, "", `{"ok":false,"error":"channel_not_found"}`, NotSent},
		{"POST https://slack.com/api/chat.postMessage", "token=b", 200, "", `{"ok":false,"error":"fatal_error"}`, Unclear},
		{"POST https://slack.com/api/chat.postMessage", "token=b", 200, "", `{"ok":false,"error":"ratelimited"}`, Throttled},
		{"POST https://slack.com/api/chat.postMessage", "token=b", 200, "", `<html>`, Unclear},
		{"POST https://api.telegram.org/bot1:x/sendMessage", "", 200, "", `{"ok":true,"result":{}}`, Sent},
		{"POST https://api.telegram.org/bot1:x/sendMessage", "", 400, "", `{"ok":false,"error_code":400}`, NotSent},
		{"POST https://api.telegram.org/bot1:x/sendMessage", "", 429, "", `{"ok":false,"error_code":429}`, Throttled},
		{"POST https://api.telegram.org/bot1:x/sendMessage", "", 502, "", `oops`, Unclear},
		{"POST https://api.linkedin.com/rest/messages", "", 201, "", ``, Sent},
		{"POST https://api.linkedin.com/rest/messages", "", 429, "", `{}`, Throttled},
		{"POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage", "", 422, "", `{}`, NotSent},
		{"POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage", "", 302, "https://www.linkedin.com/checkpoint/challenge/x", ``, Challenged},
		{"POST https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage", "", 403, "", `{"data":{"code":"ACCOUNT_RESTRICTED"}}`, Restricted},
		{"POST https://www.linkedin.com/voyager/api/voyagerRelationshipsDashMemberRelationships?action=verifyQuotaAndCreateV2", "", 429, "", `{"data":{"code":"CUSTOM_INVITE_LIMIT_REACHED","status":429}}`, Throttled},
	} {
		method, target, _ := strings.Cut(c.request, " ")
		sight := s.Look(call(t, method, target, "Cookie: li_at=c", "Authorization: Bearer b"))
		got, err := sight.Read([]byte(c.body))
		if err != nil || got == nil {
			t.Errorf("%s: %v %v", c.request, got, err)
			continue
		}
		h := http.Header{}
		if c.location != "" {
			h.Set("Location", c.location)
		}
		if out := got.Outcomes(c.status, h, []byte(c.answer)); out[0] != c.want {
			t.Errorf("%s answered %d %s: %v, want %v", c.request, c.status, c.answer, out[0], c.want)
		}
	}
}

// The rule tests that are shipped beside the packs are read and their rules
// load; package ruletest plays them.
func TestShippedRuleTests(t *testing.T) {
	files := 0
	err := filepath.WalkDir(packsDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, testSuffix) {
			return err
		}
		files++
		f, err := LoadTests(path)
		if err != nil {
			t.Error(err)
			return nil
		}
		if _, err := f.Load(Options{Hash: func(kind, value string) string { return value }}); err != nil {
			t.Error(err)
		}
		return nil
	})
	if err != nil || files < 4 {
		t.Errorf("%d files of rule tests, %v", files, err)
	}
}
