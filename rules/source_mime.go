package rules

// E-mails as services take them in one piece (RFC 5322, MIME), plain or in
// base64, as Gmail and SES want them: who sends it, to whom, under which id,
// and what it says.

import (
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
)

// mailPart is what a source takes out of an e-mail: that which its key is
// about.
type mailPart uint8

const (
	noMail mailPart = iota
	mailFrom
	mailTo
	mailText
	mailID
)

// ofMail tells sources what to take out of an e-mail.
func ofMail(list []valueSource, part mailPart) []valueSource {
	for i := range list {
		list[i].mail = part
	}
	return list
}

// withoutMail reports sources of an e-mail where there is no saying what is
// meant of it.
func withoutMail(list []valueSource, at pos, report reporter) {
	if slices.ContainsFunc(list, func(v valueSource) bool { return v.decode == "mime" }) {
		report(at, "decode: mime is for the account, the recipients, the text and the id of a message")
	}
}

const (
	// mostMailText bounds how much of an e-mail's text is looked at.
	mostMailText = 1 << 20
	// mostMailParts and deepestMail bound the parts that are opened for it.
	mostMailParts = 100
	deepestMail   = 5
)

// readMail gives what a part of an e-mail says; nothing where it is none.
func readMail(raw string, part mailPart) []string {
	m, err := openMail(raw)
	if err != nil {
		return nil
	}
	switch part {
	case mailFrom:
		return addresses(m.Header, "From")
	case mailTo:
		return addresses(m.Header, "To", "Cc", "Bcc")
	case mailID:
		return headerLines(m.Header, "Message-Id")
	case mailText:
		t := mailReader{left: mostMailText, parts: mostMailParts}
		t.read(m.Header.Get, m.Body, 0)
		text := t.plain
		if text == "" {
			text = t.html
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
		if err != nil {
			subject = m.Header.Get("Subject")
		}
		return []string{strings.TrimSpace(subject + "\n" + text)}
	}
	return nil
}

// openMail reads the head of an e-mail, after its base64 if it is in that: a
// header has a colon, which base64 has not.
func openMail(raw string) (*mail.Message, error) {
	if !strings.Contains(raw, ":") {
		unwrapped := strings.NewReplacer("\r", "", "\n", "", " ", "").Replace(raw)
		if plain, ok := unbase64(unwrapped); ok {
			raw = plain
		}
	}
	return mail.ReadMessage(strings.NewReader(strings.TrimLeft(raw, "\r\n"))) // as services do
}

// unreadMail reports whether an e-mail stands where one of the sources looks
// and cannot be opened: nobody knows then to how many it goes.
func unreadMail(list []valueSource, in *input) bool {
	return slices.ContainsFunc(list, func(v valueSource) bool {
		if v.decode != "mime" {
			return false
		}
		raw := v.raw(in)
		if in.batch && v.place == inJSON {
			raw = append(jsonValues(v.path, in.item), raw...)
		}
		return slices.ContainsFunc(raw, func(text string) bool {
			_, err := openMail(text)
			return text != "" && err != nil
		})
	})
}

// addresses are those in headers, in small letters: no mail service known
// tells boxes apart by case. A list that cannot be read is cut at its commas,
// so that no spelling hides a recipient.
func addresses(h mail.Header, names ...string) []string {
	var out []string
	for _, name := range names {
		for _, line := range headerLines(h, name) {
			list, err := mail.ParseAddressList(line)
			if err != nil {
				for piece := range strings.SplitSeq(line, ",") {
					out = append(out, strings.ToLower(strings.Trim(piece[strings.LastIndexByte(piece, '<')+1:], " \t<>")))
				}
				continue
			}
			for _, a := range list {
				out = append(out, strings.ToLower(a.Address))
			}
		}
	}
	return out
}

// headerLines are the values of a header, also where spaces stand before its colon,
// as they once could (RFC 5322, 4.5).
func headerLines(h mail.Header, name string) []string {
	out := h[name]
	for other, more := range h {
		if other != name && strings.EqualFold(strings.TrimSpace(other), name) {
			out = append(slices.Clone(out), more...)
		}
	}
	return out
}

// mailReader gathers the texts of an e-mail.
type mailReader struct {
	left, parts int
	plain, html string
}

func (t *mailReader) read(header func(string) string, body io.Reader, depth int) {
	if t.parts--; t.parts < 0 || depth > deepestMail {
		return
	}
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			p, err := parts.NextRawPart()
			if err != nil {
				return
			}
			t.read(p.Header.Get, p, depth+1)
		}
	}
	if kind != "text/plain" && kind != "text/html" {
		return
	}
	switch strings.ToLower(header("Content-Transfer-Encoding")) {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	// What comes before something that cannot be read is taken.
	b, _ := io.ReadAll(io.LimitReader(body, int64(t.left)))
	t.left -= len(b)
	if kind == "text/html" {
		t.html += string(b)
	} else {
		t.plain += string(b)
	}
}
