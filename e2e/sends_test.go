package e2e

import (
	"fmt"
	"hash/crc32"
	"net/http"
)

// request is one request that a client is asked to send. Exactly one of Body,
// JSON, Form and Multipart is set, and the client encodes it in its own way.
type request struct {
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers,omitempty"`
	Body      string            `json:"body,omitempty"`
	JSON      any               `json:"json,omitempty"`
	Form      map[string]string `json:"form,omitempty"`
	Multipart map[string]string `json:"multipart,omitempty"`
}

// A send is one way of sending a message to a service: the n-th message of
// the sender.
type send struct {
	name string
	host string
	kind string // as `on:` names it
	nth  func(sender string, n int) request
}

// text is the text of the n-th message.
func text(n int) string { return fmt.Sprintf("message %d", n) }

// botToken is the Telegram token of a sender. The digits before the colon are
// the bot's id, and so the account.
func botToken(sender string) string {
	return fmt.Sprintf("%d:%s", 7_000_000_000+int64(crc32.ChecksumIEEE([]byte(sender))), sender)
}

// mailbox is the LinkedIn mailbox of a sender.
func mailbox(sender string) string { return "urn:li:fsd_profile:" + sender }

var (
	viaVoyager = send{"LinkedIn web client", linkedinWeb, "linkedin.message", func(sender string, n int) request {
		return request{
			Method:  http.MethodPost,
			URL:     "https://" + linkedinWeb + "/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage",
			Headers: map[string]string{"Content-Type": "text/plain;charset=UTF-8", "Cookie": "li_at=cookie-of-" + sender + "; JSESSIONID=ajax:1", "Csrf-Token": "ajax:1"},
			Body: fmt.Sprintf(`{"mailboxUrn":%q,"hostRecipientUrns":["urn:li:fsd_profile:R%d"],"trackingId":"t","dedupeByClientGeneratedToken":false,"message":{"body":{"text":%q},"originToken":"%s-%d"}}`,
				mailbox(sender), n, text(n), sender, n),
		}
	}}
	viaLinkedInAPI = send{"LinkedIn API", linkedinAPI, "linkedin.message", func(sender string, n int) request {
		return request{
			Method:  http.MethodPost,
			URL:     "https://" + linkedinAPI + "/rest/messages",
			Headers: map[string]string{"Authorization": "Bearer token-of-" + sender, "LinkedIn-Version": "202611", "X-Restli-Protocol-Version": "2.0.0"},
			JSON:    map[string]any{"recipients": []string{fmt.Sprintf("urn:li:person:R%d", n)}, "subject": "Hello", "body": text(n)},
		}
	}}
	viaSlackJSON = send{"Slack, JSON", slackHost, "slack.message", func(sender string, n int) request {
		return request{
			Method:  http.MethodPost,
			URL:     "https://" + slackHost + "/api/chat.postMessage",
			Headers: map[string]string{"Authorization": "Bearer xoxb-" + sender},
			JSON:    map[string]any{"channel": "C1", "text": text(n)},
		}
	}}
	viaSlackForm = send{"Slack, form", slackHost, "slack.message", func(sender string, n int) request {
		return request{
			Method: http.MethodPost,
			URL:    "https://" + slackHost + "/api/chat.postMessage",
			Form:   map[string]string{"token": "xoxb-" + sender, "channel": "C1", "text": text(n)},
		}
	}}
	viaTelegramJSON = send{"Telegram, JSON", telegramAPI, "telegram.message", func(sender string, n int) request {
		return request{
			Method: http.MethodPost,
			URL:    "https://" + telegramAPI + "/bot" + botToken(sender) + "/sendMessage",
			JSON:   map[string]any{"chat_id": 42, "text": text(n)},
		}
	}}
	viaTelegramForm = send{"Telegram, form", telegramAPI, "telegram.message", func(sender string, n int) request {
		return request{
			Method: http.MethodPost,
			URL:    "https://" + telegramAPI + "/bot" + botToken(sender) + "/sendMessage",
			Form:   map[string]string{"chat_id": "42", "text": text(n)},
		}
	}}
	viaTelegramMultipart = send{"Telegram, multipart", telegramAPI, "telegram.message", func(sender string, n int) request {
		return request{
			Method:    http.MethodPost,
			URL:       "https://" + telegramAPI + "/bot" + botToken(sender) + "/sendMessage",
			Multipart: map[string]string{"chat_id": "42", "text": text(n)},
		}
	}}
)

var everySend = []send{viaVoyager, viaLinkedInAPI, viaSlackJSON, viaSlackForm, viaTelegramJSON, viaTelegramForm, viaTelegramMultipart}

// series is the first count messages of a sender.
func (s send) series(sender string, count int) []request {
	var all []request
	for n := 1; n <= count; n++ {
		all = append(all, s.nth(sender, n))
	}
	return all
}
