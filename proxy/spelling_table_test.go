package proxy_test

// The table of spellings; spelling_sends_test.go has the rest of it.

import (
	"encoding/binary"
	"strings"
)

// A way to write a send. What is left out is that of the service.
type way struct {
	name, method, target, host string
	headers                    string // more lines, separated by "\n"
	body                       string
	bare                       bool // no body and no length of its own
	absolute                   bool // the target is a whole URL, given to the proxy itself
	want                       int  // messages, or one of these
}

const (
	nothing = 0  // no message: it reaches the service and nothing is counted
	refused = -1 // 4xx with a reason; nothing reaches the service
	reset   = -2 // the stream ends without an answer; nothing reaches the service
)

const (
	asJSON = "Content-Type: application/json"
	asForm = "Content-Type: application/x-www-form-urlencoded"
	asPart = "Content-Type: multipart/form-data; boundary=b"
)

// A send is how a service's own clients write it.
type send struct {
	host, method, target, headers, body string
	ways                                []way
}

func sends() map[string]send {
	return map[string]send{
		"voyager":  voyagerSend(),
		"rest.li":  restliSend(),
		"slack":    slackSend(),
		"webhook":  webhookSend(),
		"telegram": telegramSend(),
		"discord":  discordSend(),
		"whatsapp": whatsappSend(),
		"twilio":   twilioSend(),
		"sendgrid": sendgridSend(),
		"graph":    graphSend(),
		"rooms":    roomsSend(),
		"courier":  courierSend(),
	}
}

func voyagerSend() send {
	const (
		path = "/voyager/api/voyagerMessagingDashMessengerMessages"
		to   = path + "?action=createMessage"
		body = `{"mailboxUrn":"urn:li:fsd_profile:A","hostRecipientUrns":["urn:li:fsd_profile:B"],"message":{"body":{"text":"hi"},"originToken":"t"}}`
	)
	tunnel := func(query string) string { return "X-HTTP-Method-Override: " + query }
	mixed := "--b\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\naction=createMessage\r\n--b\r\nContent-Type: application/json\r\n\r\n" + body + "\r\n--b--\r\n"
	return send{
		host: "www.linkedin.com", method: "POST", target: to, headers: "Cookie: li_at=x\nContent-Type: text/plain;charset=UTF-8", body: body,
		ways: []way{
			{name: "no content type", headers: "Content-Type:", want: 1},
			{name: "absolute form in the tunnel", target: "https://www.linkedin.com" + to, want: 1},
			{name: "absolute form to the proxy", target: "https://www.linkedin.com" + to, absolute: true, want: 1},
			{name: "absolute form, capitals, port and dot", target: "HTTPS://WWW.LinkedIn.com.:0443" + to, absolute: true, want: 1},
			{name: "absolute form, encoded host", target: "https://www%2elinkedin%2ecom" + to, absolute: true, want: refused},
			{name: "absolute form, full-width host", target: "https://www.ｌｉｎｋｅｄｉｎ.com" + to, absolute: true, want: 1},
			{name: "absolute form, a user", target: "https://a:b@www.linkedin.com" + to, absolute: true, want: 1},
			{name: "Host with its port", host: "www.linkedin.com:443", want: 1},
			{name: "Host in capitals with a dot", host: "WWW.LINKEDIN.COM.", want: 1},
			{name: "Host in full width", host: "ｗｗｗ.linkedin.com", want: refused},
			{name: "Host of another", host: "other.example", want: refused},
			{name: "two slashes", target: "//voyager//api/voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "encoded slash", target: "/voyager%2Fapi%2fvoyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "encoded slash, twice", target: "/voyager%252fapi/voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "backslash", target: "/voyager%5capi\\voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "dots", target: "/voyager/./x/../api/voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "encoded dots", target: "/voyager/x/%2e%2E/api/%2e/voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "dots behind a parameter", target: "/voyager/x/..;/api/voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "encoded letters", target: "/%76oyager/ap%69/voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "overlong letters", target: "/%c1%b6oyager/api/voyagerMessagingDashMessengerMessages?action=createMessage", want: 1},
			{name: "a matrix parameter", target: path + ";v=1?action=createMessage", want: 1},
			{name: "a slash at the end", target: path + "/?action=createMessage", want: 1},
			{name: "an encoded NUL at the end", target: path + "%00.js?action=createMessage", want: 1},
			{name: "an encoded line break at the end", target: path + "%0a?action=createMessage", want: 1},
			{name: "a number sign at the end", target: path + "%23x?action=createMessage", want: 1},
			{name: "a broken escape", target: path + "%zz?action=createMessage", want: refused},
			{name: "an encoded query", target: path + "?%61ction=create%4dessage", want: 1},
			{name: "a query parameter twice", target: path + "?action=x&action=createMessage", want: 1},
			{name: "a semicolon in the query", target: path + "?x=y;action=createMessage", want: 1},
			{name: "a query parameter in capitals", target: path + "?Action=createMessage", want: refused},
			{name: "a query parameter with brackets", target: path + "?action[]=createMessage", want: refused},
			{name: "another action", target: path + "?action=recall", want: nothing},
			{name: "a small method", method: "post", want: 1},
			{name: "GET that means POST", method: "GET", headers: "X-HTTP-Method-Override: POST", want: 1},
			{name: "GET that means post, by another header", method: "GET", headers: "X-HTTP-Method: post", want: 1},
			{name: "PUT that means POST, in a list", method: "PUT", headers: "X-Method-Override: GET, POST", want: 1},
			{name: "GET with _method", method: "GET", target: to + "&_method=POST", want: 1},
			{name: "PUT with method", method: "PUT", target: to + "&method=post", want: 1},
			{name: "GET", method: "GET", want: nothing},
			{name: "a path in X-Original-URL", target: "/feed", headers: "X-Original-URL: " + to, want: refused},
			{name: "a path in X-Original-URL, its query in the request", target: "/feed?action=createMessage", headers: "X-Original-URL: " + path, want: refused},
			{name: "a path in X-Rewrite-URL, encoded", target: "/feed", headers: "x-rewrite-url: /voyager%2fapi/x/../voyagerMessagingDashMessengerMessages", want: refused},
			{name: "a URL in X-Forwarded-URI", target: "/feed", headers: "X-Forwarded-URI: https://www.linkedin.com" + to, want: refused},
			{name: "a path in X_ORIGINAL_URL", target: "/feed", headers: "X_ORIGINAL_URL: " + to, want: refused},
			{name: "a path in two lines", target: "/feed", headers: "X-Original-URL: /feed\n+X-Original-URL: " + to, want: refused},
			{name: "a path in PATH_INFO", target: "/feed", headers: "PATH_INFO: " + path, want: refused},
			{name: "a path whose front is in X-Forwarded-Prefix", target: "/voyagerMessagingDashMessengerMessages?action=createMessage", headers: "X-Forwarded-Prefix: /voyager/api", want: refused},
			{name: "a path whose front goes by X-Script-Name", target: "/x" + to, headers: "X-Script-Name: /x", want: refused},
			{name: "GET that means POST, a path in a header", method: "GET", target: "/feed", headers: "X-HTTP-Method: POST\nX-Original-URL: " + to, want: refused},
			{name: "a read in X-Original-URL", headers: "X-Original-URL: /feed", want: 1},
			{name: "its own path in X-Original-URL", headers: "X-Original-URL: " + to, want: 1},
			{name: "a read whose path is in X-Original-URL", target: path + "?action=recall", headers: "X-Original-URL: " + path + "?action=recall", want: nothing},
			{name: "GET of a path in X-Original-URL", method: "GET", target: "/feed", headers: "X-Original-URL: " + to, want: nothing},
			{name: "rest.li: the query in the body", target: path, headers: tunnel("POST") + "\n" + asForm, body: "action=createMessage", want: 1},
			{name: "rest.li: query and entity", target: path, headers: tunnel("POST") + "\nContent-Type: multipart/mixed; boundary=b", body: mixed, want: 1},
			{name: "rest.li: query and entity, quoted boundary", target: path, headers: tunnel("GET") + "\nContent-Type: Multipart/Mixed ; Boundary=\"b\"", body: mixed, want: 1},
			{name: "rest.li: entity as text", target: path, headers: tunnel("POST") + "\nContent-Type: multipart/mixed; boundary=b", body: strings.Replace(mixed, "application/json", "text/plain", 1), want: 1},
			{name: "rest.li: a part of parts", target: path, headers: tunnel("POST") + "\nContent-Type: multipart/mixed; boundary=b", body: strings.Replace(mixed, "application/json", "multipart/mixed; boundary=c", 1), want: refused},
			{name: "rest.li: unreadable", target: path, headers: tunnel("POST") + "\nContent-Type: multipart/mixed", body: "?", want: refused},
			{name: "rest.li: a read", target: path, headers: tunnel("GET") + "\n" + asForm, body: "q=conversations", want: nothing},
			{name: "a byte order mark", body: "\xef\xbb\xbf" + body, want: 1},
			{name: "UTF-16", body: utf16ed(binary.LittleEndian, true, body), want: 1},
			{name: "UTF-16 without a mark", body: utf16ed(binary.BigEndian, false, body), headers: "Content-Type: application/json; charset=utf-16", want: 1},
			{name: "UTF-32", body: utf32ed(body), want: refused},
			{name: "UTF-7", headers: "Content-Type: application/json; charset=utf-7", want: refused},
			{name: "UTF-16 that is none", headers: "Content-Type: application/json; charset=utf-16", want: refused},
			{name: "white space around", body: " \r\n\t" + body + "\n", want: 1},
			{name: "escaped keys", body: strings.NewReplacer("host", `\u0068ost`, "message", `m\u0065ssage`).Replace(body), want: 1},
			{name: "a key twice", body: strings.Replace(body, `"message":`, `"mailboxUrn":"urn:li:fsd_profile:Z","message":`, 1), want: refused},
			{name: "a key twice, deep", body: strings.Replace(body, `"text":"hi"`, `"text":"hi","\u0074ext":"ho"`, 1), want: refused},
			{name: "a key in capitals", body: strings.Replace(body, "hostRecipientUrns", "HostRecipientUrns", 1), want: refused},
			{name: "a comment", body: "/**/" + body, want: refused},
			{name: "a comment inside", body: strings.Replace(body, ":", ":/**/", 1), want: refused},
			{name: "a comma at the end", body: strings.Replace(body, `"hi"`, `"hi",`, 1), want: refused},
			{name: "NaN", body: strings.Replace(body, `"hi"`, `NaN`, 1), want: refused},
			{name: "single quotes", body: strings.ReplaceAll(body, `"`, `'`), want: refused},
			{name: "two values", body: body + body, want: refused},
			{name: "a text", body: `"` + strings.ReplaceAll(body, `"`, `\"`) + `"`, want: refused},
			{name: "cut off", body: body[:len(body)-1], want: refused},
			{name: "gzip", headers: "Content-Encoding: gzip", body: gzipped(body), want: 1},
			{name: "x-gzip in capitals", headers: "Content-Encoding: X-GZIP", body: gzipped(body), want: 1},
			{name: "deflate", headers: "Content-Encoding: deflate", body: deflated(body), want: 1},
			{name: "br", headers: "Content-Encoding: br", body: brotlied(body), want: 1},
			{name: "zstd", headers: "Content-Encoding: zstd", body: zstded(body), want: 1},
			{name: "identity", headers: "Content-Encoding: identity", want: 1},
			{name: "gzip in br", headers: "Content-Encoding: gzip, br", body: brotlied(gzipped(body)), want: 1},
			{name: "gzip in br, in two lines", headers: "Content-Encoding: gzip\n+Content-Encoding: br", body: brotlied(gzipped(body)), want: 1},
			{name: "four encodings", headers: "Content-Encoding: gzip, gzip, gzip, gzip", body: gzipped(gzipped(gzipped(gzipped(body)))), want: refused},
			{name: "an encoding that is not known", headers: "Content-Encoding: compress", want: refused},
			{name: "an encoding that it has not", headers: "Content-Encoding: gzip", want: refused},
			{name: "an encoding that it does not say", body: gzipped(body), want: refused},
			{name: "a bomb", headers: "Content-Encoding: gzip", body: gzipped(`{"a":"` + strings.Repeat("a", 7<<20) + `"}`), want: refused},
			{name: "larger than is inspected once decoded", headers: "Content-Encoding: br", body: brotlied(strings.Repeat("a", 9<<20)), want: refused},
			{name: "larger than is inspected", body: body + strings.Repeat(" ", 9<<20), want: refused},
			{name: "larger than is inspected, chunked", headers: "Transfer-Encoding: chunked", body: body + strings.Repeat(" ", 9<<20), want: refused},
			{name: "chunked", headers: "Transfer-Encoding: chunked", want: 1},
			{name: "two content types", headers: "+Content-Type: application/json", want: refused},
			{name: "a content type of two", headers: "Content-Type: application/json, text/plain", want: 1},
			{name: "a content type that is none", headers: "Content-Type: ;;;", want: 1},
			{name: "JSON called a form", headers: asForm, want: 1},
			{name: "JSON called parts", headers: asPart, want: refused},
			{name: "a mark of two kinds", body: strings.Replace(body, `"hi"`, `"hi"},"hostMessageCreateContent":{"PremiumInMail":true`, 1), want: refused},
		},
	}
}
