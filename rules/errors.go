package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// What is wrong with the files, said so that it can be put right: the place,
// the line with a caret under it, and where we can guess it, the way out.

// A Pos is a place in a file. Line and Col count from 1; both are 0 where
// the whole file is meant.
type Pos struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
}

func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// at is how the decoder gives a value its place: every struct that embeds a
// Pos has it.
func (p *Pos) at(q Pos) { *p = q }

// place is where something stands.
func (p Pos) place() Pos { return p }

func (p Pos) before(q Pos) int {
	if c := strings.Compare(p.File, q.File); c != 0 {
		return c
	}
	if p.Line != q.Line {
		return p.Line - q.Line
	}
	return p.Col - q.Col
}

// An Error is one thing that is wrong with a rules file.
type Error struct {
	Pos Pos `json:"at"`
	// Message is a sentence without its full stop; Hint, which may be empty,
	// is the way out.
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Line is the line of the file, or of a long one what is around the
	// place; "" where the whole file is meant.
	Line string `json:"-"`

	caret int // the column of the place in Line
	cause error
}

// Unwrap is why a file could not be read, such as fs.ErrNotExist, or nil.
func (e *Error) Unwrap() error { return e.cause }

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Pos, e.Message)
	if strings.TrimSpace(e.Line) != "" {
		fmt.Fprintf(&b, "\n    %s\n    %s^", e.Line, under(e.Line, e.caret))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\n  hint: %s", e.Hint)
	}
	return b.String()
}

// under is white space as wide as what stands before the column.
func under(line string, col int) string {
	var b strings.Builder
	n := 1
	for _, r := range line {
		if n >= col {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
		n++
	}
	return b.String()
}

// Errors is everything that is wrong with a set of files, in the order of
// files and lines. It is never empty.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Error.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// mostErrors is how many errors are kept: enough for a person, and a bound
// for a file of a million broken lines.
const mostErrors = 200

// widest is how much of a long line is shown.
const widest = 160

// reports gathers errors and warnings while files are read.
type reports struct {
	lines    map[string][]string // by file
	errs     Errors
	seen     map[string]bool
	misread  map[Pos]bool // where the decoder found something wrong
	warnings []Warning
}

func newReports() *reports {
	return &reports{lines: map[string][]string{}, seen: map[string]bool{}, misread: map[Pos]bool{}}
}

// source remembers a file's text for the carets.
func (r *reports) source(name string, text []byte) {
	r.lines[name] = lines(text)
}

// at notes an error. What the formatted text has after its first line break
// is the hint. What could not even be read is not judged as well.
func (r *reports) at(p pos, format string, args ...any) {
	if !r.misread[p] {
		r.note(p, format, args...)
	}
}

// once is at, unless something is wrong there already.
func (r *reports) once(p pos, format string, args ...any) {
	if !r.wrong(p) {
		r.at(p, format, args...)
	}
}

func (r *reports) wrong(p pos) bool {
	return slices.ContainsFunc(r.errs, func(e *Error) bool { return e.Pos == p })
}

func (r *reports) note(p pos, format string, args ...any) {
	message, hint, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	message, hint = printable(message), printable(hint)
	key := p.String() + " " + message
	if r.seen[key] || len(r.errs) >= mostErrors {
		return
	}
	r.seen[key] = true
	line, caret := r.line(p)
	r.errs = append(r.errs, &Error{Pos: p, Message: message, Hint: hint, Line: line, caret: caret})
}

// unread notes that a file could not be read; where the place is the file
// itself, its name is not said twice.
func (r *reports) unread(p pos, err error) {
	n := len(r.errs)
	r.at(p, "%s", sentence(err, p))
	if len(r.errs) > n {
		r.errs[n].cause = err
	}
}

// warn notes something that is allowed and probably not meant.
func (r *reports) warn(p pos, format string, args ...any) {
	message, hint, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	r.warnings = append(r.warnings, Warning{Pos: p, Message: printable(message), Hint: printable(hint)})
}

// line is what is shown of the line of a place, and the column of the place
// in it.
func (r *reports) line(p pos) (string, int) {
	lines := r.lines[p.File]
	if p.Line < 1 || p.Line > len(lines) {
		return "", 0
	}
	line := []rune(printable(lines[p.Line-1]))
	if len(line) <= widest {
		return string(line), p.Col
	}
	from := 0
	if p.Col > widest-20 {
		from = min(p.Col-widest/2, len(line)-widest)
	}
	shown, caret := string(line[from:from+widest]), p.Col-from
	if from+widest < len(line) {
		shown += "…"
	}
	if from > 0 {
		shown, caret = "…"+shown, caret+1
	}
	return shown, caret
}

// err is nil or Errors, sorted.
func (r *reports) err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b *Error) int { return a.Pos.before(b.Pos) })
	return r.errs
}

// printable keeps control characters of a file out of terminals and logs.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\t' && (c < ' ' || c == 0x7f || c == utf8.RuneError || 0x80 <= c && c < 0xa0) {
			return '?'
		}
		return c
	}, s)
}

// A Warning is something that works and is probably not what was meant.
type Warning struct {
	Pos     Pos    `json:"at"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (w Warning) String() string {
	s := w.Pos.String() + ": " + w.Message
	if w.Hint != "" {
		s += "\n  hint: " + w.Hint
	}
	return s
}
