package rules

// Values that are spelled in several ways and mean one recipient: a limit by
// recipient would count each of them by itself.

import (
	"slices"
	"strings"
	"unicode"
)

// foldings are the ways to see through spellings, in the order in which
// several of them are applied.
var foldings = []string{"phone", "email", "case"}

// oneSpelling is the one spelling of a value.
func oneSpelling(how, value string) string {
	switch how {
	case "phone":
		return foldPhone(value)
	case "email":
		return foldEmail(value)
	case "case":
		return strings.ToLower(value)
	}
	return value
}

// foldPhone gives the digits of a phone number, country code first: as E.164
// has it, less the plus. What is no number stays as it is, so that names and
// groups can stand beside numbers.
//
// Prefixes: RFC 3966 (tel:) and 5724 (sms:); Twilio's "whatsapp:+1555…"
// (twilio.com/docs/whatsapp/api). Behind an @ stands WhatsApp's own
// "1555…@s.whatsapp.net", of its clients' libraries. 00 is the international
// prefix that ITU-T E.123 and E.164 recommend; others, such as 011, are dialled
// and not written. From memory, 2026-11-22.
func foldPhone(value string) string {
	number := strings.TrimSpace(value)
	for _, prefix := range []string{"whatsapp:", "tel:", "sms:"} {
		if len(number) > len(prefix) && strings.EqualFold(number[:len(prefix)], prefix) {
			number, _, _ = strings.Cut(number[len(prefix):], ";") // RFC 3966 has parameters
		}
	}
	for _, suffix := range []string{"@s.whatsapp.net", "@c.us"} {
		number = strings.TrimSuffix(number, suffix)
	}
	var digits strings.Builder
	for _, r := range number {
		switch {
		case '0' <= r && r <= '9':
			digits.WriteRune(r)
		case 0xff10 <= r && r <= 0xff19: // full width
			digits.WriteRune(r - 0xff10 + '0')
		case strings.ContainsRune("+＋.()/", r), unicode.IsSpace(r), unicode.In(r, unicode.Cf, unicode.Pd):
		default:
			return value
		}
	}
	out := strings.TrimPrefix(digits.String(), "00")
	if out == "" {
		return value
	}
	return out
}

// foldEmail gives an e-mail's address in small letters. Domains disregard case
// (RFC 5321, 2.4); before the @ a server might not, and nearly every one does.
func foldEmail(value string) string {
	address := value
	if from := strings.LastIndexByte(address, '<'); from >= 0 {
		if to := strings.IndexByte(address[from:], '>'); to > 0 {
			address = address[from+1 : from+to]
		}
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return value
	}
	return strings.ToLower(strings.TrimSpace(strings.TrimSuffix(address, ".")))
}

// foldAs is a value in the one spelling that the recipients of a service have.
func (m *matcher) foldAs(service, value string) string {
	for _, how := range foldings {
		asks := func(v valueSource) bool { return v.fold == how }
		if slices.ContainsFunc(m.messages, func(r *messageRule) bool { return r.service == service && slices.ContainsFunc(r.recipients, asks) }) {
			value = oneSpelling(how, value)
		}
	}
	return value
}
