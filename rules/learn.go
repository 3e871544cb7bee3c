package rules

// What is learned of an exchange: who replied, who became a connection, whose
// thread it is. What cannot be read teaches nothing, and is never an error.

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"quotagate/ratelimit"
)

// Learned is what an exchange shows about a recipient.
type Learned struct {
	// Account is the listed account that it is about, or "": then the first
	// of Identities that the ledger knows.
	Account    string
	Identities []string
	Event      ratelimit.Event // without its Account
}

const (
	// mostLearned bounds what one exchange teaches. Telegram's getUpdates
	// gives up to 100 (core.telegram.org/bots/api#getupdates, 2026-11-21).
	mostLearned = 1000
	// mostHeard bounds a body that is read for it.
	mostHeard = 1 << 20
)

// Listens reports whether something may be learned from the request's body, or
// from the response.
func (s *Sighting) Listens() (request, response bool) {
	for _, c := range s.listeners {
		request = request || c.event.readsRequest(c)
		response = response || c.event.response()
	}
	if s.showsThread() {
		return true, true
	}
	return request, response
}

// showsThread reports whether the answer may show the thread of a message.
func (s *Sighting) showsThread() bool {
	return s.set != nil && s.set.wants[meansThread] && slices.ContainsFunc(s.candidates, func(c candidate) bool {
		o := c.match.message.outcome
		return o != nil && len(o.thread) > 0
	})
}

// Learn is what the exchange shows. Bodies may be missing where Listens does
// not ask for them; one that is longer than 1 MiB is not looked at.
func (s *Sighting) Learn(requestBody []byte, status int, h http.Header, responseBody []byte) []Learned {
	if len(s.listeners) == 0 && !s.showsThread() {
		return nil
	}
	k := learning{s: s, at: map[learnedKey]int{}}
	if status < 200 || status >= 300 {
		return nil // anybody can ask with another's name and be turned away
	}
	k.answer.json, k.answer.hasJSON = hear(h, responseBody)
	k.garbled = len(requestBody) > mostHeard || tooLong(s.call.Query)
	if !k.garbled {
		var err error
		k.request, err = readBody(s.call.Header, requestBody, 0)
		k.garbled = err != nil
	}
	for _, c := range s.listeners {
		if !slices.ContainsFunc(s.listeners, c.contradicts) { // else nobody knows whose it is
			k.listen(c)
		}
	}
	if k.answer.hasJSON {
		k.threadOfAnswer(requestBody)
	}
	return k.out
}

// hear reads an answer as JSON.
func hear(h http.Header, body []byte) (any, bool) {
	if len(body) == 0 || len(body) > mostHeard {
		return nil, false
	}
	b, err := decoded(h, body, 0)
	if err == nil {
		b, err = toUTF8(b)
	}
	if err != nil {
		return nil, false
	}
	tree, err := readJSON(b)
	return tree, err == nil
}

type learnedKey struct {
	account, recipient, is string
	kind                   ratelimit.EventKind
}

// learning is the work on one exchange.
type learning struct {
	s               *Sighting
	request, answer content
	garbled         bool // the request cannot be read
	out             []Learned
	at              map[learnedKey]int
	// whose is what the latest identities came to.
	ids   []identity
	whose Learned
	known bool
}

func (k *learning) listen(c candidate) {
	r := c.event
	if k.garbled && r.readsRequest(c) {
		return
	}
	in := input{call: k.s.call, body: &k.request, pattern: c.pattern, path: c.path}
	if !c.holds(&in) {
		return
	}
	body := k.request
	if r.response() {
		if !k.answer.hasJSON {
			return
		}
		body.json, body.hasJSON = k.answer.json, true
	}
	in = input{call: k.s.call, body: &body, pattern: c.pattern, path: c.path}
	if r.each == nil {
		k.item(r, &in, body.json)
		return
	}
	if !body.hasJSON {
		return
	}
	items := r.each.get(body.json)
	in.batch = true
	for _, item := range items[:min(len(items), mostLearned)] {
		in.item = item
		k.item(r, &in, item)
	}
}

// item learns from one item, or from the whole.
func (k *learning) item(r *eventRule, in *input, tree any) {
	for i := range r.where {
		if !r.where[i].holdsJSON(tree, in.batch || in.body.hasJSON) {
			return
		}
	}
	who, _ := firstPresent(r.recipient, in, false)
	when, ok := instantOf(r.at, in)
	if len(who) == 0 || !ok {
		return
	}
	ids, err := identitiesOf(r.account, in)
	if err != nil || !k.owner(ids) {
		return
	}
	if len(r.at) == 0 && r.response() && r.def.Means != meansThread && !k.news(r, tree) {
		return
	}
	e := ratelimit.Event{At: when}
	switch r.def.Means {
	case meansReply:
		e.Kind = ratelimit.Replied
	case meansConnect:
		e.Kind = ratelimit.Connected
	default:
		thread, _ := firstPresent(r.thread, in, false)
		if len(who) == 1 && len(thread) == 1 && thread[0] != who[0] {
			k.add(r.service, sameAs(k.hash(r.service, thread[0]), k.hash(r.service, who[0])))
		}
		return
	}
	for _, one := range who {
		e.Recipient = k.hash(r.service, one)
		k.add(r.service, e)
	}
}

func sameAs(thread, is string) ratelimit.Event {
	return ratelimit.Event{Kind: ratelimit.SameAs, Recipient: thread, Is: is}
}

// hash names a recipient as messages name theirs, so that both meet.
func (k *learning) hash(service, recipient string) string {
	return k.s.set.o.Hash(service+".recipient", recipient)
}

// owner finds out whose exchange it is; false where it is nobody's.
func (k *learning) owner(ids []identity) bool {
	if k.ids != nil && slices.Equal(ids, k.ids) {
		return k.known
	}
	account, _, names, err := k.s.set.who(ids, k.s.call.ProxyUser, k.s.call.Authenticated)
	k.ids, k.known, k.whose = append([]identity{}, ids...), err == nil, Learned{Account: account, Identities: names}
	return k.known
}

// add notes an event of the owner, each once, at its latest time.
func (k *learning) add(_ string, e ratelimit.Event) {
	key := learnedKey{strings.Join(append([]string{k.whose.Account}, k.whose.Identities...), "\n"), e.Recipient, e.Is, e.Kind}
	if i, ok := k.at[key]; ok {
		if have := &k.out[i].Event; have.At != 0 && (e.At == 0 || e.At > have.At) {
			have.At = e.At
		}
		return
	}
	if len(k.out) >= mostLearned {
		return
	}
	k.at[key] = len(k.out)
	l := k.whose
	l.Event = e
	k.out = append(k.out, l)
}

// threadOfAnswer learns whose thread it is that a message was answered with.
func (k *learning) threadOfAnswer(requestBody []byte) {
	if !k.s.showsThread() {
		return
	}
	d, err := k.s.Read(requestBody)
	if err != nil || d == nil || len(d.Messages) != 1 {
		return
	}
	m := &d.Messages[0]
	if m.outcome == nil || m.inThread || len(m.Recipients) != 1 {
		return
	}
	in := input{call: k.s.call, body: &k.answer, item: k.answer.json, batch: true}
	thread, _ := firstPresent(m.outcome.thread, &in, false)
	if len(thread) != 1 {
		return
	}
	name := k.hash(m.Service, thread[0])
	if name == m.Recipients[0] {
		return
	}
	k.whose, k.ids = Learned{Account: d.Account, Identities: d.Identities}, nil
	k.add(m.Service, sameAs(name, m.Recipients[0]))
}

// Threads are the threads whose recipients the request itself shows: events
// without an account.
func (s *Sending) Threads() []ratelimit.Event {
	var out []ratelimit.Event
	for i := range s.Messages {
		m := &s.Messages[i]
		if m.thread == "" || m.thread == m.Recipients[0] {
			continue
		}
		if e := sameAs(m.thread, m.Recipients[0]); !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// instantOf is when something happened (ms): 0 where the rules do not say, and
// false where they do and it is not there or cannot be read. What has lost its
// time has not happened now: it may be years old, and is read every day.
func instantOf(sources []valueSource, in *input) (int64, bool) {
	if len(sources) == 0 {
		return 0, true
	}
	found, _ := firstPresent(sources, in, false)
	if len(found) == 0 {
		return 0, false
	}
	if t, err := time.Parse(time.RFC3339Nano, found[0]); err == nil {
		return max(t.UnixMilli(), 1), true
	}
	n, err := strconv.ParseFloat(found[0], 64)
	// Seconds have ten digits until the year 2286, milliseconds thirteen.
	switch {
	case err != nil || !(n >= 1) || n >= 1e17:
		return 0, false
	case n < 1e11:
		n *= 1000
	case n >= 1e14:
		n /= 1000
	}
	return int64(n), true
}
