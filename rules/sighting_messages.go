package rules

// Making messages of a request that matched: who sends, to whom, under which
// id, at what cost.

import (
	"slices"
	"strings"
	"unicode/utf16"
)

const (
	// mostItems bounds the messages of one request, and the recipients of one
	// message. The largest batches known are of 1,000 (SendGrid).
	mostItems = 10000
	// mostIdentities bounds what names an account in one request.
	mostIdentities = 100
)

// messages appends the messages of a request, one or one for each item, and
// returns the identities that it shows.
func (r *messageRule) messages(in *input, hash func(kind, value string) string, out *Sending) ([]identity, error) {
	items := r.items(in)
	if len(items) > mostItems {
		return nil, unreadable("it carries more messages than can be counted")
	}
	if items == nil {
		m, err := r.message(in, hash)
		if err != nil {
			return nil, err
		}
		out.Messages = append(out.Messages, m)
		return r.identities(in)
	}
	var all []identity
	var first identity
	in.batch = true
	for i, item := range items {
		in.item = item
		m, err := r.message(in, hash)
		if err != nil {
			return nil, err
		}
		out.Messages = append(out.Messages, m)
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
	}
	return all, nil
}

// items are the items of a batch: nil where the message is none, or where
// nothing is found that could be counted one by one.
func (r *messageRule) items(in *input) []any {
	if r.each == nil {
		return nil
	}
	if found := r.each.get(in.tree()); len(found) > 0 {
		return found
	}
	return nil
}

// tree is the body as JSON. Fields of a form or query are members, opened
// where they hold JSON: clients send a batch's list either way.
func (in *input) tree() any {
	if in.body.hasJSON {
		return in.body.json
	}
	m := map[string]any{}
	for _, f := range append(slices.Clone(in.body.fields), in.queryFields()...) {
		if _, ok := m[f.name]; ok {
			continue
		}
		m[f.name] = f.value
		if v := strings.TrimSpace(f.value); v != "" && (v[0] == '[' || v[0] == '{') {
			if tree, err := readJSON([]byte(v)); err == nil {
				m[f.name] = tree
			}
		}
	}
	return m
}

// identities are all that name an account, in the order of the sources.
func (r *messageRule) identities(in *input) ([]identity, error) {
	var out []identity
	for i := range r.account {
		v := &r.account[i]
		for _, value := range v.values(in, true) {
			if id := (identity{v.kind, value}); !slices.Contains(out, id) {
				out = append(out, id)
			}
			if len(out) > mostIdentities {
				return nil, unreadable("it names more accounts than can be told apart")
			}
		}
	}
	return out, nil
}

func (r *messageRule) message(in *input, hash func(kind, value string) string) (Message, error) {
	m := Message{
		Service: r.service, Kind: r.kind, Cost: 1, Segments: 1,
		Pattern: in.pattern.text, def: r.def, rule: r,
	}
	for i := range r.recipients {
		to := r.recipients[i].values(in, true)
		if len(to) == 0 {
			continue
		}
		if len(to) > mostItems {
			return m, unreadable("it has more recipients than can be counted")
		}
		m.Recipients = make([]string, 0, len(to))
		seen := make(map[string]bool, len(to))
		for _, value := range to {
			if !seen[value] {
				seen[value] = true
				m.Recipients = append(m.Recipients, hash(r.service+".recipient", value))
			}
		}
		break
	}
	// Two ids that differ are none: the message then counts as a new one.
	if ids := firstPresent(r.id, in); len(ids) > 0 && allEqual(ids) {
		m.ID = hash(r.service+".id", ids[0])
	}
	if text := firstPresent(r.text, in); len(text) > 0 {
		m.Segments = segments(strings.Join(text, "\n"))
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
	return m, nil
}

// firstPresent is what the first source that finds anything finds; in a
// batch, only the item is looked at.
func firstPresent(list []valueSource, in *input) []string {
	for i := range list {
		if found := list[i].values(in, false); len(found) > 0 {
			return found
		}
	}
	return nil
}

func allEqual(list []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return s != list[0] })
}

// gsm7 is the basic alphabet of GSM 03.38 beyond the ASCII letters, digits
// and signs that it shares; gsm7Extended takes two places.
const (
	gsm7         = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà"
	gsm7Extended = "\f^{}\\[~]|€"
)

// segments is how many SMS a text takes: 160 septets in one or 153 in each of
// several (3GPP TS 23.038, 23.040), 70 and 67 UTF-16 units beyond GSM 7-bit.
func segments(text string) int64 {
	septets, units, basic := 0, 0, true
	for _, c := range text {
		units += utf16.RuneLen(c)
		switch {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', strings.ContainsRune(gsm7, c):
			septets++
		case strings.ContainsRune(gsm7Extended, c):
			septets += 2
		default:
			basic = false
		}
	}
	n, one, each := septets, 160, 153
	if !basic {
		n, one, each = units, 70, 67
	}
	if n <= one {
		return 1
	}
	return int64((n + each - 1) / each)
}
