package rules

// The templates of refusals: an answer whose texts have ${words} in them. A
// text that is nothing but "${word:int}" becomes a number.

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// refusals are all refusals of a Set, compiled.
type refusals struct{ byName map[string]*refusalRule }

type refusalRule struct{ short, long *answerRule }

type answerRule struct {
	status int
	header map[string]string
	json   any
	text   string
	isJSON bool
}

// newRefusals checks and compiles refusals; what is wrong is reported and
// left out.
func newRefusals(defs map[string]*refusal, report func(pos, string, ...any)) *refusals {
	all := &refusals{byName: map[string]*refusalRule{}}
	for name, def := range defs {
		if def == nil {
			continue
		}
		if def.Short == nil && def.Long == nil {
			report(def.pos, "refusal %s is empty\ngive it short (blocks of up to 60 s), long, or both", name)
		}
		all.byName[name] = &refusalRule{
			short: compileAnswer(def.Short, def.pos, report),
			long:  compileAnswer(def.Long, def.pos, report),
		}
	}
	return all
}

// refusalWords are what templates may say.
func refusalWords() []string {
	return []string{"reason", "limit", "retry_after", "retry_at", "used", "allow", "id", "account"}
}

func refusalNumbers() []string { return []string{"retry_after", "used", "allow"} }

func compileAnswer(def *answer, at pos, report reporter) *answerRule {
	if def == nil {
		return nil
	}
	if def.Line > 0 {
		at = def.pos
	}
	a := &answerRule{status: def.Status, header: def.Header, text: def.Text, isJSON: def.JSON != nil}
	if def.Status < 200 || def.Status > 599 {
		report(at, "%d is not the status of an answer\n200 to 599", def.Status)
	}
	if a.isJSON == (def.Text != "") {
		report(at, "an answer has a body: json or text, and not both")
	}
	problem := func(text string) {
		for _, m := range templateWord().FindAllStringSubmatch(text, -1) {
			switch {
			case !slices.Contains(refusalWords(), m[1]):
				report(at, "${%s} is not known\nknown are %s", m[1], strings.Join(refusalWords(), ", "))
			case m[2] != "" && m[2] != ":int":
				report(at, "${%s%s}: the only type is :int", m[1], m[2])
			case m[2] != "" && m[0] != text:
				report(at, "${%s:int} stands alone: a number has no text around it", m[1])
			case m[2] != "" && !slices.Contains(refusalNumbers(), m[1]):
				report(at, "${%s} is not a number\nnumbers are %s", m[1], strings.Join(refusalNumbers(), ", "))
			}
		}
	}
	problem(def.Text)
	for name, value := range def.Header {
		problem(value)
		if strings.ContainsAny(name, " :\r\n") || name == "" {
			report(at, "%q is not the name of a header", name)
		}
	}
	a.json = templateTree(def.JSON, problem)
	if a.isJSON {
		if _, err := encode(a.json); err != nil {
			report(at, "the body cannot be JSON: %s", err)
		}
	}
	return a
}

// templateWord finds ${word} and ${word:type}.
func templateWord() *regexp.Regexp { return regexp.MustCompile(`\$\{([^}:]*)(:[^}]*)?\}`) }

// templateTree copies a decoded YAML value with texts as keys, and shows
// every text in it to see.
func templateTree(v any, see func(string)) any {
	switch v := v.(type) {
	case string:
		see(v)
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, one := range v {
			m[k] = templateTree(one, see)
		}
		return m
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, one := range v {
			m[fmt.Sprint(k)] = templateTree(one, see)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = templateTree(one, see)
		}
		return list
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return v
}

// render fills the template in. A JSON object also says under "quotagate"
// what every refusal must say, unless the pack has that name itself.
func (a *answerRule) render(r *Refusal) Answer {
	f := filler{r.facts()}
	f.facts["account"] = r.Account
	out := Answer{Status: a.status, Header: http.Header{}}
	if a.isJSON {
		tree := f.fill(a.json)
		if m, ok := tree.(map[string]any); ok && m["quotagate"] == nil {
			m["quotagate"] = r.facts()
		}
		out.Header.Set("Content-Type", "application/json; charset=utf-8")
		out.Body, _ = encode(tree) // was encoded when it was compiled
	} else {
		out.Header.Set("Content-Type", "text/plain; charset=utf-8")
		out.Body = []byte(f.text(a.text))
	}
	for name, value := range a.header {
		out.Header.Set(name, printable(f.text(value)))
	}
	out.Header.Set("Retry-After", strconv.Itoa(r.RetryAfter()))
	return out
}

type filler struct{ facts map[string]any }

func (f filler) fill(v any) any {
	switch v := v.(type) {
	case string:
		if word, ok := strings.CutSuffix(v, ":int}"); ok && strings.HasPrefix(word, "${") {
			if n, known := f.facts[word[2:]]; known {
				return n
			}
		}
		return f.text(v)
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, one := range v {
			m[k] = f.fill(one)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = f.fill(one)
		}
		return list
	}
	return v
}

// text puts the words in. What a word stands for is not looked at again.
func (f filler) text(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "${")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		word, after, ok := strings.Cut(rest, "}")
		name, _, _ := strings.Cut(word, ":")
		if v, known := f.facts[name]; known && ok {
			fmt.Fprint(&b, v)
			s = after
			continue
		}
		b.WriteString("${")
		s = rest
	}
}
