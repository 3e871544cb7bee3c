package rules

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// content: what a text must not say. It needs no ledger: the text itself
// decides. No word of the text is in what is said about it.

// saying is a `content`, compiled.
type saying struct {
	forbid       []*regexp.Regexp
	placeholders string // reject, warn, or ""
}

func (c *compiler) wording(l *limit) *saying {
	w := l.Content
	s := &saying{placeholders: w.Placeholders.S}
	for _, f := range w.Forbid {
		if f.S == "" {
			continue
		}
		re, err := regexp.Compile(f.S)
		switch {
		case err != nil:
			c.at(f.pos, "this regular expression cannot be read: %s\nthe syntax is RE2's; (?i) at the front disregards case", regexpError(err))
		case re.MatchString(""):
			c.at(f.pos, "this regular expression finds nothing in every text: it would forbid them all\nask for what must not be there")
		default:
			s.forbid = append(s.forbid, re)
		}
	}
	if len(w.Forbid) == 0 && w.Placeholders.S == "" && !l.strange {
		c.at(w.pos, "content forbids nothing\nwrite forbid: ['(?i)\\bcall me\\b'], or placeholders: reject")
	}
	return s
}

// placeholders are what templates leave in a text when nobody filled them in:
// {{first_name}}, {firstName}, ${name}, %FIRST_NAME%, [First Name],
// <<name>>, *|FNAME|* (Mailchimp), and a name that was not there.
var placeholders = regexp.MustCompile(`\{\{[^{}\n]{1,80}\}\}` +
	`|\$?\{[\pL][\pL\d_. -]{0,40}\}` +
	`|\[\[[\pL][^\[\]\n]{0,60}\]\]` +
	`|<<[\pL][^<>\n]{0,40}>>` +
	`|\*\|[A-Z][A-Z0-9_:]{0,40}\|\*` +
	`|%%?[A-Z][A-Z_]{2,40}%%?` +
	`|(?i:[\[<](?:your |their |the )?(?:first|last|full|user|company|recipient|contact|job|sender)?[ _-]?(?:name|title|company|position|role)[\]>])` +
	`|\[object Object\]` +
	`|(?i:\b(?:hi|hey|hello|dear|hallo|hola|bonjour)[ ,]+(?:undefined|null|nan|none)\b)`)

// found says what is wrong with a text, and whether that refuses it.
func (s *saying) found(text string) (reason string, refuses, found bool) {
	for _, re := range s.forbid {
		if re.MatchString(text) {
			return fmt.Sprintf("the text has what the rules forbid: %s", re), true, true
		}
	}
	if s.placeholders != "" && placeholders.MatchString(text) {
		return "the text has a placeholder that nobody filled in", s.placeholders == reject, true
	}
	return "", false, false
}

// looked is what content limits find in the texts of one sending. A text that
// all items of a batch share is looked at once: it may be nearly all of the
// body, and the items ten thousand.
type looked map[*rule]*readText

type readText struct {
	text, reason   string
	refuses, found bool
}

func (all looked) of(r *rule, text string) (reason string, refuses, found bool) {
	t := all[r]
	if t == nil {
		t = &readText{}
		all[r] = t
	}
	if t.text != text { // the same string, mostly, which takes no time to see
		t.text = text
		t.reason, t.refuses, t.found = r.says.found(text)
	}
	return t.reason, t.refuses, t.found
}

// A ContentWarning is what a content limit found in a message that goes all
// the same: the limit warns, or is a shadow.
type ContentWarning struct {
	Limit  string
	Reason string
	// Item is the message's place in the sending.
	Item int
	// Shadow tells a limit that would refuse from one that only warns.
	Shadow bool
}

// Content is the first enforced content limit that refuses the sending, and
// why, in a sentence without a word of the text.
func (s *Set) Content(d *Sending, account string) (limit, reason string, found bool) {
	if !s.texts {
		return "", "", false
	}
	texts := looked{}
	s.binding(d, account, func(_ int, m *Message, r *rule, _ int64) bool {
		if r.says == nil || r.shadow || r.warns || m.text == "" {
			return true
		}
		if why, refuses, is := texts.of(r, m.text); is && refuses {
			limit, reason, found = r.name, why, true
		}
		return !found
	})
	return limit, reason, found
}

// ContentWarnings are what content limits found that do not refuse it.
func (s *Set) ContentWarnings(d *Sending, account string) []ContentWarning {
	if !s.texts {
		return nil
	}
	var list []ContentWarning
	texts := looked{}
	s.binding(d, account, func(i int, m *Message, r *rule, _ int64) bool {
		if r.says == nil || m.text == "" {
			return true
		}
		why, refuses, found := texts.of(r, m.text)
		if found && (r.shadow || r.warns || !refuses) {
			list = append(list, ContentWarning{Limit: r.name, Reason: why, Item: i, Shadow: r.shadow && refuses})
		}
		return true
	})
	return list
}

// regexpError says what is wrong with a regular expression, without all of it.
func regexpError(err error) string {
	var se *syntax.Error
	if errors.As(err, &se) {
		return string(se.Code) + ": " + se.Expr
	}
	return err.Error()
}
