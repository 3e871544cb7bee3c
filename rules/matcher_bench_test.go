package rules

import (
	"fmt"
	"strings"
	"testing"
)

func benchSet(b *testing.B, n int, hosts bool) *Set {
	var text strings.Builder
	text.WriteString("version: 1\nmessages:\n")
	for i := range n {
		host, path := "chat.example", fmt.Sprintf("/api/v%d/{account}/send", i)
		if hosts {
			host, path = fmt.Sprintf("h%d.example", i), "/api/v1/{account}/send"
		}
		fmt.Fprintf(&text, "  - {name: chat.m%d, match: {host: %s, method: POST, path: '%s', query: {action: create}}, account: {path: account}}\n", i, host, path)
	}
	return matching(b, text.String())
}

func BenchmarkLook(b *testing.B) {
	for _, hosts := range []bool{false, true} {
		for _, n := range []int{10, 1000, 10000} {
			name := fmt.Sprintf("paths/%d", n)
			target := fmt.Sprintf("https://chat.example/api/v%d/anna/send?action=create", n/2)
			if hosts {
				name = fmt.Sprintf("hosts/%d", n)
				target = fmt.Sprintf("https://h%d.example/api/v1/anna/send?action=create", n/2)
			}
			b.Run(name, func(b *testing.B) {
				s := benchSet(b, n, hosts)
				c := call(b, "POST", target)
				b.ReportAllocs()
				for b.Loop() {
					if sight := s.Look(c); !sight.Message() {
						b.Fatal("no message")
					}
				}
			})
		}
	}
	b.Run("miss", func(b *testing.B) {
		s := benchSet(b, 1000, false)
		c := call(b, "GET", "https://chat.example/profile/anna?x=y")
		b.ReportAllocs()
		for b.Loop() {
			if sight := s.Look(c); sight.Message() {
				b.Fatal("a message")
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	s := matching(b, "version: 1\nuse: [linkedin, slack, telegram]\n")
	for name, c := range map[string]struct{ target, body string }{
		"linkedin": {"https://www.linkedin.com/voyager/api/voyagerMessagingDashMessengerMessages?action=createMessage", `{"mailboxUrn":"urn:li:fsd_profile:ACoAAB","hostRecipientUrns":["urn:li:fsd_profile:r1"],"message":{"body":{"attributes":[],"text":"Hello there"},"originToken":"t","renderContentUnions":[]},"trackingId":"x","dedupeByClientGeneratedToken":false}`},
		"slack":    {"https://slack.com/api/chat.postMessage", `{"channel":"C1","text":"x"}`},
		"telegram": {"https://api.telegram.org/bot12:x/sendMessage", `{"chat_id":5,"text":"x"}`},
	} {
		b.Run(name, func(b *testing.B) {
			k := call(b, "POST", c.target, "Cookie: bcookie=x; li_at=c; JSESSIONID=y", "Authorization: Bearer b", "Content-Type: application/json")
			b.ReportAllocs()
			for b.Loop() {
				sight := s.Look(k)
				if got, err := sight.Read([]byte(c.body)); err != nil || got == nil {
					b.Fatal(got, err)
				}
			}
		})
	}
}
