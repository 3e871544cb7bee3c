package rules

import (
	"slices"
	"strings"
)

// Guesses what was meant by a word that is not known.

// DidYouMean is a hint that names the closest of the words, or "" where none
// is close: did you mean "anna"?
func DidYouMean(word string, words []string) string {
	if best := closest(word, words); best != "" {
		return `did you mean "` + best + `"?`
	}
	return ""
}

// choose is a hint that names the closest of the words, or all of them where
// they are few, or nothing.
func choose(word string, words []string) string {
	if hint := DidYouMean(word, words); hint != "" {
		return hint
	}
	words = slices.Clone(words)
	slices.Sort(words)
	words = slices.Compact(words)
	switch {
	case len(words) == 0:
		return ""
	case len(words) <= 12:
		return "known are " + strings.Join(words, ", ")
	}
	return ""
}

// closest is the word at the smallest edit distance, if that is at most a
// third of the longer one's length, and three; ties go to the one that begins like the word, then to
// the alphabet.
func closest(word string, words []string) string {
	best, least := "", 4
	for _, w := range words {
		most := min(max(len(word), len(w))/3, least)
		if d := distance(strings.ToLower(word), strings.ToLower(w), most); d <= most && (d < least || likelier(word, w, best)) {
			best, least = w, d
		}
	}
	if best != "" || len(word) < 3 {
		return best
	}
	// Half of a word is often what people remember of it.
	for _, w := range words {
		if strings.HasPrefix(w, word) || strings.HasSuffix(w, "."+word) || strings.HasSuffix(w, "_"+word) {
			if best == "" || w < best {
				best = w
			}
		}
	}
	return best
}

// likelier reports whether a word means a rather than b, which are equally
// near: few people mistype a word's beginning.
func likelier(word, a, b string) bool {
	if x, y := alike(word, a), alike(word, b); x != y {
		return x > y
	}
	return a < b
}

// alike is how many bytes two words begin with that are the same.
func alike(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between two words; anything above most is most+1.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
