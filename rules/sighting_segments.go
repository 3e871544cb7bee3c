package rules

// How many SMS a text takes.

import (
	"strings"
	"unicode/utf16"
)

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
