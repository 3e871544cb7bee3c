package rules

// The words of a text, such that what does not make it another text is gone:
// case, width and composition of letters, spacing and punctuation, which
// number is in it, and where on a host a link leads.

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// unspaced are the scripts that are written without spaces between words:
// there every two letters that follow each other are a word.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// wordsOf returns the words of a text in their order, and the text normalised:
// its words with a space between them, or, of a text with none ("?!"), what
// else is in it.
func wordsOf(text string) (words []string, normal string) {
	text = folded(text)
	s := splitter{words: make([]string, 0, len(text)/5)}
	for field := range strings.FieldsSeq(text) {
		if host := linkHost(field); host != "" {
			s.words = append(s.words, host)
		} else {
			s.split(field)
		}
	}
	if len(s.words) == 0 {
		return nil, strings.Join(strings.Fields(text), "")
	}
	return s.words, strings.Join(s.words, " ")
}

// folded is the text without case, in Unicode's form NFKC, and without what
// cannot be seen.
func folded(text string) string {
	ascii := true
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(text)
	}
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf && (unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r)) {
			return -1
		}
		return r
	}, cases.Fold().String(norm.NFKC.String(text)))
}

// linkHost returns the host of a field that is a link, or "".
func linkHost(field string) string {
	field = strings.TrimLeft(field, "(<[\"'")
	rest, found := "", false
	for _, scheme := range []string{"https://", "http://"} {
		if rest, found = strings.CutPrefix(field, scheme); found {
			break
		}
	}
	if !found {
		rest = field
	}
	n := strings.IndexAny(rest, "/?#")
	if n < 0 {
		n = len(rest)
		if !found && !strings.HasPrefix(rest, "www.") {
			return "" // a bare name: its words tell as much
		}
	}
	host := strings.TrimRight(rest[:n], ".,;:!)>]\"'")
	host = host[strings.LastIndexByte(host, '@')+1:]
	if host, _, _ = strings.Cut(host, ":"); !found && !bareHost(host) {
		return ""
	}
	return strings.TrimPrefix(host, "www.")
}

// bareHost reports whether what stands before a slash is a host and not the
// one of "either/or" or "1.5/2".
func bareHost(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot < 1 || dot > len(s)-3 {
		return false
	}
	for i, r := range s {
		letter := unicode.IsLetter(r)
		if !letter && (i > dot || r != '.' && r != '-' && !unicode.IsDigit(r)) {
			return false
		}
	}
	return true
}

type splitter struct {
	words []string
	word  []byte
}

func (s *splitter) end() {
	if len(s.word) > 0 {
		s.words = append(s.words, string(s.word))
		s.word = s.word[:0]
	}
}

func (s *splitter) split(field string) {
	number := false // a number stands at the end of the word
	var before rune // the letter before, in a script without spaces
	single := false // and it is not in a word yet
	alone := func() {
		if single {
			s.words = append(s.words, string(before))
		}
		before, single = 0, false
	}
	for i, r := range field {
		switch {
		case unicode.IsDigit(r):
			alone()
			if !number {
				s.word = append(s.word, '0')
			}
			number = true
			continue
		case number && strings.ContainsRune(".,:", r) && digitFollows(field[i+1:]):
			continue
		case r >= utf8.RuneSelf && unicode.In(r, unspaced...):
			s.end()
			if before != 0 {
				s.words = append(s.words, string([]rune{before, r}))
			}
			before, single = r, before == 0
		case unicode.IsLetter(r) || unicode.IsMark(r):
			alone()
			s.word = utf8.AppendRune(s.word, r)
		case r == '\'' || r == '’':
		case r >= utf8.RuneSelf && unicode.IsSymbol(r):
			alone()
			s.end()
			s.words = append(s.words, string(r))
		default:
			alone()
			s.end()
		}
		number = false
	}
	alone()
	s.end()
}

func digitFollows(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return unicode.IsDigit(r)
}
