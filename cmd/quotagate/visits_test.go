package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/rules"
)

func someVisits(t *testing.T, byUser bool) *visits {
	t.Helper()
	set, err := rules.Load([]string{"starter/quotagate.yaml"}, rules.Options{Hash: newHashKey([]byte("visits")).sum})
	if err != nil {
		t.Fatal(err)
	}
	return newVisits(byUser, func() *rules.Set { return set }, func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) })
}

func pass(addr, user, host string) proxy.Visit {
	return proxy.Visit{Client: &proxy.Client{Addr: addr, User: user}, Host: host, Status: 200}
}

// TestAVisitorSeesHisOwnRequestsAlone: by the user that the proxy asked for, and
// where it asks for none by the address.
func TestAVisitorSeesHisOwnRequestsAlone(t *testing.T) {
	for _, c := range []struct {
		byUser               bool
		addr, user           string // who made a request
		otherAddr, otherUser string // who looks
		sees                 bool
	}{
		{false, "10.0.0.1:1000", "", "10.0.0.1:2000", "", true},
		{false, "10.0.0.1:1000", "anna", "10.0.0.1:2000", "", true}, // the name is only a claim
		{false, "10.0.0.1:1000", "anna", "10.0.0.2:2000", "anna", false},
		{false, "127.0.0.1:1000", "", "[::1]:2000", "", true},
		{false, "[::ffff:10.0.0.1]:1000", "", "10.0.0.1:2000", "", true},
		{false, "[2001:db8::1]:1000", "", "[2001:db8::2]:2000", "", false},
		{true, "10.0.0.1:1000", "anna", "10.0.0.2:2000", "anna", true},
		{true, "10.0.0.1:1000", "anna", "10.0.0.1:2000", "bert", false},
	} {
		v := someVisits(t, c.byUser)
		v.passed(pass(c.addr, c.user, "slack.com"))
		v.message(&proxy.Record{ID: "1", Host: "slack.com", Client: c.addr, ProxyUser: c.user, Decision: proxy.DecisionForward, Messages: make([]proxy.RecordMessage, 1)})
		if got := v.shown(v.visitor(c.otherAddr, c.otherUser)).First != nil; got != c.sees {
			t.Errorf("%+v: seen is %t", c, got)
		}
	}
}

// TestTheFirstRequestStays, and is told anew when more is known of it; later
// ones are kept while somebody looks.
func TestTheFirstRequestStays(t *testing.T) {
	v := someVisits(t, false)
	who := v.visitor("127.0.0.1:1", "")
	record := func(id, decision string) {
		v.message(&proxy.Record{ID: id, Host: "slack.com", Service: "slack", Client: "127.0.0.1:1", Decision: decision, Limit: "space-out", Status: 200,
			Messages: []proxy.RecordMessage{{Kind: "message"}}})
	}
	record("1", proxy.DecisionHold)
	if got := v.shown(who); got.First == nil || got.First.Text != "a message (slack.message), held by space-out" {
		t.Errorf("held: %+v", got.First)
	}
	record("2", proxy.DecisionForward)
	v.passed(pass("127.0.0.1:1", "", "slack.com"))
	if got := v.shown(who); len(got.Latest) != 0 {
		t.Errorf("nobody looks, and kept are %+v", got.Latest)
	}
	more, leave, ok := v.follow(who)
	if !ok {
		t.Fatal("nobody follows, and there is no room")
	}
	record("1", proxy.DecisionForward)
	<-more
	for n := range maxLatest + 2 {
		v.passed(pass("127.0.0.1:1", "", fmt.Sprintf("s%d.slack.com", n)))
	}
	got := v.shown(who)
	if got.First == nil || !strings.HasPrefix(got.First.Text, "a message (slack.message), let through; the answer was 200") {
		t.Errorf("the first is %+v", got.First)
	}
	if len(got.Latest) != maxLatest || got.Latest[0].Host != fmt.Sprintf("s%d.slack.com", maxLatest+1) ||
		got.Latest[0].Text != "slack: no message, so it went straight on; the answer was 200" {
		t.Errorf("the latest are %+v", got.Latest)
	}
	v.passed(proxy.Visit{Client: &proxy.Client{Addr: "127.0.0.1:1"}, Host: "slack.com"})
	if got := v.shown(who); got.Untrusted == nil {
		t.Error("the client that did not trust is not shown")
	}
	leave()
	v.passed(pass("127.0.0.1:1", "", "slack.com"))
	if got := v.shown(who); got.Untrusted != nil || len(got.Latest) != 0 {
		t.Errorf("after the page was closed, and a client trusted: %+v", got)
	}
}

// TestVisitsStayWithinBounds: neither strangers nor open pages take more memory.
func TestVisitsStayWithinBounds(t *testing.T) {
	v := someVisits(t, false)
	var ends []func()
	for n := range maxFollowers + 1 {
		_, leave, ok := v.follow(v.visitor(fmt.Sprintf("10.1.0.%d:1", n), ""))
		if ok != (n < maxFollowers) {
			t.Errorf("page %d is followed: %t", n+1, ok)
		}
		if ok {
			ends = append(ends, leave)
		}
	}
	for n := range 2 * maxVisitors {
		v.passed(pass(fmt.Sprintf("10.2.%d.%d:1", n/256, n%256), "", "slack.com"))
	}
	if len(v.of) > maxVisitors {
		t.Errorf("%d visitors are known, want %d at most", len(v.of), maxVisitors)
	}
	v.passed(pass("10.1.0.0:1", "", "slack.com"))
	if v.shown(v.visitor("10.1.0.0:2", "")).First == nil {
		t.Error("a page that is open lost its place")
	}
	for _, end := range ends {
		end()
	}
	if v.followers != 0 {
		t.Errorf("%d still follow", v.followers)
	}
}
