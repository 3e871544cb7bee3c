package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"quotagate/proxy"
	"quotagate/rules"
)

// How much is kept for the set-up page. What would go beyond is not kept, or
// not followed: the page is a help and must cost nothing.
const (
	maxVisitors  = 1000 // of whom the first request is known
	maxFollowers = 100  // pages that are open, in all
	maxLatest    = 8    // requests that an open page shows
)

// visits is what the set-up page shows of requests to the hosts that the rules
// name: to each visitor his own alone, told apart by the users that the proxy
// asks for, and where it asks for none by their address. The first is kept, and
// those that come while a page is open.
type visits struct {
	byUser bool
	rules  func() *rules.Set
	now    func() time.Time

	mu        sync.RWMutex
	of        map[visitor]*seen
	followers int
}

// A visitor is who sees the same requests.
type visitor struct {
	user string
	addr netip.Addr
}

// seen is what is known of a visitor's requests.
type seen struct {
	first     visit
	latest    []visit // while someone follows
	untrusted visit   // a connection whose client refused the certificate
	followers map[chan struct{}]struct{}
}

// A visit is one request as the page shows it. It holds nothing of the request
// but its host.
type visit struct {
	ID       string    `json:"-"` // of the record, if it was a message
	Time     time.Time `json:"time"`
	Host     string    `json:"host"`
	Decision string    `json:"decision"` // as in the decision log, or pass, or untrusted
	Text     string    `json:"text"`
}

func newVisits(byUser bool, rules func() *rules.Set, now func() time.Time) *visits {
	return &visits{byUser: byUser, rules: rules, now: now, of: map[visitor]*seen{}}
}

// visitor is who has this name and this address.
func (v *visits) visitor(addr, user string) visitor {
	if v.byUser {
		return visitor{user: user}
	}
	a, err := netip.ParseAddrPort(addr)
	if err != nil {
		return visitor{user: addr}
	}
	ip := a.Addr().Unmap().WithZone("")
	if ip.IsLoopback() { // one machine, whichever of its names was used
		ip = netip.IPv6Loopback()
	}
	return visitor{addr: ip}
}

// passed takes what was no message.
func (v *visits) passed(p proxy.Visit) {
	who := v.visitor(p.Client.Addr, p.Client.User)
	if _, unseen := v.unseen(who); unseen && p.Status != 0 {
		return
	}
	one := visit{Time: v.now(), Host: p.Host, Decision: "pass"}
	service := ""
	sight := v.rules().Look(&rules.Call{Scheme: "https", Method: "GET", Host: p.Host, Path: "/"})
	if name := sight.Service(); name != "" {
		service = name + ": "
	}
	if p.Status == 0 {
		one.Decision, one.Text = "untrusted", "a client did not trust the certificate, so nothing was sent"
	} else {
		one.Text = fmt.Sprintf("%sno message, so it went straight on; the answer was %d", service, p.Status)
	}
	v.add(who, one)
}

// message takes a record.
func (v *visits) message(r *proxy.Record) {
	who := v.visitor(r.Client, r.ProxyUser)
	if s, unseen := v.unseen(who); unseen && s.first.ID != r.ID && len(s.latest) == 0 {
		return
	}
	v.add(who, visit{
		ID: r.ID, Time: r.Time, Host: r.Host, Decision: r.Decision, Text: messageWords(r),
	})
}

// messageWords say what became of a message.
func messageWords(r *proxy.Record) string {
	what, kind := "a message", r.Messages[0].Kind
	switch {
	case kind == "":
		what = "a request that could be a message"
	case len(r.Messages) > 1:
		what = count(len(r.Messages), "message")
		fallthrough
	default:
		what += " (" + r.Service + "." + strings.TrimPrefix(kind, r.Service+".") + ")"
	}
	switch r.Decision {
	case proxy.DecisionForward:
		what += fmt.Sprintf(", let through; the answer was %d", r.Status)
		if r.Held > 0 {
			what += ", after " + r.Held.Round(100*time.Millisecond).String()
		}
	case proxy.DecisionHold:
		what += ", held by " + r.Limit
	case proxy.DecisionReject:
		what += ", refused by " + r.Limit
		if !r.RetryAt.IsZero() {
			what += " until " + r.RetryAt.UTC().Format(time.RFC3339)
		}
	case proxy.DecisionCancel:
		what += ", whose client left before it was sent"
	default:
		what += ", to which no answer came"
	}
	return what
}

// unseen reports that nobody would see another request of a visitor, and what
// is known of the visitor's.
func (v *visits) unseen(who visitor) (seen, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s := v.of[who]
	if s == nil || s.first.Host == "" || s.untrusted.Host != "" || len(s.followers) > 0 {
		return seen{}, false
	}
	return *s, true
}

// add keeps one visit, in place of an earlier word on the same message.
func (v *visits) add(who visitor, one visit) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.known(who)
	if one.Decision == "untrusted" {
		s.untrusted = one
	} else {
		s.untrusted = visit{}
		same := func(old visit) bool { return one.ID != "" && old.ID == one.ID }
		if s.first.Host == "" || same(s.first) {
			s.first = one
		}
		if i := slices.IndexFunc(s.latest, same); i >= 0 {
			s.latest[i] = one
		} else if len(s.followers) > 0 {
			s.latest = append(s.latest, one)
			s.latest = s.latest[max(0, len(s.latest)-maxLatest):]
		}
	}
	for f := range s.followers {
		select {
		case f <- struct{}{}:
		default: // it will look anyway
		}
	}
}

// known is what is known of a visitor; a stranger may take another's place.
func (v *visits) known(who visitor) *seen {
	s := v.of[who]
	if s == nil {
		for other, theirs := range v.of {
			if len(v.of) < maxVisitors {
				break
			}
			if len(theirs.followers) == 0 {
				delete(v.of, other)
			}
		}
		s = &seen{followers: map[chan struct{}]struct{}{}}
		v.of[who] = s
	}
	return s
}

// A visitsShown is what a page shows: of the latest, the first is not one.
type visitsShown struct {
	First     *visit  `json:"first"`
	Latest    []visit `json:"latest"`
	Untrusted *visit  `json:"untrusted"`
}

// shown is what a visitor is shown now.
func (v *visits) shown(who visitor) visitsShown {
	v.mu.RLock()
	defer v.mu.RUnlock()
	out := visitsShown{Latest: []visit{}}
	s := v.of[who]
	if s == nil {
		return out
	}
	if first := s.first; first.Host != "" {
		out.First = &first
	}
	if untrusted := s.untrusted; untrusted.Host != "" {
		out.Untrusted = &untrusted
	}
	for _, one := range slices.Backward(s.latest) {
		if one != s.first {
			out.Latest = append(out.Latest, one)
		}
	}
	return out
}

// follow returns a channel that says when there is more to show, and a function
// that ends it; false where too many follow already.
func (v *visits) follow(who visitor) (<-chan struct{}, func(), bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.followers >= maxFollowers {
		return nil, nil, false
	}
	v.followers++
	more := make(chan struct{}, 1)
	s := v.known(who)
	s.followers[more] = struct{}{}
	return more, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.followers--
		delete(s.followers, more)
		if len(s.followers) == 0 {
			s.latest = nil
		}
	}, true
}
