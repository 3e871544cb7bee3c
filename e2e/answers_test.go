package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
)

// What the loopback service knows of the services that it stands for: which
// request is a message, who sends what to whom, and how the answer looks. It
// is written from their public documentation and shares nothing with the
// packs, so that the two can disagree.

// understand tells whether a request is a message, reads it, and gives the
// answer of the service.
func understand(r *http.Request, body []byte) (delivery, func(http.ResponseWriter), bool) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	var m delivery
	var answer func(http.ResponseWriter)
	ok := false
	switch host {
	case linkedinWeb:
		m, answer, ok = linkedinVoyager(r, body)
	case linkedinAPI:
		m, answer, ok = linkedinOfficial(r, body)
	case slackHost:
		m, answer, ok = slackPost(r, body)
	case telegramAPI:
		m, answer, ok = telegramSend(r, body)
	}
	m.Host = host
	return m, answer, ok
}

// serials number the answers, as every service gives its messages ids.
var serials atomic.Int64

func linkedinVoyager(r *http.Request, body []byte) (delivery, func(http.ResponseWriter), bool) {
	if r.Method != http.MethodPost || r.URL.Path != "/voyager/api/voyagerMessagingDashMessengerMessages" ||
		r.URL.Query().Get("action") != "createMessage" {
		return delivery{}, nil, false
	}
	var in struct {
		MailboxURN        string   `json:"mailboxUrn"`
		HostRecipientURNs []string `json:"hostRecipientUrns"`
		Message           struct {
			ConversationURN string `json:"conversationUrn"`
			OriginToken     string `json:"originToken"`
			Body            struct {
				Text string `json:"text"`
			} `json:"body"`
		} `json:"message"`
	}
	if json.Unmarshal(body, &in) != nil {
		return delivery{}, nil, false
	}
	to := in.Message.ConversationURN
	if len(in.HostRecipientURNs) > 0 {
		to = strings.Join(in.HostRecipientURNs, " ")
	}
	m := delivery{Account: in.MailboxURN, Recipient: to, Text: in.Message.Body.Text, ID: in.Message.OriginToken}
	n := serials.Add(1)
	return m, func(w http.ResponseWriter) {
		answerJSON(w, http.StatusOK, map[string]any{"value": map[string]any{
			"entityUrn":   fmt.Sprintf("urn:li:msg_message:(urn:li:fsd_profile:X,2-%d)", n),
			"backendUrn":  fmt.Sprintf("urn:li:messagingMessage:2-%d", n),
			"originToken": in.Message.OriginToken,
		}})
	}, true
}

func linkedinOfficial(r *http.Request, body []byte) (delivery, func(http.ResponseWriter), bool) {
	if r.Method != http.MethodPost || (r.URL.Path != "/rest/messages" && r.URL.Path != "/v2/messages") {
		return delivery{}, nil, false
	}
	var in struct {
		Recipients []string `json:"recipients"`
		Thread     string   `json:"thread"`
		Body       string   `json:"body"`
	}
	if json.Unmarshal(body, &in) != nil {
		return delivery{}, nil, false
	}
	m := delivery{Account: bearer(r), Recipient: strings.Join(in.Recipients, " ") + in.Thread, Text: in.Body}
	n := serials.Add(1)
	return m, func(w http.ResponseWriter) {
		w.Header().Set("X-Restli-Id", fmt.Sprintf("urn:li:message:%d", n))
		w.WriteHeader(http.StatusCreated)
	}, true
}

func slackPost(r *http.Request, body []byte) (delivery, func(http.ResponseWriter), bool) {
	if r.Method != http.MethodPost || r.URL.Path != "/api/chat.postMessage" {
		return delivery{}, nil, false
	}
	in := fields(r, body)
	token := bearer(r)
	if token == "" {
		token = in["token"]
	}
	n := serials.Add(1)
	return delivery{Account: token, Recipient: in["channel"], Text: in["text"]}, func(w http.ResponseWriter) {
		ts := fmt.Sprintf("1700000000.%06d", n)
		answerJSON(w, http.StatusOK, map[string]any{"ok": true, "channel": in["channel"], "ts": ts,
			"message": map[string]any{"type": "message", "text": in["text"], "ts": ts}})
	}, true
}

func telegramSend(r *http.Request, body []byte) (delivery, func(http.ResponseWriter), bool) {
	token, method, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/bot"), "/")
	if !ok || method != "sendMessage" {
		return delivery{}, nil, false
	}
	in := fields(r, body)
	n := serials.Add(1)
	return delivery{Account: token, Recipient: in["chat_id"], Text: in["text"]}, func(w http.ResponseWriter) {
		answerJSON(w, http.StatusOK, map[string]any{"ok": true, "result": map[string]any{
			"message_id": n, "date": 1700000000, "text": in["text"],
			"chat": map[string]any{"id": 1, "type": "private", "first_name": "A"}}})
	}, true
}

// fields are a request's parameters from its query and from its body, as
// JSON, form or multipart.
func fields(r *http.Request, body []byte) map[string]string {
	out := make(map[string]string)
	for k, v := range r.URL.Query() {
		out[k] = v[0]
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/json", "":
		var in map[string]any
		if json.Unmarshal(body, &in) == nil {
			for k, v := range in {
				if s, ok := v.(string); ok {
					out[k] = s
				} else {
					out[k] = fmt.Sprint(v)
				}
			}
		}
	case "application/x-www-form-urlencoded":
		in, _ := url.ParseQuery(string(body))
		for k, v := range in {
			out[k] = v[0]
		}
	case "multipart/form-data":
		for parts := multipart.NewReader(strings.NewReader(string(body)), params["boundary"]); ; {
			part, err := parts.NextPart()
			if err != nil {
				return out
			}
			value, _ := io.ReadAll(part)
			out[part.FormName()] = string(value)
		}
	}
	return out
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}
