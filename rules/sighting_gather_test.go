package rules

import (
	"errors"
	"strings"
	"testing"
)

const nearRules = `
version: 1
services:
  bot: {hosts: [bot.example], account: [{bearer: true}]}
messages:
  - name: bot.message
    match: {method: POST, path: /send}
    recipients: [{json: $.chat_id}, {form: chat_id}, {query: chat_id}]
    text: [{json: $.body.text}, {form: text}]
    id: [{json: $.id}, {form: id}]
  - name: bot.batch
    match: {method: POST, path: /batch}
    each: '$.Items[*]'
    recipients: {json: $.to}
  - name: bot.hook
    match: {method: POST, path: /hook}
    recipients: {form: payload, decode: json, json: $.channel}
  - name: bot.put
    match: {method: PUT, path: /put}
    recipients: {form: to}
  - name: bot.action
    match: {method: POST, path: /act, query: {action: create}}
  - name: bot.kind
    match: {method: POST, path: /kind, when: 'form.type == "send"'}
limits: [{name: texts, on: bot.message, content: {forbid: [x]}}]
`

// One message however it is spelt, or none that can be read for certain.
func TestEveryWayToReadARequestComesToTheSame(t *testing.T) {
	const (
		form  = "Content-Type: application/x-www-form-urlencoded"
		near  = "!it has a name that is nearly"
		twice = "!it has a parameter in two places"
	)
	s := matching(t, nearRules)
	for _, tc := range []struct{ method, target, header, body, want string }{
		{"POST", "/send", "", `{"chat_id":1}`, "1"},
		{"POST", "/send", "", `{"\u0063hat_id":1}`, "1"},
		{"POST", "/send", "", `{"Chat_ID":1}`, near},
		{"POST", "/send", "", `{"chat_id":1,"Chat_ID":2}`, near},
		{"POST", "/send", "", `{"chat_id":1,"CHAT_ID":1}`, "1"},
		{"POST", "/send", "", `{"CHAT_ID":1,"Chat_ID":2}`, near},
		{"POST", "/send", "", `{"chat_id":1,"body":{"Text":"x"}}`, near},
		{"POST", "/send", "", `{"chat_id":1,"meta":{"Text":"x","Chat_Id":5,"ID":1}}`, "1"}, // elsewhere
		{"POST", "/send", form, `chat_id=1`, "1"},
		{"POST", "/send", form, `chat.id=1`, near},
		{"POST", "/send", form, `chat_id[]=1`, near},
		{"POST", "/send", form, `CHAT_ID=1`, near},
		{"POST", "/send", form, `chat_id=1&chat_id=2`, "1 2"},
		{"POST", "/send?chat%20id=1", "", ``, near},
		{"POST", "/send?chat_id=1", "", `{"chat_id":1}`, "1"},
		{"POST", "/send?chat_id=2", "", `{"chat_id":1}`, twice},
		{"POST", "/send?chat_id=2", form, `chat_id=1`, twice},
		{"POST", "/send", form, `{"chat_id":1,"x":"&chat_id=2&"}`, twice},
		{"POST", "/send", form, `{"id":1,"x":"&id=2&"}`, twice},
		{"POST", "/batch", "", `{"Items":[{"to":1},{"to":2}]}`, "1 | 2"},
		{"POST", "/batch", "", `{"items":[{"to":1},{"to":2}]}`, near},
		{"POST", "/batch", "", `{"Items":"[{\"to\":1},{\"to\":2}]"}`, "1 | 2"},
		{"POST", "/batch", "", `{"Items":"[{\"to\":1},{\"To\":2}]"}`, near},
		{"POST", "/batch", form, `items=[1,2]`, near},
		{"POST", "/hook", form, `payload={"channel":"C"}`, "C"},
		{"POST", "/hook", form, `payload={"Channel":"C"}`, near},
		{"PUT", "/put", form, `to=1`, "1"},
		{"POST", "/put", form, `to=1`, ""},
		{"POST", "/put", form, `to=1&_method=put`, "1"},
		{"POST", "/put", form, `to=1&_METHOD=PUT`, "1"},
		{"POST", "/put", "", `{"_method":"PUT"}`, ""},
		{"POST", "/put?_method=PUT", "", ``, "-"},
		{"GET", "/put?method=put", "", ``, "-"},
		{"GET", "/put?method=post", "", ``, ""},
		{"GET", "/put", "X-HTTP-Method-Override: GET, PUT", ``, "-"},
		{"POST", "/act?action=create", "", ``, "-"},
		{"POST", "/act?action=read", "", ``, ""},
		{"POST", "/act?Action=create", "", ``, near},
		{"POST", "/act?Action=read", "", ``, ""},
		{"POST", "/act?action[]=create", "", ``, near},
		{"POST", "/act?action=create&Action=read", "", ``, "-"},
		{"POST", "/kind", form, `type=send`, "-"},
		{"POST", "/kind", form, `type=read&type=send`, "-"},
		{"POST", "/kind", form, `type=send&type=read`, "-"},
		{"POST", "/kind", form, `type=read`, ""},
	} {
		headers := []string{"Authorization: Bearer b"}
		if tc.header != "" {
			headers = append(headers, tc.header)
		}
		c := call(t, tc.method, "https://bot.example"+tc.target, headers...)
		sight := s.Look(c)
		got, err := sight.Read([]byte(tc.body))
		is := ""
		var bad *UnreadableError
		switch {
		case errors.As(err, &bad):
			is = "!" + bad.Reason
		case err != nil:
			t.Fatal(err)
		case got != nil:
			var all []string
			for _, m := range got.Messages {
				to := strings.Join(m.Recipients, " ")
				all = append(all, strings.NewReplacer("<bot.recipient ", "", ">", "").Replace(to))
			}
			if is = strings.Join(all, " | "); is == "" {
				is = "-"
			}
		}
		if is != tc.want && (!strings.HasPrefix(tc.want, "!") || !strings.HasPrefix(is, tc.want)) {
			t.Errorf("%s %s %s %s: %q, want %q", tc.method, tc.target, tc.header, tc.body, is, tc.want)
		}
		if err != nil {
			continue
		}
		holds := false
		for _, step := range s.Trace(c, []byte(tc.body)) {
			holds = holds || step.Matches()
		}
		if holds != (got != nil) {
			t.Errorf("%s %s %s: explained as a message: %v", tc.method, tc.target, tc.body, holds)
		}
	}
}
