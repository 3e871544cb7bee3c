package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPlaceholders(t *testing.T) {
	s := mustLoad(t, wired+"limits: [{name: words, on: acme.message, content: {placeholders: reject}}]")
	for text, want := range map[string]bool{
		"Hi {{first_name}}, how are you?": true, "Hi {{ contact.name | fallback }}": true, "Hi {firstName}!": true, "Hi ${name}": true,
		"Dear %FIRST_NAME%": true, "Dear %%NAME%%": true, "Hi [First Name]": true, "Hi [your name]": true, "at [Company]": true, "Hi <first_name>": true,
		"Hi <<name>>": true, "Hi [[name]]": true, "Hi *|FNAME|*,": true, "Hi undefined, nice to meet you": true, "hello, null": true, "[object Object]": true,
		"Hi Anna": false, "See [1] and [2]": false, "20% off, 50% of all": false, "{}": false, "if (a) { return b; }": false, "a <b>bold</b> word": false,
		"the name <anna@example.org>": false, "null and undefined are values": false, "100%SURE": false, "": false, "[x] done": false, "{1, 2}": false,
	} {
		if _, _, got := s.Content(readOne(t, s, text), "y"); got != want {
			t.Errorf("%q: found is %v", text, got)
		}
	}
}

func TestContentRefusesOrWarns(t *testing.T) {
	const secret = "call my mobile number, {{first_name}}"
	for _, c := range []struct {
		limits, text string
		limit        string // that refuses
		warnings     string
	}{
		{`{name: a, on: acme.*, content: {forbid: ['(?i)\b(phone|mobile) number\b'], placeholders: reject}}`, secret, "a", ""},
		{`{name: a, on: acme.*, content: {forbid: ['(?i)\b(phone|mobile) number\b'], placeholders: reject}}`, "hello", "", ""},
		{`{name: a, on: acme.*, content: {placeholders: warn}}`, secret, "", "a 0 false"},
		{`{name: a, on: acme.*, content: {forbid: mobile, placeholders: warn}}`, secret, "a", ""},
		{`{name: a, on: acme.*, action: warn, content: {forbid: mobile}}`, secret, "", "a 0 false"},
		{`{name: a, on: acme.*, mode: shadow, content: {forbid: mobile}}`, secret, "", "a 0 true"},
		{`{name: a, on: acme.*, mode: shadow, content: {placeholders: warn}}`, secret, "", "a 0 false"},
		{`{name: a, on: acme.*, plans: gold, content: {forbid: mobile}}`, secret, "", ""},
		{`{name: a, on: acme.*, when: 'class == "manual"', content: {forbid: mobile}}`, secret, "", ""},
		{`{name: a, on: acme.*, mode: shadow, content: {forbid: mobile}}, {name: b, on: acme.*, content: {forbid: call}}`, secret, "b", "a 0 true"},
	} {
		s := mustLoad(t, wired+"limits: ["+c.limits+"]")
		d := readOne(t, s, c.text)
		limit, reason, found := s.Content(d, "y")
		if limit != c.limit || found != (c.limit != "") || found != (reason != "") {
			t.Errorf("%s: %q refuses: %s", c.limits, limit, reason)
		}
		var lines []string
		for _, w := range s.ContentWarnings(d, "y") {
			lines = append(lines, fmt.Sprint(w.Limit, " ", w.Item, " ", w.Shadow))
			reason += w.Reason
		}
		if got := strings.Join(lines, ", "); got != c.warnings {
			t.Errorf("%s: warns %q, not %q", c.limits, got, c.warnings)
		}
		for _, word := range []string{"first_name", "call my", "my mobile"} {
			if strings.Contains(reason, word) {
				t.Errorf("%s: the reason has words of the text: %s", c.limits, reason)
			}
		}
	}
}

// A text that ten thousand messages share is looked at once: a gigabyte and
// more would be looked at for each request of this kind.
func TestAWordingIsLookedForOnceInATextThatIsShared(t *testing.T) {
	s := matching(t, `
version: 1
services: {mail: {hosts: [mail.example]}}
messages:
  - {name: mail.mail, match: {path: /send}, account: {const: x}, each: '$.to[*]', recipients: {json: $.to}, text: {form: text}}
limits: [{name: words, on: mail.mail, content: {forbid: ['(?i)[a-z]+ number (is|was) \d+x'], placeholders: warn}}]
`)
	sight := s.Look(call(t, "POST", "https://mail.example/send", "Content-Type: application/x-www-form-urlencoded"))
	to := strings.Repeat(`{"to":"a"},`, 5000)
	d, err := sight.Read([]byte("to=[" + to[:len(to)-1] + "]&text=" + strings.Repeat("my number is 1 ", 20_000)))
	if err != nil || len(d.Messages) != 5000 || len(d.Messages[4999].text) < 100_000 {
		t.Fatal(err)
	}
	began := time.Now()
	if _, _, found := s.Content(d, "x"); found || len(s.ContentWarnings(d, "x")) > 0 {
		t.Error("found what is not there")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestAReaderOfJSONThatIsPutBackHasNoText(t *testing.T) {
	r := readerOf([]byte(`{"text":"secret"}`))
	if _, err := r.ReadToken(); err != nil {
		t.Fatal(err)
	}
	r.done()
	if left := r.text.String() + string(r.UnreadBuffer()); left != "" {
		t.Errorf("kept: %s", left)
	}
}
