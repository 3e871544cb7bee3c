package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// manyLimits is a file of n messages with a limit each, and three for all.
func manyLimits(n int) string {
	var b strings.Builder
	b.WriteString("version: 1\nservices: {s: {hosts: [s.test], account: {bearer: true}}}\nmessages:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: s.m%d, match: {method: POST, path: /m%d}, recipients: {json: $.to}}\n", i, i)
	}
	b.WriteString("limits:\n  - {name: day, on: s.*, allow: 100, per: day}\n  - {name: month, on: s.*, allow: 1500, per: month}\n  - {name: pair, on: s.*, allow: 2, per: 7d, by: recipient}\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {name: l%d, on: s.m%d, allow: 10, per: hour}\n", i, i)
	}
	return b.String()
}

func BenchmarkClaims(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			s := mustLoad(b, manyLimits(n))
			d := sending(s, fmt.Sprintf("s.m%d", n/2), "r1")
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if len(s.Claims(d, "s~1", now)) != 4 {
					b.Fatal("not four claims")
				}
			}
		})
	}
}

func BenchmarkWho(b *testing.B) {
	s := mustLoad(b, wired+accountsOf)
	s.o.Hash = func(string, string) string { return "hash" }
	ids := []identity{{"acme.token", "x"}, {"acme.box", "a-1"}}
	b.ReportAllocs()
	for b.Loop() {
		if account, _, _, _ := s.who(ids, "anna", true); account != "anna" {
			b.Fatal(account)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			text := manyLimits(n)
			for b.Loop() {
				mustLoad(b, text)
			}
		})
	}
}
