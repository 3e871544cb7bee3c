package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"quotagate/proxy"
)

func strict(what string) string {
	return strings.Replace(chat, "hosts: [chat.example]\n", "hosts: [chat.example]\n    "+what+"\n", 1)
}

// exchange writes one request into an intercepted connection.
func (w *world) exchange(t *testing.T, request string) *http.Response {
	t.Helper()
	conn := w.connect(t, "chat.example")
	io.WriteString(conn, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestWebSocketsAreRefusedWhereTheRulesSaySo(t *testing.T) {
	const upgrade = "GET /ws HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	for _, tc := range []struct {
		name, rules, request string
		status               int
		record               string // limit of the record; "" no record
	}{
		{"reject", strict("websockets: reject"), upgrade, 403, "unmatched"},
		{"reject, in capitals", strict("websockets: reject"), strings.NewReplacer("websocket", "WebSocket", "Connection: Upgrade", "connection: keep-alive, upgrade").Replace(upgrade), 403, "unmatched"},
		{"reject, in a message", strict("websockets: reject"), strings.Replace(upgrade, "GET /ws", "POST /send", 1), 403, "unmatched"},
		{"reject, no upgrade", strict("websockets: reject"), strings.Replace(upgrade, "Connection: Upgrade\r\n", "", 1), 200, ""},
		{"reject, another protocol", strict("websockets: reject"), strings.Replace(upgrade, "websocket", "h2c", 1), 200, ""},
		{"pass", chat, upgrade, 200, ""},
		{"reject in shadow mode", strings.Replace(strict("websockets: reject"), "{wait: 0s}", "{wait: 0s, mode: shadow}", 1), upgrade, 200, "unmatched"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, five, http1Upstream)
			w.set.Store(mustLoad(t, tc.rules+five))
			reached := make(chan bool, 1)
			w.service.respond(func(rw http.ResponseWriter, _ *http.Request) { reached <- true })
			resp := w.exchange(t, tc.request)
			if resp.StatusCode != tc.status {
				t.Errorf("%s, want %d", resp.Status, tc.status)
			}
			select {
			case <-reached:
				if tc.status == 403 {
					t.Error("the service was asked")
				}
			default:
				if tc.status == 200 {
					t.Error("the service was not asked")
				}
			}
			if tc.record != "" {
				r := w.next()
				if r.Limit != tc.record || r.Service != "chat" || (r.Decision == proxy.DecisionReject) != (tc.status == 403) {
					t.Errorf("%+v", r)
				}
			} else if len(w.recorded) > 0 {
				t.Errorf("%+v", w.next())
			}
		})
	}
}

func TestWhatMatchesNoRuleIsRefusedWhereTheRulesSaySo(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	const maybe = "  - {name: chat.form, match: {host: chat.example, method: POST, path: /maybe, json: {$.kind: send}}, recipients: {json: $.to}}\n"
	w.set.Store(mustLoad(t, strings.Replace(strict("unmatched: reject"), "defaults:", maybe+"defaults:", 1)+five))
	reached := false
	w.service.respond(func(rw http.ResponseWriter, _ *http.Request) { reached = true })
	for _, tc := range []struct {
		line, header, body string
		ok                 bool
	}{
		{"POST /send", "", `{"to":"bob"}`, true}, // a message
		{"POST /other", "", `{"to":"bob"}`, false},
		{"POST /maybe", "", `{"kind":"send","to":"bob"}`, true}, // a message by its body
		{"POST /maybe", "", `{"kind":"read"}`, false},
		{"PUT /other", "", "", false},
		{"DELETE /other", "", "", false},
		{"PATCH /other", "", "{}", false},
		{"PROPFIND /other", "", "", false},
		{"GET /other", "", "", true},
		{"HEAD /other", "", "", true},
		{"OPTIONS /other", "", "", true},
		{"GET /other", "X-HTTP-Method-Override: POST\r\n", "", false},
		{"GET /other?_method=POST", "", "", false},
		{"GET /other?method=delete", "", "", false},
		{"GET /other?method=list", "", "", true},
		{"GET /other", "X-HTTP-Method: POST\r\n", "", false},
		{"GET /other", "X-Method-Override: POST\r\n", "", false},
	} {
		name := tc.line + " " + tc.header + tc.body
		reached = false
		resp := w.exchange(t, fmt.Sprintf("%s HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\n%sContent-Length: %d\r\n\r\n%s", tc.line, tc.header, len(tc.body), tc.body))
		if tc.ok != (resp.StatusCode == 200) || tc.ok != reached {
			t.Errorf("%s: %s, and the service was asked: %v", name, resp.Status, reached)
		}
		if !tc.ok && (resp.StatusCode != 403 || resp.Header.Get("Quotagate-Limit") != "unmatched" || resp.Header.Get("Quotagate-Decision") != "reject") {
			t.Errorf("%s: %s %v", name, resp.Status, resp.Header)
		}
	}
}
