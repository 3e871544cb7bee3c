package rules

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"quotagate/ratelimit"
)

func keyedWith(key string) func(kind, value string) string {
	return func(kind, value string) string {
		h := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(h, "%d %s%s", len(kind), kind, value)
		return hex.EncodeToString(h.Sum(nil)[:8])
	}
}

// estimate is the ledger's: how alike two signatures are, between 0 and 1.
func estimate(a, b *ratelimit.Likeness) float64 {
	equal := 0
	for i := range len(a.Signature) {
		if a.Signature[i] == b.Signature[i] {
			equal++
		}
	}
	return float64(256*equal-signatureBytes) / (255 * signatureBytes)
}

func shareBand(a, b *ratelimit.Likeness) bool {
	return slices.ContainsFunc(a.Bands, func(s string) bool { return slices.Contains(b.Bands, s) })
}

func TestWhatDoesNotMakeAnotherTextIsGone(t *testing.T) {
	for _, same := range [][]string{
		{"Hello Anna, how are you?", "hello  anna\n how ARE you", "Ｈｅｌｌｏ Anna: how are you!"},
		{"Your code is 123456", "your code is 7", "Your code is 12,500.75"},
		{"see https://example.com/a?u=1 today", "see http://www.example.com/b#x today", "See (https://u:p@example.com:8443/z), today", "see example.com/q today"},
		{"don’t do that now", "don't do that now", "dont do that now"},
		{"zero\u200bwidth and so\u00adft", "zerowidth and soft"},
		{"cafe\u0301 olé", "CAFÉ OLE\u0301"},
		{"Straße und mehr", "STRASSE und mehr"},
		{"👍🏽", "👍🏽 "},
		{"❤", "❤\ufe0f"},
		{"?!", " ? !"},
	} {
		for _, text := range same[1:] {
			_, a := wordsOf(same[0])
			if _, b := wordsOf(text); a != b || a == "" {
				t.Errorf("%q is %q, %q is %q", same[0], a, text, b)
			}
		}
	}
	for _, c := range []struct{ text, normal string }{
		{"Hi 3 of 4, b2b either/or 1.5/2", "hi 0 of 0 b0b either or 0 0"},
		{"go to bit.ly/3xYz or www.foo.org.", "go to bit.ly or foo.org"},
		{"a@b.com/x to a@b.com", "b.com to a b com"},
		{"東京へ行く abc", "東京 京へ へ行 行く abc"},
		{"猫 x", "猫 x"},
		{"", ""}, {" \n\u200b", ""},
	} {
		if _, got := wordsOf(c.text); got != c.normal {
			t.Errorf("%q is %q, want %q", c.text, got, c.normal)
		}
	}
}

func TestATextOfFewWordsIsOnlyLikeItself(t *testing.T) {
	k := keyedWith("k")
	for _, c := range []struct{ a, b string }{{"hi", "hi you"}, {"thank you", "thank you!!! so"}, {"thank you so", "thank you so much"}, {"?!", "?"}, {"hi", "ho"}} {
		a, b := likeness(k, c.a), likeness(k, c.b)
		if a.Exact == b.Exact || estimate(a, b) > 0.2 {
			t.Errorf("%q and %q are alike by %.2f", c.a, c.b, estimate(a, b))
		}
	}
	a, b := likeness(k, "Thank you!"), likeness(k, "thank  you")
	if a.Exact != b.Exact || a.Signature != b.Signature || !shareBand(a, b) {
		t.Error("a short text is not like itself")
	}
	if likeness(k, "") != nil || likeness(k, " \u200b") != nil {
		t.Error("nothing is like something")
	}
}

// The bytes are kept for months and shared by replicas: they must not change.
func TestALikenessIsTheSameEverywhere(t *testing.T) {
	l := likeness(keyedWith("k"), "The quick brown fox jumps over the lazy dog")
	const signature = "0988ba8bfdc07cbc4b6bceaaa8f86d3ead3fcf12ed4ed4c45f23e67750cc92f1fd4e973d90a93871d3fdb2f60cd27379f6363e54ac5dbba706f6f0962a1bb50bd2e9d24f59ea770fdad438570624699243a35d977ea036880e20b2c2155decd9"
	if got := hex.EncodeToString([]byte(l.Signature)); got != signature {
		t.Errorf("the signature is %s", got)
	}
	if len(l.Signature) != signatureBytes || len(l.Bands) != likenessBands || l.Bands[10] != "a"+signature[60:66] {
		t.Errorf("bands: %q", l.Bands)
	}
}

// Whoever has the store and not the key cannot ask it for a text or a word.
func TestWithoutTheKeyNothingCanBeLookedUp(t *testing.T) {
	const text = "meet me at the old mill tonight please"
	a, b := likeness(keyedWith("one"), text), likeness(keyedWith("two"), text)
	if a.Exact == b.Exact || shareBand(a, b) || estimate(a, b) > 0.2 {
		t.Errorf("under another key the text is alike by %.2f", estimate(a, b))
	}
	kept := fmt.Sprintf("%s %s %s", a.Exact, a.Bands, a.Signature)
	for _, w := range strings.Fields(text) {
		if len(w) > 3 && strings.Contains(kept, w) {
			t.Errorf("%q is kept", w)
		}
	}
}

// pair makes two texts of n words each of which a share of all is in both.
func pair(r *rand.Rand, n int, likeness float64) (a, b string, exact float64) {
	both := int(math.Round(2 * float64(n) * likeness / (1 + likeness)))
	word := func() string {
		w := make([]byte, 9)
		for i := range w {
			w[i] = 'a' + byte(r.IntN(26))
		}
		return string(w)
	}
	var x, y []string
	for i := range n {
		w := word()
		x = append(x, w)
		if i >= both {
			w = word()
		}
		y = append(y, w)
	}
	return strings.Join(x, " "), strings.Join(y, " "), float64(both) / float64(2*n-both)
}

// With no bias, the error that theory says, and bands for nearly all: what the
// comment in likeness.go promises, measured.
func TestTheEstimateAndTheBandsAreAsGoodAsTheySay(t *testing.T) {
	k := keyedWith("k")
	const pairs = 1000
	for _, c := range []struct{ likeness, band float64 }{{0, 0}, {0.3, 0.33}, {0.5, 0.86}, {0.6, 0.965}, {0.8, 0.999}, {0.9, 1}} {
		for _, n := range []int{5, 12, 40, 150} {
			r := rand.New(rand.NewPCG(1, uint64(n)))
			var sum, squares, exact float64
			shared := 0
			for range pairs {
				a, b, p := pair(r, n, c.likeness)
				la, lb := likeness(k, a), likeness(k, b)
				e := estimate(la, lb) - p
				exact += p
				sum, squares = sum+e, squares+e*e
				if shareBand(la, lb) {
					shared++
				}
			}
			p := exact / pairs
			equal := p + (1-p)/256 // the chance of a byte
			bias, sd, want := sum/pairs, math.Sqrt(squares/pairs), math.Sqrt(equal*(1-equal)/signatureBytes)*256/255
			band := float64(shared) / pairs
			t.Logf("%3d words, %.3f alike: bias %+.4f, error %.4f (theory %.4f), share a band %.3f", n, p, bias, sd, want, band)
			if math.Abs(bias) > 0.006 || sd > 1.12*want+0.002 {
				t.Errorf("%d words, %.3f alike: bias %+.4f, error %.4f, theory %.4f", n, p, bias, sd, want)
			}
			if n >= 40 && band < c.band {
				t.Errorf("%d words, %.3f alike: %.3f share a band, want %.3f", n, p, band, c.band)
			}
		}
	}
}

func FuzzLikeness(f *testing.F) {
	for _, s := range []string{"hi", "", "https://", "www.", "1.", "東", "a\xffb", "http://@:/", "x.yz/", "'"} {
		f.Add(s)
	}
	k := keyedWith("k")
	f.Fuzz(func(t *testing.T, text string) {
		l := likeness(k, text)
		if l == nil {
			return
		}
		again := likeness(k, "  "+text+"\n")
		if again == nil || again.Exact != l.Exact || again.Signature != l.Signature {
			t.Errorf("%q is not like itself with spaces around it", text)
		}
		if len(l.Signature) != signatureBytes || len(l.Bands) != likenessBands {
			t.Errorf("%q: %d bytes, %d bands", text, len(l.Signature), len(l.Bands))
		}
	})
}

func BenchmarkLikeness(b *testing.B) {
	k := keyedWith("k")
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		words int
	}{{"200B", 20}, {"1KB", 100}, {"10KB", 1000}} {
		text, _, _ := pair(r, c.words, 0.5)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				likeness(k, text)
			}
		})
		b.Run(c.name+"-umlauts", func(b *testing.B) {
			text := strings.ReplaceAll(text, "a", "Ä")
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				likeness(k, text)
			}
		})
	}
}
