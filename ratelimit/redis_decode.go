package ratelimit

// What the script answers, as a Decision.

import (
	"fmt"
	"strconv"
	"strings"
)

// A scriptReply is an answer: what it is, the account's now, how far the
// server's clock lies behind that, and the rest.
type scriptReply struct {
	what     byte
	now, lag int64
	body     string
}

func readReply(text string) (r scriptReply, err error) {
	head, body, _ := strings.Cut(text, "\n")
	parts := strings.Split(head, ",")
	if len(parts) != 3 || len(parts[0]) != 1 {
		return r, fmt.Errorf("read the script's answer: it begins with %.20q", head)
	}
	r.what, r.body = parts[0][0], body
	r.now, err = strconv.ParseInt(parts[1], 10, 64)
	if err == nil {
		r.lag, err = strconv.ParseInt(parts[2], 10, 64)
	}
	return r, err
}

// A numbers reads whole numbers between separators.
type numbers struct {
	s   string
	bad bool
}

func (n *numbers) next() int64 {
	i := 0
	for i < len(n.s) && n.s[i] != ',' && n.s[i] != ';' {
		i++
	}
	v, err := strconv.ParseInt(n.s[:i], 10, 64)
	n.bad = n.bad || err != nil
	n.s = n.s[min(i+1, len(n.s)):]
	return v
}

// readDecision reads a decision about some counters. The claims, where there
// are any, are those that asked, one for each counter.
func readDecision(text string, fields []string, claims [][]*Claim) (d Decision, err error) {
	parts := strings.SplitN(text, "|", 3)
	if len(parts) != 3 {
		return d, fmt.Errorf("read the script's decision: %.40q", text)
	}
	n := numbers{s: parts[0]}
	d = Decision{Verdict: Verdict(n.next()), Now: n.next(), At: n.next()}
	decider := n.next()
	d.Fits, d.Why = n.next(), parts[2]
	u := numbers{s: parts[1]}
	d.Uses = make([]Use, len(fields))
	for i, f := range fields {
		use := &d.Uses[i]
		if claims != nil {
			use.Limit, use.Key, use.Allow = claims[i][0].Limit, claims[i][0].Key, claims[i][0].Allow
		} else {
			use.Limit, use.Key = ofField(f)
		}
		use.Used, use.Resets = u.next(), u.next()
		flags := u.next()
		use.Short, use.Warn, use.Shadow = flags&1 != 0, flags&2 != 0, flags&4 != 0
	}
	switch {
	case n.bad || u.bad || decider > int64(len(fields)):
		return d, fmt.Errorf("read the script's decision: %.40q", text)
	case decider > 0:
		d.Limit, d.Key = d.Uses[decider-1].Limit, d.Uses[decider-1].Key
	case decider < 0:
		d.Limit = PausedLimit
	}
	return d, nil
}

// known reads the decision of a reservation that the script has kept: the
// decision and its fields. The allowances are those of who asks now.
func known(body string, g *grouped) (Decision, error) {
	text, list, _ := strings.Cut(body, "\n")
	var fields []string
	if list != "" {
		fields = strings.Split(list, "\t")
	}
	d, err := readDecision(text, fields, nil)
	if err != nil || g == nil {
		return d, err
	}
	for i, f := range fields {
		for j, mine := range g.fields {
			if f == mine {
				d.Uses[i].Allow = g.claims[j][0].Allow
			}
		}
	}
	return d, nil
}
