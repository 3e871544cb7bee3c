package rules

import (
	"strings"
	"testing"
)

func TestSpellingsOfOneRecipient(t *testing.T) {
	for _, c := range []struct{ how, want, spellings string }{
		{"phone", "15550100", "15550100|+15550100|+1 555 0100|+1 (555) 01-00|001.555.0100|1/555/0100|whatsapp:+15550100|WhatsApp:+1 5550100|tel:+1-555-0100;ext=5|sms:+15550100|15550100@s.whatsapp.net|15550100@c.us|\u202a+1\u00a0555\u20110100\u202c|\uff0b\uff11\uff15\uff15\uff15\uff10\uff11\uff10\uff10"},
		{"phone", "@anna", "@anna"},
		{"phone", "1203630@g.us", "1203630@g.us"}, // a group
		{"phone", "1-800-FLOWERS", "1-800-FLOWERS"},
		{"phone", "+", "+"},
		{"email", "bob@x.example", "bob@x.example|Bob@X.example|Bob <bob@x.example>|\"A <b>\" <BOB@x.EXAMPLE>|bob@x.example."},
		{"email", "Bob", "Bob"},
		{"case", "@anna", "@anna|@Anna|@ANNA"},
		{"case", "-100", "-100"},
		{"", "@Anna", "@Anna"},
	} {
		for s := range strings.SplitSeq(c.spellings, "|") {
			if got := oneSpelling(c.how, s); got != c.want {
				t.Errorf("%s %q is %q, want %q", c.how, s, got, c.want)
			}
		}
	}
}

// A person who tells of a reply writes the recipient as it comes.
func TestARecipientIsNamedInAnySpelling(t *testing.T) {
	s := matching(t, `
version: 1
services: {sms: {hosts: [sms.example], account: {const: x}}}
messages:
  - {name: sms.message, match: {path: /send}, recipients: [{form: to, fold: phone}, {form: user, fold: case}]}
  - {name: sms.note, match: {path: /note}, recipients: {form: to}}
  - {name: other.message, match: {host: other.example, path: /send}, account: {const: x}, recipients: {form: to}}
`)
	for _, c := range [][3]string{
		{"sms", "+1 555", "<sms.recipient 1555>"}, {"sms", "@Anna", "<sms.recipient @anna>"}, {"other", "+1 555", "<other.recipient +1 555>"},
	} {
		if got := s.Recipient(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	for to, want := range map[string]string{"to=%2B1+555": "<sms.recipient 1555>", "user=Anna": "<sms.recipient anna>", "to=1555&to=%2B1555": "<sms.recipient 1555>"} {
		sight := s.Look(call(t, "POST", "https://sms.example/send"))
		got, err := sight.Read([]byte(to))
		if err != nil || strings.Join(got.Messages[0].Recipients, " ") != want {
			t.Errorf("%s: %+v %v", to, got, err)
		}
	}
}
