package rules

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"quotagate/ratelimit"
)

// What each way of counting asks of the ledger.

// claimLine writes all of a claim that is not zero, without its times.
func claimLine(c *ratelimit.Claim) string {
	var b strings.Builder
	say := func(name string, n int64) {
		if n != 0 {
			fmt.Fprintf(&b, " %s=%d", name, n)
		}
	}
	words := [...]string{"-", "calendar", "rolling", "lifetime", "pace", "credits", "unanswered", "settling", "similar", "ratio", "concurrent", "hours"}
	fmt.Fprintf(&b, "%s %s", c.Limit, words[c.Measure])
	for _, one := range []struct{ name, value string }{{"scope", c.Scope}, {"key", c.Key}, {"to", c.Recipient}} {
		if one.value != "" {
			fmt.Fprintf(&b, " %s=%s", one.name, one.value)
		}
	}
	say("item", int64(c.Item))
	say("cost", c.Cost)
	say("allow", c.Allow)
	if c.Distinct {
		b.WriteString(" distinct")
	}
	say("from", c.Ramp.From)
	say("over", c.Ramp.Over)
	say("returned", c.Returned)
	say("rate", c.Rate)
	say("sample", c.Sample)
	say("good", int64(c.Good))
	say("gap", c.Gap)
	say("span", c.Span)
	say("open", int64(len(c.Open)))
	say("pots", int64(len(c.Pots)))
	say("warn", c.WarnAt)
	if c.Likeness != nil {
		b.WriteString(" likeness")
	}
	if c.Shadow {
		b.WriteString(" shadow")
	}
	return b.String()
}

func claimLines(claims []ratelimit.Claim) string {
	lines := make([]string, len(claims))
	for i := range claims {
		lines[i] = claimLine(&claims[i])
	}
	return strings.Join(lines, "\n")
}

func TestEveryMeasureClaims(t *testing.T) {
	const days = 86400000
	for _, c := range []struct {
		limit string
		send  *Sending // nil is one message to r1 and r2
		want  string
	}{
		{"scope: service, allow: 5, per: day", nil, "x calendar scope=service:acme cost=1 allow=5"},
		{"scope: account, by: account, allow: 5, per: day", nil, "x calendar cost=1 allow=5"},
		{"scope: service, allow: 5, per: 24h, by: recipient", nil,
			"x rolling scope=service:acme key=r1 cost=1 allow=5 span=86400000\nx rolling scope=service:acme key=r2 cost=1 allow=5 span=86400000"},
		{"distinct: recipient, allow: 250, per: 24h", nil,
			"x rolling to=r1 cost=1 allow=250 distinct span=86400000\nx rolling to=r2 cost=1 allow=250 distinct span=86400000"},
		{"distinct: recipient, allow: 250, per: lifetime, scope: service", to(),
			"x lifetime scope=service:acme to=unknown cost=1 allow=250 distinct"},
		{"allow: 100, per: week, ramp: {from: 20, over: 4w}, warn_at: 80%", nil, fmt.Sprintf("x calendar cost=1 allow=100 from=20 over=%d warn=80", 28*days)},
		{"allow: 100, per: day, ramp: {from: 20, over: 4w}, scale: 0.1", nil, fmt.Sprintf("x calendar cost=1 allow=10 from=10 over=%d", 28*days)},
		{"allow: 3, per: day, returned_on_reply: 90d", nil, fmt.Sprintf("x calendar to=r1 cost=1 allow=3 returned=%d", 90*days)},
		{"allow: 3, per: day, returned_on_reply: 90d, count: recipients", nil,
			fmt.Sprintf("x calendar to=r1 cost=1 allow=3 returned=%[1]d\nx calendar to=r2 cost=1 allow=3 returned=%[1]d", 90*days)},
		{"allow: 3, per: lifetime, returned_on_reply: 1d, by: recipient", nil,
			fmt.Sprintf("x lifetime key=r1 to=r1 cost=1 allow=3 returned=%[1]d\nx lifetime key=r2 to=r2 cost=1 allow=3 returned=%[1]d", days)},
		{"unanswered: 2, gap: 7d, by: recipient", nil,
			fmt.Sprintf("x unanswered key=r1 cost=1 allow=2 gap=%[1]d\nx unanswered key=r2 cost=1 allow=2 gap=%[1]d", 7*days)},
		{"unanswered: {free: 1, gold: 2}, by: recipient", to("r1"), "x unanswered key=r1 cost=1 allow=1"},
		{"after_connecting: {allow: 1, until: reply, or: 14d}, by: recipient", to("r1"), fmt.Sprintf("x settling key=r1 cost=1 allow=1 span=%d", 14*days)},
		{"similar: 0.8, recipients: 3, gap: 14d", nil,
			fmt.Sprintf("x similar to=r1 cost=1 allow=3 rate=800000 gap=%[1]d likeness\nx similar to=r2 cost=1 allow=3 rate=800000 gap=%[1]d likeness", 14*days)},
		{"reply_rate: 0.1, per: 30d, sample: 50, mode: shadow", to("r1"), fmt.Sprintf("x ratio to=r1 cost=1 rate=100000 sample=50 good=1 span=%d shadow", 30*days)},
		{"degree_share: 0.29, per: 7d, sample: 20, action: warn", to("r1"), fmt.Sprintf("x ratio to=r1 cost=1 rate=290000 sample=20 good=2 span=%d shadow", 7*days)},
		{"concurrent: 4, by: account", nil, "x concurrent cost=1 allow=4"},
		{"concurrent: 2, scope: service", twice(), "x concurrent scope=service:acme cost=1 allow=2"},
		{"hours: {days: mon-fri, from: '09:00', to: '18:00'}", twice(), "x hours cost=1 open=4"},
		{"credits: mail, returned_on_reply: 90d", nil, fmt.Sprintf("x credits to=r1 cost=1 returned=%d pots=4", 90*days)},
		{"credits: mail, count: recipients", nil, "x credits cost=2 pots=4"},
		{"allow: 5, per: day", add(to("r1"), to("r2")), "x calendar cost=1 allow=5\nx calendar item=1 cost=1 allow=5"},
		{"rate: 5, per: second", nil, ""},
		{"content: {placeholders: reject}", nil, ""},
		{"allow: 5, per: day, plans: gold", nil, ""},
	} {
		s := mustLoad(t, wired+"credits: {mail: {accrue: 50, per: month, carry: 90d}}\nlimits: [{name: x, on: acme.message, "+c.limit+"}]")
		d := c.send
		if d == nil {
			d = to("r1", "r2")
		}
		for i := range d.Messages {
			d.Messages[i].Likeness = &ratelimit.Likeness{Exact: "e"}
		}
		if got := claimLines(s.Claims(d, "y", mustTime(t, "2026-11-21T12:00:00Z"))); got != c.want {
			t.Errorf("%s: claims\n%s\nwant\n%s", c.limit, got, c.want)
		}
	}
}

func to(recipients ...string) *Sending {
	return &Sending{Service: "acme", Class: automated, Messages: []Message{{Service: "acme", Kind: "message", Recipients: recipients, Cost: 1, Segments: 1}}}
}

func add(d *Sending, more ...*Sending) *Sending {
	for _, other := range more {
		d.Messages = append(d.Messages, other.Messages...)
	}
	return d
}

func twice() *Sending { return add(to("r1"), to("r2")) }

// A reply gives back what one recipient's part was; the parts are the whole.
func TestWhatAReplyGivesBackAddsUp(t *testing.T) {
	s := mustLoad(t, wired+"limits: [{name: x, on: acme.message, allow: 9, per: day, returned_on_reply: 9d}]")
	for cost := int64(1); cost < 8; cost++ {
		for n := 1; n < 5; n++ {
			d := to([]string{"a", "b", "c", "d"}[:n]...)
			d.Messages[0].Cost = cost
			sum := int64(0)
			for _, cl := range s.Claims(d, "y", time.Unix(0, 0)) {
				sum += cl.Cost
			}
			if sum != cost {
				t.Errorf("a message of cost %d to %d takes %d", cost, n, sum)
			}
		}
	}
}

func TestAMessageWithoutATextIsLikeNoOther(t *testing.T) {
	s := mustLoad(t, wired+"limits: [{name: x, on: acme.message, similar: 0.8, recipients: 3, gap: 14d}]")
	if claims := s.Claims(to("r1"), "y", time.Unix(0, 0)); len(claims) > 0 {
		t.Error(claimLines(claims))
	}
}

func TestTheTextIsReadForLikenessOnly(t *testing.T) {
	const similar = "limits: [{name: x, on: acme.message, similar: 0.8, recipients: 3, gap: 14d}]"
	const day = "limits: [{name: x, on: acme.message, allow: 1, per: day}]"
	for limits, want := range map[string]bool{similar: true, day: false} {
		d := readOne(t, mustLoad(t, wired+limits), "Hello there, how have you been since we met?")
		if got := d.Messages[0].Likeness != nil; got != want {
			t.Errorf("%s: a likeness is %v", limits, got)
		}
	}
}

// readOne is a call of acme.message with a text.
func readOne(t *testing.T, s *Set, text string) *Sending {
	t.Helper()
	sight := s.Look(&Call{
		Method: "POST", Scheme: "https", Host: "api.acme.test", Path: "/send",
		Header: map[string][]string{"Content-Type": {"application/json"}, "Authorization": {"Bearer t"}},
	})
	d, err := sight.Read(fmt.Appendf(nil, `{"to":["r1"],"text":%q}`, text))
	if err != nil || d == nil {
		t.Fatal(d, err)
	}
	return d
}

func TestRequestsOfAService(t *testing.T) {
	s := mustLoad(t, wired+`limits:
  - {name: calls, on: acme.request, allow: 50, per: minute, wait: 1s}
  - {name: messages, on: acme.*, allow: 5, per: day}
  - {name: all, on: "*", allow: 5, per: day}
  - {name: shared, on: [acme.request, other.message], concurrent: 4, scope: service}
  - {name: others, on: other.request, allow: 1, per: day}
`)
	request := Message{Service: "acme", Kind: "request", Cost: 1, Segments: 1}
	call := &Sending{Service: "acme", Messages: []Message{request}}
	both := to("r1")
	both.Messages = append(both.Messages, request)
	for _, c := range []struct {
		d    *Sending
		want string
	}{
		{call, "calls calendar cost=1 allow=50\nshared concurrent scope=service:acme cost=1 allow=4"},
		{to("r1"), "messages calendar cost=1 allow=5\nall calendar cost=1 allow=5"},
		{both, "messages calendar cost=1 allow=5\nall calendar cost=1 allow=5\ncalls calendar item=1 cost=1 allow=50\nshared concurrent scope=service:acme item=1 cost=1 allow=4"},
	} {
		if got := claimLines(s.Claims(c.d, "y", time.Unix(0, 0))); got != c.want {
			t.Errorf("claims\n%s\nwant\n%s", got, c.want)
		}
	}
}

func TestAnAccountSeesAllThatBindsItAsAWhole(t *testing.T) {
	s := mustLoad(t, wired+`credits: {mail: {accrue: 5, per: month}}
limits:
  - {name: shared, on: "*", allow: 5, per: day, scope: service}
  - {name: calls, on: acme.request, allow: 50, per: hour, when: 'kind == "request" && recipients == 0'}
  - {name: reach, on: acme.message, distinct: recipient, allow: 5, per: 7d}
  - {name: mail, on: acme.message, credits: mail}
  - {name: answered, on: acme.message, reply_rate: 0.1, per: 30d, sample: 50}
  - {name: at-once, on: acme.message, concurrent: 4}
  - {name: office, on: acme.message, hours: {from: "09:00", to: "18:00"}}
  - {name: each, on: acme.message, unanswered: 2, by: recipient}
  - {name: settle, on: acme.message, after_connecting: {allow: 1, or: 14d}, by: recipient}
  - {name: alike, on: acme.message, similar: 0.8, recipients: 3, gap: 14d}
  - {name: tier, on: acme.request, rate: 5, per: minute}
  - {name: words, on: acme.message, content: {placeholders: warn}}
`)
	want := `shared calendar scope=service:acme allow=5
shared calendar scope=service:other allow=5
calls calendar allow=50
reach rolling allow=5 distinct span=604800000
mail credits pots=2
answered ratio rate=100000 sample=50 good=1 span=2592000000
at-once concurrent allow=4
office hours open=4`
	if got := claimLines(s.AccountClaims("y", mustTime(t, "2026-11-21T12:00:00Z"))); got != want {
		t.Errorf("claims\n%s\nwant\n%s", got, want)
	}
}

func TestRates(t *testing.T) {
	s := mustLoad(t, wired+`limits:
  - {name: tier, on: acme.request, rate: 20, per: minute, wait: 2s}
  - {name: all, on: acme.message, rate: 50, per: second, burst: 5, scope: service, mode: shadow}
  - {name: slow, on: acme.message, rate: 3, per: 10s, action: warn}
  - {name: gold, on: acme.message, rate: {gold: 3}, per: day}
  - {name: day, on: acme.message, allow: 3, per: day}
`)
	d := twice()
	d.Messages = append(d.Messages, Message{Service: "acme", Kind: "request"})
	got := s.Rates(d, "y")
	want := []ratelimit.Rate{
		{Limit: "all", Key: "all:" + testHash("rate.service", "acme"), N: 50, Per: 1000, Burst: 5, Wait: 4000, Shadow: true},
		{Limit: "slow", Key: "slow:" + testHash("rate.account", "y"), N: 3, Per: 10000, Wait: 4000, Shadow: true},
		{Limit: "tier", Key: "tier:" + testHash("rate.account", "y"), N: 20, Per: 60000, Wait: 2000},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rates are\n%+v\nwant\n%+v", got, want)
	}
	if s.Warns("all") || !s.Warns("slow") || s.Warns("day") {
		t.Error("slow is the one that only warns")
	}
	s = mustLoad(t, wired+"limits: [{name: slow, on: acme.message, rate: 3, per: 10s, action: warn, mode: shadow}]")
	if s.Warns("slow") || s.Limits()[0].Mode != "shadow" {
		t.Error("a shadow only counts")
	}
}

func TestOnStoreErrorIsTheStrictest(t *testing.T) {
	for _, c := range []struct{ one, two, want string }{
		{"local", "local", "local"}, {"local", "forward", "local"}, {"forward", "forward", "forward"},
		{"reject", "local", "reject"}, {"local", "reject", "reject"},
	} {
		s := mustLoad(t, wired+"limits: [{name: a, on: acme.*, allow: 1, per: day, on_store_error: "+c.one+"}, {name: b, on: acme.*, pace: 5s, on_store_error: "+c.two+
			"}, {name: c, on: acme.*, allow: 1, per: day, action: warn}, {name: d, on: acme.message, content: {placeholders: reject}}]")
		if got := s.OnStoreError(to("r1"), "y"); got != c.want {
			t.Errorf("%s and %s make %s, not %s", c.one, c.two, got, c.want)
		}
	}
	s := mustLoad(t, wired+"defaults: {on_store_error: local}\nlimits: [{name: a, on: acme.*, allow: 1, per: day}]")
	if got := s.OnStoreError(to("r1"), "y"); got != "local" {
		t.Error(got)
	}
}

func TestOverridesOfTheOtherMeasures(t *testing.T) {
	s := mustLoad(t, "version: 1\nuse: [r.yaml]\noverride:"+`
  - {limit: day, ramp: {from: 2, over: 1d}, scale: 0.5, action: warn}
  - {limit: pair, unanswered: {gold: 3}, gap: 2d}
  - {limit: alike, similar: 0.9, recipients: 5, gap: 3d}
  - {limit: share, reply_rate: 0.2, sample: 7}
  - {limit: tier, rate: 7, burst: 2}
  - {limit: office, hours: [{days: sat, from: "10:00", to: "11:00"}]}
  - {limit: settle, after_connecting: {allow: 2, or: 1d}}
  - {limit: open, concurrent: 9}
`, "r.yaml", wired+`limits:
  - {name: day, on: acme.message, allow: 10, per: day}
  - {name: pair, on: acme.message, unanswered: {free: 1, gold: 2}, by: recipient}
  - {name: alike, on: acme.message, similar: 0.8, recipients: 3, gap: 14d}
  - {name: share, on: acme.message, reply_rate: 0.1, per: 1d, sample: 50}
  - {name: tier, on: acme.message, rate: 20, per: minute}
  - {name: office, on: acme.message, hours: {from: "09:00", to: "18:00"}}
  - {name: settle, on: acme.message, after_connecting: {allow: 1, or: 14d}, by: recipient}
  - {name: open, on: acme.message, concurrent: 1}
`)
	d := to("r1")
	d.Messages[0].Likeness = &ratelimit.Likeness{}
	claims := s.Claims(d, "y", mustTime(t, "2026-11-21T12:00:00Z"))
	want := `day calendar cost=1 allow=5 from=2 over=86400000 shadow
pair unanswered key=r1 cost=1 allow=1 gap=172800000
alike similar to=r1 cost=1 allow=5 rate=900000 gap=259200000 likeness
share ratio to=r1 cost=1 rate=200000 sample=7 good=1 span=86400000
office hours cost=1 open=4
settling`
	want = strings.Replace(want, "settling", "settle settling key=r1 cost=1 allow=2 span=86400000\nopen concurrent cost=1 allow=9", 1)
	if got := claimLines(claims); got != want {
		t.Errorf("claims\n%s\nwant\n%s", got, want)
	}
	for _, cl := range claims {
		if cl.Measure == ratelimit.Hours && (cl.Open[0].End-cl.Open[0].Start != 3600_000 || time.UnixMilli(cl.Open[0].Start).UTC().Weekday() != time.Saturday) {
			t.Error(cl.Open)
		}
	}
	if r := s.Rates(d, "y"); len(r) != 1 || r[0].N != 7 || r[0].Burst != 2 || r[0].Per != 60000 {
		t.Error(r)
	}
}

// everything has every key of limits, but for use:.
const everything = `version: 1
defaults: {timezone: UTC, plan: free, wait: 4s, unknown_account: reject, on_store_error: reject, mode: enforce}
accounts:
  anna:
    identity: [{linkedin.mailbox: "urn:li:fsd_profile:ACoAAB"}, {proxy_user: anna}]
    plan: sales-navigator
    timezone: Europe/Berlin
    class: {browser-anna: manual}
    add_ons: [{limit: linkedin.included, extra: 100, until: 2026-12-31}]
    facts: {connections: 1200}
limits:
  - name: linkedin.day
    on: [linkedin.message, linkedin.open_profile]
    plans: [free]
    allow: 100
    per: day
    warn_at: 80%
  - name: linkedin.included
    on: linkedin.message
    allow: {free: 15, premium-business: 30, sales-navigator: 50, recruiter-lite: 50, recruiter: 150}
    per: month
  - {name: linkedin.invites,   on: linkedin.invite, allow: 100, per: week, ramp: {from: 20, over: 4w}}
  - {name: linkedin.life,      on: linkedin.*, allow: 20000, per: lifetime}
  - {name: pair,               on: linkedin.*, allow: 2, per: 7d, by: recipient}
  - {name: bots,               on: linkedin.*, allow: 25, per: month, when: 'class == "automated"'}
  - {name: reach,              on: whatsapp.template, distinct: recipient, allow: 250, per: 24h}
  - {name: space-out,          on: linkedin.*, pace: 60s, jitter: 0.3, wait: 20s}
  - {name: follow-up,          on: linkedin.message, unanswered: 2, gap: 7d, by: recipient}
  - {name: broadcast,          on: linkedin.*, similar: 0.8, recipients: 3, gap: 14d}
  - {name: inmail,             on: linkedin.inmail, credits: inmail, returned_on_reply: 90d}
  - {name: no-phone-numbers,   on: linkedin.*, content: {forbid: ['(?i)\b(phone|mobile) number\b'], placeholders: reject}}
  - {name: office-hours,       on: linkedin.*, hours: {days: mon-fri, from: "09:00", to: "18:00"}}
  - {name: answered,           on: linkedin.*, reply_rate: 0.1, per: 30d, sample: 50, mode: shadow}
  - {name: close-contacts,     on: linkedin.*, degree_share: 0.5, per: 7d, sample: 20, action: warn}
  - {name: let-it-settle,      on: linkedin.message, after_connecting: {allow: 1, until: reply, or: 14d}, by: recipient}
  - {name: big-network,        on: linkedin.*, allow: 100, per: day, scale: 'facts.connections >= 1000 ? 0.8 : 1.0'}
  - {name: slack-tier-2,       on: slack.request, rate: 20, per: minute}
  - {name: graph-concurrency,  on: graph.request, concurrent: 4, by: account}
override:
  - {limit: linkedin.classic.month, allow: 1200}
credits:
  inmail: {accrue: {sales-navigator: 50, recruiter-lite: 30}, per: month, carry: 90d, top_up: "3 for $10"}
`

// TestEveryKeyTogether is a file as people write it, with every measure.
func TestEveryKeyTogether(t *testing.T) {
	s := mustLoad(t, everything+"use: [linkedin, linkedin/classic, slack, ./others.yaml]\n", "others.yaml", `version: 1
services:
  graph: {hosts: [graph.example], account: {bearer: true}}
  whatsapp: {hosts: [whatsapp.example], account: {bearer: true}}
messages:
  - {name: whatsapp.template, match: {path: /t}, recipients: {json: $.to}}
`)
	for _, w := range s.Warnings() {
		if !strings.HasPrefix(w.Message, "nothing tells when") && !strings.Contains(w.Message, `the plan "free" gets no credits "inmail"`) && !strings.Contains(w.Message, "has no recipients") {
			t.Errorf("warns: %s", w)
		}
	}
	d := sending(s, "linkedin.message", "r1")
	d.Messages[0].Likeness = &ratelimit.Likeness{}
	seen := map[string]bool{}
	for _, cl := range s.Claims(d, "anna", mustTime(t, "2026-11-21T12:00:00Z")) {
		seen[cl.Limit] = true
	}
	for _, limit := range strings.Fields("linkedin.included linkedin.life pair bots space-out follow-up broadcast office-hours answered close-contacts let-it-settle big-network") {
		if !seen[limit] {
			t.Errorf("%s does not bind anna", limit)
		}
	}
}
