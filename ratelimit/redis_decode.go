package ratelimit

// What the script answers, as a Decision.

import (
	"fmt"
	"slices"
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
	s    string
	bad  bool
	more bool // what was read last is followed by another of the same
}

func (n *numbers) next() int64 {
	i := 0
	for i < len(n.s) && n.s[i] != ',' && n.s[i] != ';' {
		i++
	}
	v, err := strconv.ParseInt(n.s[:i], 10, 64)
	n.bad = n.bad || err != nil
	n.more = i < len(n.s) && n.s[i] == ','
	n.s = n.s[min(i+1, len(n.s)):]
	return v
}

// readDecision reads a decision about some counters. The claims, where there
// are any, are those that asked, one for each counter.
func readDecision(text string, fields []string, claims [][]*Claim) (d Decision, err error) {
	parts := strings.Split(text, "|")
	if len(parts) != 5 {
		return d, fmt.Errorf("read the script's decision: %.40q", text)
	}
	n := numbers{s: parts[0]}
	d = Decision{Verdict: Verdict(n.next()), Now: n.next(), At: n.next()}
	decider := n.next()
	d.Fits, d.Key, d.Why, d.Again = n.next(), unescape(parts[2]), unescape(parts[3]), parts[4] == "1"
	u := numbers{s: parts[1]}
	if u.s != "" || d.Verdict < Gone {
		d.Uses = make([]Use, len(fields))
	}
	for i := range d.Uses {
		use := &d.Uses[i]
		if claims != nil {
			use.Limit, use.Key, use.Allow = claims[i][0].Limit, claims[i][0].Key, claims[i][0].Allow
		} else {
			use.Limit, use.Key = ofField(fields[i])
		}
		use.Used, use.Resets = u.next(), u.next()
		flags := u.next()
		use.Short, use.Warn, use.Shadow = flags&1 != 0, flags&2 != 0, flags&4 != 0
		if u.more {
			use.Allow = u.next()
		}
	}
	switch {
	case n.bad || u.bad || decider > int64(len(d.Uses)):
		return d, fmt.Errorf("read the script's decision: %.40q", text)
	case decider > 0:
		if d.Limit = d.Uses[decider-1].Limit; d.Key == "" {
			d.Key = d.Uses[decider-1].Key
		}
	case decider < 0:
		d.Limit = PausedLimit
	}
	return d, nil
}

// known reads a decision with the fields that it is about. The allowances are
// those of who asks now.
func known(body string, g *grouped) (Decision, string, error) {
	text, rest, _ := strings.Cut(body, "\n")
	list, rest, _ := strings.Cut(rest, "\n")
	var fields []string
	if _, shown, ok := strings.Cut(list, "\f"); ok {
		list = shown // as they were asked for
	}
	if list != "" {
		fields = strings.Split(list, "\t")
	}
	d, err := readDecision(text, fields, nil)
	if err != nil || g == nil {
		return d, rest, err
	}
	for i := range d.Uses {
		if d.Uses[i].Allow != 0 {
			continue
		}
		_, f, ok := strings.Cut(fields[i], "\v")
		if !ok {
			f = fields[i]
		}
		if j := slices.Index(g.fields, f); j >= 0 {
			d.Uses[i].Allow = g.claims[j][0].Allow
		}
	}
	return d, rest, nil
}

// readHold reads until, ramp, name, why.
func readHold(text string) (h Hold, err error) {
	parts := strings.Split(text, ",")
	if len(parts) != 4 {
		return h, fmt.Errorf("read the script's hold: %.40q", text)
	}
	n := numbers{s: text}
	h = Hold{Until: n.next(), Ramp: n.next(), Name: unescape(parts[2]), Why: unescape(parts[3])}
	return h, nil
}

func readHolds(text string) (list []Hold, err error) {
	if text == "" {
		return nil, nil
	}
	for _, one := range strings.Split(text, ";") {
		h, err := readHold(one)
		if err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, nil
}
