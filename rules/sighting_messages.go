package rules

// Making messages of a request that matched: who sends, to whom, under which
// id, at what cost.

import (
	"slices"
	"strings"
)

const (
	// mostItems bounds the messages of one request, and the recipients of all
	// of them together. The largest batches known are of 1,000 (SendGrid).
	mostItems = 10000
	// mostIdentities bounds what names an account in one request.
	mostIdentities = 100
)

// making is the work of turning one request into messages. What stands outside
// the items of a batch is worked on once, since an item may be one byte of the
// body and what it shares with ten thousand others nearly all of it.
type making struct {
	hash       func(kind, value string) string
	out        *Sending
	recipients int  // of all messages
	segments   bool // some limit counts them
	texts      bool // some limit looks at texts
	within     bool // a request that another one carries
	asThread   bool // some limit is by recipient
	likeness   bool // some limit asks how alike they are
	// hashed are the recipients found within the items of one batch.
	hashed map[string]string
}

// messages appends the messages of a request, one or one for each item, and
// returns the identities that it shows.
func (k *making) messages(r *messageRule, in *input) ([]identity, error) {
	items, err := r.items(in)
	if err != nil {
		return nil, err
	}
	if len(k.out.Messages)+max(1, len(items)) > mostItems {
		return nil, unreadable("it carries more messages than can be counted")
	}
	k.hashed = nil
	if items == nil {
		if err := k.message(r, in); err != nil {
			return nil, err
		}
		return r.identities(in)
	}
	var all []identity
	var first identity
	in.batch, k.hashed = true, map[string]string{}
	for i, item := range items {
		in.item = item
		if err := k.message(r, in); err != nil {
			return nil, err
		}
		ids, err := r.identities(in)
		if err != nil {
			return nil, err
		}
		var own identity
		if len(ids) > 0 {
			own = ids[0]
		}
		if i == 0 {
			first = own
		} else if own != first {
			return nil, ErrMixedAccounts
		}
		for _, id := range ids {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
		if len(all) > mostIdentities {
			return nil, errIdentities
		}
	}
	return all, nil
}

var errIdentities = unreadable("it names more accounts than can be told apart")

// identities are all that name an account, in the order of the sources.
func (r *messageRule) identities(in *input) ([]identity, error) {
	return identitiesOf(r.account, in)
}

func identitiesOf(sources []valueSource, in *input) ([]identity, error) {
	var out []identity
	for i := range sources {
		v := &sources[i]
		values, _ := v.values(in, true)
		for _, value := range values {
			if id := (identity{v.kind, value}); !slices.Contains(out, id) {
				out = append(out, id)
			}
			if len(out) > mostIdentities {
				return nil, errIdentities
			}
		}
	}
	return out, nil
}

func (k *making) message(r *messageRule, in *input) error {
	m := Message{
		Service: r.service, Kind: r.kind, Cost: 1, Segments: 1,
		Pattern: in.pattern.text, def: r.def, rule: r, outcome: r.outcome,
	}
	if r.mails && (unreadMail(r.recipients, in) || unreadMail(r.account, in)) {
		return unreadable("its e-mail is malformed")
	}
	if r.places && (contradict(r.people, in, true) || contradict(r.threads, in, true) || contradict(r.id, in, false)) {
		return errPlaces
	}
	to, shared := firstPresent(r.people, in, true)
	thread, outside := firstPresent(r.threads, in, true)
	if len(to) == 0 {
		to, shared, m.inThread = thread, outside, len(thread) > 0
	}
	if m.Recipients = k.hashAll(r, to, shared); len(m.Recipients) > mostItems-k.recipients {
		return unreadable("it has more recipients than can be counted")
	}
	k.recipients += len(m.Recipients)
	if k.asThread && !m.inThread && len(m.Recipients) == 1 && len(thread) == 1 {
		m.thread = k.hashAll(r, thread, outside)[0]
	}
	ids, shared := firstPresent(r.id, in, false)
	m.ID = k.id(r, ids, shared)
	if err := k.read(&m, r, in); err != nil {
		return err
	}
	switch r.def.Cost.By {
	case "recipients":
		m.Cost = max(1, int64(len(m.Recipients)))
	case "segments":
		m.Cost = m.Segments
	default:
		if m.Cost = r.def.Cost.Fixed; m.Cost == 0 {
			m.Cost = 1
		}
	}
	k.out.Messages = append(k.out.Messages, m)
	return nil
}

// read takes from the text what limits and the message's sameness need of it.
func (k *making) read(m *Message, r *messageRule, in *input) error {
	segments := k.segments || r.def.Cost.By == "segments"
	if !segments && !k.texts && m.ID == "" {
		return nil
	}
	text, shared := firstPresent(r.text, in, false)
	if r.places && contradict(r.text, in, false) {
		return errPlaces
	}
	if segments {
		m.Segments = textSegments(text, shared)
	}
	if len(text) == 0 || !k.texts && m.ID == "" {
		return nil
	}
	if shared == nil {
		shared = &outside{}
	}
	if shared.text == "" {
		shared.text = strings.Join(text, "\n")
	}
	if k.texts {
		m.text = shared.text
	}
	if k.likeness {
		if !shared.hasLikeness {
			shared.likeness, shared.hasLikeness = likeness(k.hash, shared.text), true
		}
		m.Likeness = shared.likeness
	}
	if m.ID != "" {
		if shared.words == "" {
			shared.words = k.hash(r.service+".text", shared.text)
		}
		m.words = shared.words
	}
	return nil
}

// hashAll hashes the recipients, each distinct one once, and gives up where
// there are too many.
func (k *making) hashAll(r *messageRule, values []string, shared *outside) []string {
	switch {
	case len(values) == 0:
		return nil
	case shared != nil && shared.recipients != nil:
		return shared.recipients
	}
	out := make([]string, 0, min(len(values), mostItems+1))
	var seen map[string]bool
	if len(values) > 1 {
		seen = map[string]bool{}
	}
	for _, value := range values {
		if seen[value] {
			continue
		}
		if seen != nil {
			seen[value] = true
		}
		name, known := k.hashed[value]
		if !known {
			name = k.hash(r.service+".recipient", value)
		}
		if k.hashed != nil && shared == nil {
			k.hashed[value] = name
		}
		if out = append(out, name); len(out) > mostItems {
			break
		}
	}
	if shared != nil {
		shared.recipients = out
	}
	return out
}

// id is the hash of the message's id. Two ids that differ are none: the
// message then counts as a new one.
func (k *making) id(r *messageRule, values []string, shared *outside) string {
	switch {
	case shared != nil && shared.hasID:
		return shared.id
	case len(values) == 0:
		return ""
	}
	id := ""
	if allEqual(values) {
		id = k.hash(r.service+".id", values[0])
	}
	if shared != nil {
		shared.id, shared.hasID = id, true
	}
	return id
}

func textSegments(text []string, shared *outside) int64 {
	switch {
	case shared != nil && shared.segments > 0:
		return shared.segments
	case len(text) == 0:
		return 1
	}
	n := segments(strings.Join(text, "\n"))
	if shared != nil {
		shared.segments = n
	}
	return n
}

// firstPresent is what the first source that finds anything finds, as values
// says it.
func firstPresent(list []valueSource, in *input, whole bool) ([]string, *outside) {
	for i := range list {
		if found, shared := list[i].values(in, whole); len(found) > 0 {
			return found, shared
		}
	}
	return nil, nil
}

func allEqual(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return s != list[0] })
}

var errPlaces = unreadable("it has a parameter in two places, and they differ: nobody knows which of them the service reads")

// contradict reports whether a parameter stands in two places, such as the body
// and the query, with different values. Services differ in which they read.
func contradict(list []valueSource, in *input, whole bool) bool {
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			v, w := &list[i], &list[j]
			if !in.has(v.place) || !in.has(w.place) || !v.placedTwice(w) {
				continue
			}
			a, _ := v.values(in, whole)
			b, _ := w.values(in, whole)
			if len(a) > 0 && len(b) > 0 && !sameValues(a, b) {
				return true
			}
		}
	}
	return false
}

// placedTwice reports whether two sources are of one parameter, in different
// places.
func (v *valueSource) placedTwice(w *valueSource) bool {
	return v.param != "" && v.place != w.place && foldField(v.param) == foldField(w.param)
}

func sameValues(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) }) &&
		!slices.ContainsFunc(b, func(s string) bool { return !slices.Contains(a, s) })
}
