package rules

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const mailRules = `
version: 1
services: {gmail: {hosts: [gmail.example]}}
messages:
  - name: gmail.mail
    match: {method: POST, path: /send}
    account: [{json: $.raw, decode: mime, as: gmail.from}]
    recipients: {json: $.raw, decode: mime}
    text: {json: $.raw, decode: mime}
    id: {json: $.raw, decode: mime}
limits: [{name: day, on: '*', allow: 1, per: day}]
`

// An e-mail says itself who sends it to whom, however it is wrapped.
func TestMails(t *testing.T) {
	s := matching(t, mailRules)
	s.texts = true
	read := func(raw string) string {
		t.Helper()
		body, err := json.Marshal(map[string]string{"raw": raw})
		if err != nil {
			t.Fatal(err)
		}
		sight := s.Look(call(t, "POST", "https://gmail.example/send"))
		d, err := sight.Read(body)
		if err != nil {
			return err.Error()
		}
		m := d.Messages[0]
		return strings.NewReplacer("<gmail.recipient ", "", "gmail~<gmail.from ", "", "<gmail.id <", "", ">", "").Replace(
			fmt.Sprintf("%v to %v as %s: %q", d.Identities, m.Recipients, m.ID, m.text))
	}
	const head = "From: Anna <Anna@a.example>\r\nTo: Bob <bob@b.example>, \"C, D\" <c@c.example>\r\nCc: e@e.example\r\nBcc: F@F.example\r\nMessage-ID: <1@a>\r\n"
	const who = "[anna@a.example] to [bob@b.example c@c.example e@e.example f@f.example] as 1@a: "
	const two = "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n" +
		"--i\r\nContent-Type: text/html\r\n\r\n<p>Hi</p>\r\n--i\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n--i--\r\n" +
		"--o\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--o--\r\n"
	for _, c := range []struct{ name, raw, want string }{
		{"plain", head + "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello", who + `"Grüße\nHello"`},
		{"parts", head + two, who + `"Grüße"`},
		{"HTML alone", head + "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA+SGk8L3A+\r\n", who + `"<pHi</p"`},
		{"a list that cannot be read", "From: a@a\r\nTo: b@b, c d@d <e@e>, <<F@f>\r\n\r\n", `[a@a] to [b@b e@e f@f] as : ""`},
		{"spaces before colons", "From : a@a\r\nTo: b@b\r\nTO\t: c@c\r\nMessage-ID : <1@a>\r\n\r\n", `[a@a] to [b@b c@c] as 1@a: ""`},
		{"lines before it", "\r\n\nFrom: a@a\r\nTo: b@b\r\n\r\n", `[a@a] to [b@b] as : ""`},
		{"no mail", "hello", "read request: its e-mail is malformed"},
		{"a head that cannot be read", "From: a@a\r\nnothing\r\nTo: b@b\r\n\r\n", "read request: its e-mail is malformed"},
	} {
		for _, wrap := range []func(string) string{
			func(s string) string { return s },
			func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
			func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
		} {
			if got := read(wrap(c.raw)); got != c.want {
				t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
			}
		}
	}
}

func TestAMailOfManyPartsIsRead(t *testing.T) {
	var deep strings.Builder
	for i := range 50 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n", i)
	}
	for name, raw := range map[string]string{
		"deep":     "To: a@a\r\n" + deep.String(),
		"wide":     "To: a@a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 1000) + "--b--\r\n",
		"long":     "To: a@a\r\n\r\n" + strings.Repeat("x", 2*mostMailText),
		"no parts": "To: a@a\r\nContent-Type: multipart/mixed\r\n\r\nx",
	} {
		if got := readMail(raw, mailTo); len(got) != 1 || got[0] != "a@a" {
			t.Errorf("%s: %v", name, got)
		}
		if got := readMail(raw, mailText); len(got) != 1 || len(got[0]) > mostMailText {
			t.Errorf("%s: a text of %d", name, len(got[0]))
		}
	}
}

// FuzzMail: nothing that may stand in an e-mail stops us.
func FuzzMail(f *testing.F) {
	f.Add("From: a@a\r\nTo: b@b\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nhi\r\n--x--")
	f.Add("RnJvbTogYUBhDQoNCmhp")
	f.Fuzz(func(t *testing.T, raw string) {
		for part := noMail; part <= mailID; part++ {
			for _, v := range readMail(raw, part) {
				if part == mailText && len(v) > mostMailText+len(raw) {
					t.Errorf("a text of %d", len(v))
				}
			}
		}
	})
}
