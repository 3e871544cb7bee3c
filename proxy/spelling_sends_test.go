package proxy_test

import (
	"fmt"
	"strings"
)

// The sends of the table of spellings, but for the LinkedIn web client's.

func list(n int, item string) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }

func restliSend() send {
	const body = `{"recipients":["urn:li:person:a"],"body":"hi","messageType":"MEMBER_TO_MEMBER"}`
	inner := func(url, more string) string {
		return `{"method":"POST","headers":{"Content-Type":"application/json"},"relativeUrl":"` + url + `","body":` + body + more + `}`
	}
	mux := func(list ...string) string {
		all := ""
		for i, one := range list {
			all += fmt.Sprintf(`,"%d":%s`, i, one)
		}
		return `{"requests":{` + all[1:] + `}}`
	}
	return send{
		host: "api.linkedin.com", method: "POST", target: "/rest/messages",
		headers: "Authorization: Bearer x\n" + asJSON, body: body,
		ways: []way{
			{name: "v2", target: "/v2/messages/", want: 1},
			{name: "a batch", headers: "X-RestLi-Method: BATCH_CREATE", body: `{"elements":[` + list(3, body) + `]}`, want: 3},
			{name: "a batch that says nothing", body: `{"elements":[` + list(2, body) + `]}`, want: 2},
			{name: "a batch of InMails counts as both", body: `{"elements":[` + list(2, strings.Replace(body, "MEMBER_TO_MEMBER", "INMAIL", 1)) + `]}`, want: 4},
			{name: "a batch called an open profile", body: `{"messageType":"OPEN_PROFILE","elements":[` + list(2, body) + `]}`, want: 3},
			{name: "a batch in capitals", body: `{"Elements":[` + list(3, body) + `]}`, want: refused},
			{name: "a batch with its list twice", body: `{"elements":[],"elements":[` + body + `]}`, want: refused},
			{name: "a batch of too many", body: `{"elements":[` + list(10_001, "{}") + `]}`, want: refused},
			{name: "the type in capitals", body: strings.Replace(body, `"messageType":"MEMBER_TO_MEMBER"`, `"MessageType":"INMAIL"`, 1), want: refused},
			{name: "multiplexed", target: "/mux", body: mux(inner("/v2/messages", "")), want: 1},
			{name: "multiplexed, with a read", target: "/mux", body: mux(`{"method":"GET","relativeUrl":"/v2/me"}`, inner("/v2/messages", "")), want: 1},
			{name: "multiplexed, behind a prefix", target: "/v2/mux", body: mux(inner("/messages", ""), inner("messages", "")), want: 2},
			{name: "multiplexed, behind a prefix, from the root", target: "/rest/mux", body: mux(inner("/rest/messages", "")), want: 1},
			{name: "multiplexed, its path encoded", target: "/m%75x", body: mux(inner("/v2/x/..%2fmess%61ges", "")), want: 1},
			{name: "multiplexed, after a read", target: "/mux", body: mux(`{"method":"GET","relativeUrl":"/v2/me","dependentRequests":{"7":` + inner("/v2/messages", "") + `}}`), want: 1},
			{name: "multiplexed, after one of them", target: "/mux", body: mux(inner("/v2/messages", `,"dependentRequests":{"7":`+inner("/v2/messages", "")+`}`)), want: 2},
			{name: "multiplexed, two steps deep", target: "/mux", body: mux(`{"method":"GET","relativeUrl":"/v2/me","dependentRequests":{"7":{"method":"GET","relativeUrl":"/v2/me","dependentRequests":{"8":` + inner("/v2/messages", "") + `}}}}`), want: refused},
			{name: "multiplexed, in capitals", target: "/mux", body: strings.Replace(mux(inner("/v2/messages", "")), "relativeUrl", "RelativeUrl", 1), want: refused},
			{name: "multiplexed, in a batch of its own", target: "/mux", body: mux(`{"method":"POST","relativeUrl":"/mux","body":` + mux(inner("/v2/messages", "")) + `}`), want: refused},
			{name: "multiplexed, the query in the body", target: "/mux", headers: "X-HTTP-Method-Override: POST\nContent-Type: multipart/mixed; boundary=b", body: "--b\r\nContent-Type: application/json\r\n\r\n" + mux(inner("/v2/messages", "")) + "\r\n--b--", want: 1},
			{name: "multiplexed reads", target: "/mux", body: mux(`{"method":"GET","relativeUrl":"/v2/me","dependentRequests":{}}`), want: nothing},
			{name: "a page called mux", method: "GET", target: "/company/mux", bare: true, want: nothing},
			{name: "tunnelled", headers: "X-HTTP-Method-Override: POST\nContent-Type: multipart/mixed; boundary=b", body: "--b\r\nContent-Type: application/json\r\n\r\n" + body + "\r\n--b--", want: 1},
		},
	}
}

func slackSend() send {
	const to = "/api/chat.postMessage"
	bearer := "Authorization: Bearer xoxb-1"
	return send{
		host: "slack.com", method: "POST", target: to, headers: bearer + "\n" + asForm, body: "channel=C1&text=hi",
		ways: []way{
			{name: "JSON", headers: asJSON + ";charset=utf-8", body: `{"channel":"C1","text":"hi"}`, want: 1},
			{name: "JSON called a form", body: `{"channel":"C1","text":"hi"}`, want: 1},
			{name: "a form called JSON", headers: asJSON, want: 1},
			{name: "a form of no type", headers: "Content-Type:", want: 1},
			{name: "multipart", headers: asPart, body: parts("name=\"channel\"\n\nC1", "name=\"text\"\n\nhi"), want: 1},
			{name: "a query alone", method: "GET", target: to + "?channel=C1&text=hi&token=xoxb-1", bare: true, want: 1},
			{name: "the method's name in capitals", target: "/API/Chat.PostMessage", want: 1},
			{name: "the token in the form", headers: "Authorization:", body: "token=xoxb-1&channel=C1", want: 1},
			{name: "a field twice", body: "channel=C1&channel=C2", want: 1},
			{name: "escapes and a semicolon", body: "%63hannel=C1;text=hi", want: 1},
			{name: "another channel in the query", target: to + "?channel=C2", want: refused},
			{name: "the same channel in the query", target: to + "?channel=C1", want: 1},
			{name: "JSON and another channel as a form", body: `{"channel":"C1","x":"&channel=C2&"}`, want: refused},
			{name: "parts and another channel as a form", body: strings.Replace(parts("name=\"channel\"\n\nC1&channel=C2&x="), "--b--", "--b--", 1), want: 1},
			{name: "no body", bare: true, headers: "Content-Type:", want: 1},
			{name: "a body of no length", body: " ", want: 1},
			{name: "no form and no JSON", headers: "Content-Type: application/xml", body: "<channel>C1</channel>", want: refused},
			{name: "another name for a file's channel", target: "/api/files.completeUploadExternal", body: "channel.id=C1", want: refused},
			{name: "a file that is shared", target: "/api/files.completeUploadExternal", body: "channel_id=C1", want: 1},
			{name: "a file that is not shared", target: "/api/files.completeUploadExternal", body: "files=[]", want: nothing},
			{name: "a read", target: "/api/conversations.list", want: nothing},
		},
	}
}

func webhookSend() send {
	return send{
		host: "hooks.slack.com", method: "POST", target: "/services/T1/B1/x", headers: asForm, body: `payload=%7B%22text%22%3A%22hi%22%7D`,
		ways: []way{
			{name: "JSON", headers: asJSON, body: `{"text":"hi"}`, want: 1},
			{name: "parts", headers: asPart, body: parts("name=\"payload\"\nContent-Type: application/json\n\n{}"), want: 1},
			{name: "two teams in one path", target: "/services/T1;x/B1/x", want: refused},
		},
	}
}

func telegramSend() send {
	const to = "/bot12:x/sendMessage"
	part := func(list ...string) string { return parts(list...) }
	return send{
		host: "api.telegram.org", method: "POST", target: to, headers: asJSON, body: `{"chat_id":1,"text":"hi"}`,
		ways: []way{
			{name: "a form", headers: asForm, body: "chat_id=1&text=hi", want: 1},
			{name: "a query", method: "GET", target: to + "?chat_id=1&text=hi", bare: true, want: 1},
			{name: "GET with a body", method: "GET", want: 1},
			{name: "another method altogether", method: "BREW", want: 1},
			{name: "the method's name in capitals", target: "/BOT12:x/SENDMESSAGE", want: 1},
			{name: "a number as text", body: `{"chat_id":"1"}`, want: 1},
			{name: "another chat in the query", target: to + "?chat_id=2", want: refused},
			{name: "the chat in capitals", body: `{"Chat_Id":1}`, want: refused},
			{name: "the chat as a list", headers: asForm, body: "chat_id[]=1", want: refused},
			{name: "parts", headers: asPart, body: part("name=\"chat_id\"\n\n1", "name=\"text\"\n\nhi"), want: 1},
			{name: "parts, chunked", headers: asPart + "\nTransfer-Encoding: chunked", body: part("name=\"chat_id\"\n\n1"), want: 1},
			{name: "parts, no content type", headers: "Content-Type:", body: part("name=\"chat_id\"\n\n1"), want: 1},
			{name: "parts, quoted boundary", headers: "Content-Type: multipart/form-data; boundary=\"b\"", body: part("name=\"chat_id\"\n\n1"), want: 1},
			{name: "parts, boundary of odd characters", headers: "Content-Type: multipart/form-data; boundary=\"'()+_,-./:=?\"", body: strings.ReplaceAll(part("name=\"chat_id\"\n\n1"), "--b", "--'()+_,-./:=?"), want: 1},
			{name: "parts, boundary that none may have", headers: "Content-Type: multipart/form-data; boundary=\"<b>\"", body: strings.ReplaceAll(part("name=\"chat_id\"\n\n1"), "--b", "--<b>"), want: refused},
			{name: "parts, two boundaries", headers: asPart + "; boundary=c", body: part("name=\"chat_id\"\n\n1"), want: refused},
			{name: "parts, preamble and epilogue", headers: asPart, body: "pre\r\n" + part("name=\"chat_id\"\n\n1") + "post", want: 1},
			{name: "parts behind the end", headers: asPart, body: part("name=\"chat_id\"\n\n1") + part("name=\"chat_id\"\n\n2"), want: refused},
			{name: "parts, a delimiter that goes on", headers: asPart, body: part("name=\"chat_id\"\n\n1\r\n--bb\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n2"), want: refused},
			{name: "parts, no end", headers: asPart, body: strings.TrimSuffix(part("name=\"chat_id\"\n\n1"), "--b--\r\n"), want: refused},
			{name: "parts, bare line feeds", headers: asPart, body: strings.ReplaceAll(part("name=\"chat_id\"\n\n1"), "\r\n", "\n"), want: 1},
			{name: "parts, a name twice", headers: asPart, body: part("name=\"chat_id\"\n\n1", "name=\"chat_id\"\n\n2"), want: 1},
			{name: "parts, a file's name on a text", headers: asPart, body: part("name=\"chat_id\"; filename=\"x\"\n\n1"), want: 1},
			{name: "parts, a name without quotes", headers: asPart, body: part("name=chat_id\n\n1"), want: 1},
			{name: "parts, a name in single quotes", headers: asPart, body: part("name='chat_id'\n\n1"), want: refused},
			{name: "parts, a name with a backslash", headers: asPart, body: part("name=\"chat\\_id\"\n\n1"), want: refused},
			{name: "parts, a name of RFC 5987", headers: asPart, body: part("name*=utf-8''chat_id\n\n1"), want: refused},
			{name: "parts, a name with a dot", headers: asPart, body: part("name=\"chat.id\"\n\n1"), want: refused},
			{name: "parts, two dispositions", headers: asPart, body: part("name=\"a\"\nContent-Disposition: form-data; name=\"chat_id\"\n\n1"), want: refused},
			{name: "parts, base64", headers: asPart, body: part("name=\"chat_id\"\nContent-Transfer-Encoding: base64\n\nMQ=="), want: refused},
			{name: "parts, quoted-printable", headers: asPart, body: part("name=\"chat_id\"\nContent-Transfer-Encoding: quoted-printable\n\n=31"), want: refused},
			{name: "parts, 8bit", headers: asPart, body: part("name=\"chat_id\"\nContent-Transfer-Encoding: 8bit\n\n1"), want: 1},
			{name: "parts, compressed in compressed", headers: asPart + "\nContent-Encoding: gzip", body: gzipped(part("name=\"chat_id\"\nContent-Encoding: gzip\n\n" + gzipped("1"))), want: refused},
			{name: "an album", target: "/bot12:x/sendMediaGroup", body: `{"chat_id":1,"media":[1,2,3]}`, want: 3},
			{name: "an album in a field", target: "/bot12:x/sendMediaGroup", headers: asForm, body: "chat_id=1&media=%5B1,2,3%5D", want: 3},
			{name: "an album in capitals", target: "/bot12:x/sendMediaGroup", body: `{"chat_id":1,"Media":[1,2,3]}`, want: refused},
			{name: "two albums", target: "/bot12:x/sendMediaGroup?media=[1]", body: `{"chat_id":1,"media":[1,2,3]}`, want: refused},
			{name: "another bot in a header", headers: "X-Original-URL: /bot13:x/sendMessage", want: refused},
			{name: "the same bot in a header", headers: "X-Original-URL: https://api.telegram.org" + to, want: 1},
			{name: "two bots in one path", target: "/bot13:x%2f..%2fbot12:x/sendMessage", want: refused},
			{name: "two bots in one path, the other way", target: `/bot13:x\..\bot12:x/sendMessage`, want: refused},
			{name: "a read", target: "/bot12:x/getMe", want: nothing},
		},
	}
}

func discordSend() send {
	const to = "/api/v10/channels/77/messages"
	return send{
		host: "discord.com", method: "POST", target: to, headers: "Authorization: Bot x\n" + asJSON, body: `{"content":"hi","nonce":"1"}`,
		ways: []way{
			{name: "no version", target: "/api/channels/77/messages", want: 1},
			{name: "payload_json", headers: asPart, body: parts("name=\"payload_json\"\nContent-Type: application/json\n\n{\"content\":\"hi\",\"nonce\":\"1\"}", "name=\"files[0]\"; filename=\"a.png\"\nContent-Type: image/png\n\n\x89PNG"), want: 1},
			{name: "payload_json with a nearly nonce", headers: asPart, body: parts("name=\"payload_json\"\n\n{\"content\":\"hi\",\"Nonce\":\"1\"}"), want: refused},
			{name: "another channel by a parameter", target: "/api/v10/channels/77;x/messages", want: refused},
			{name: "another channel by dots", target: "/api/v10/channels/78/../77/messages", want: 1},
			{name: "PUT", method: "PUT", want: nothing},
			{name: "PUT that means POST by its form", method: "POST", headers: asForm, body: "content=hi&_method=POST", want: 1},
		},
	}
}

func whatsappSend() send {
	const body = `{"messaging_product":"whatsapp","to":"1","type":"text","text":{"body":"hi"}}`
	inner := `{"method":"POST","relative_url":"v21.0/123/messages","body":"messaging_product=whatsapp&to=1"}`
	return send{
		host: "graph.facebook.com", method: "POST", target: "/v21.0/123/messages", headers: "Authorization: Bearer x\n" + asJSON, body: body,
		ways: []way{
			{name: "a form", headers: asForm, body: "messaging_product=whatsapp&to=1", want: 1},
			{name: "GET with method", method: "GET", target: "/v21.0/123/messages?method=post&to=1", bare: true, want: 1},
			{name: "another recipient in the query", target: "/v21.0/123/messages?to=2", want: refused},
			{name: "a batch", target: "/", body: `{"batch":[` + list(3, inner) + `]}`, want: 3},
			{name: "a batch in a form", target: "/v21.0/", headers: asForm, body: "access_token=x&batch=[" + strings.ReplaceAll(list(2, inner), "&", "%26") + "]", want: 2},
			{name: "a batch in parts", target: "/", headers: asPart, body: parts("name=\"batch\"\n\n[" + inner + "]"), want: 1},
			{name: "a batch in capitals", target: "/", body: `{"Batch":[` + inner + `]}`, want: refused},
			{name: "a batch whose method is in capitals", target: "/", body: `{"batch":[` + strings.Replace(inner, `"method":"POST"`, `"Method":"GET"`, 1) + `]}`, want: refused},
			{name: "a batch of too many", target: "/", body: `{"batch":[` + list(1001, inner) + `]}`, want: refused},
			{name: "a batch that is not valid", target: "/", headers: asForm, body: "batch=[{'method':'POST'}]", want: refused},
			{name: "a batch of reads", target: "/", body: `{"batch":[{"method":"GET","relative_url":"me"}]}`, want: nothing},
		},
	}
}

func twilioSend() send {
	const to = "/2010-04-01/Accounts/AC1/Messages.json"
	return send{
		host: "api.twilio.com", method: "POST", target: to, headers: "Authorization: Basic QUMxOng=\n" + asForm, body: "To=%2B1&From=%2B2&Body=hi",
		ways: []way{
			{name: "no extension", target: "/2010-04-01/Accounts/AC1/Messages", want: 1},
			{name: "small names", body: "to=%2B1&from=%2B2&body=hi", want: refused},
			{name: "a name twice", body: "To=1&To=2&Body=hi", want: 1},
			{name: "a type with a charset", headers: asForm + "; charset=UTF-8", want: 1},
			{name: "a type in capitals", headers: "Content-Type: Application/X-WWW-Form-URLEncoded", want: 1},
			{name: "a malformed type", headers: asForm + "; charset", want: 1},
			{name: "gzip", headers: "Content-Encoding: gzip", body: gzipped("To=1&Body=hi"), want: 1},
			{name: "another's send, his host in X-Forwarded-Host", target: "/v3/mail/send", headers: "X-Forwarded-Host: api.sendgrid.com", want: refused},
			{name: "another's send, his host in X-Forwarded-Host, behind its own", target: "/v3/mail/send", headers: "X-Forwarded-Host: api.twilio.com, API.SendGrid.com.:443", want: refused},
			{name: "another's send, his host in X_Host", target: "/v3/mail/send", headers: "X_Host: api.sendgrid.com", want: refused},
			{name: "another's send, his host in Forwarded", target: "/v3/mail/send", headers: "Forwarded: for=192.0.2.1;Host=\"api.sendgrid.com:443\"", want: refused},
			{name: "another's host, no send of his", headers: "X-Forwarded-Host: api.sendgrid.com", want: 1},
			{name: "its own host in X-Forwarded-Host", headers: "X-Forwarded-Host: api.twilio.com", want: 1},
			{name: "another's read, his host in X-Forwarded-Host", target: "/v3/templates", headers: "X-Forwarded-Host: api.sendgrid.com", want: nothing},
			{name: "a read", method: "GET", bare: true, want: nothing},
		},
	}
}

func sendgridSend() send {
	body := `{"personalizations":[{"to":[{"email":"a@b.c"},{"email":"d@e.f"}]}],"from":{"email":"x@y.z"},"content":[{"type":"text/plain","value":"hi"}]}`
	return send{
		host: "api.sendgrid.com", method: "POST", target: "/v3/mail/send", headers: "Authorization: Bearer x\n" + asJSON, body: body,
		ways: []way{
			{name: "the recipients in capitals", body: strings.Replace(body, `"to"`, `"To"`, 1), want: refused},
			{name: "an address in capitals, deep", body: strings.Replace(body, `"email":"d`, `"Email":"d`, 1), want: refused},
			{name: "the recipients twice", body: strings.Replace(body, `"to":`, `"to":[],"to":`, 1), want: refused},
			{name: "nested too deep", body: strings.Repeat(`{"a":`, 300) + "1" + strings.Repeat("}", 300), want: refused},
			{name: "too many recipients", body: `{"personalizations":[{"to":[` + manyAddresses(10_001) + `]}]}`, want: refused},
			{name: "an odd type", headers: "Content-Type: application/vnd.mail+json; version=1", want: 1},
		},
	}
}

func manyAddresses(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"email":"`)
		for j := i; ; j /= 10 {
			b.WriteByte(byte('0' + j%10))
			if j < 10 {
				break
			}
		}
		b.WriteString(`@a"}`)
	}
	return b.String()
}

func graphSend() send {
	const mail = `{"message":{"toRecipients":[{"emailAddress":{"address":"a@b"}}]}}`
	const inner = `{"id":"1","method":"POST","url":"/me/sendMail","headers":{"Content-Type":"application/json"},"body":` + mail + `}`
	batch := func(more ...string) string { return `{"requests":[` + strings.Join(more, ",") + `]}` }
	return send{
		host: "graph.microsoft.com", method: "POST", target: "/v1.0/me/sendMail", headers: "Authorization: Bearer x\n" + asJSON, body: mail,
		ways: []way{
			{name: "a batch", target: "/v1.0/$batch", body: batch(inner, inner), want: 2},
			{name: "a batch, its name encoded", target: "/v1.0/%24batch", body: batch(inner), want: 1},
			{name: "a batch in capitals", target: "/v1.0/$batch", body: strings.Replace(batch(inner), "requests", "Requests", 1), want: refused},
			{name: "a batch, the URL in capitals", target: "/v1.0/$batch", body: strings.Replace(batch(inner), `"url"`, `"URL"`, 1), want: refused},
			{name: "a batch with a mail and a read", target: "/v1.0/$batch", body: batch(inner, `{"id":"2","method":"GET","url":"/me"}`), want: 1},
			{name: "a batch with what no rule knows", target: "/v1.0/$batch", body: batch(inner, `{"id":"2","method":"POST","url":"/me/messages"}`), want: refused},
			{name: "a batch with a read that means more", target: "/v1.0/$batch", body: batch(inner, `{"id":"2","method":"GET","url":"/me","headers":{"X-HTTP-Method":"DELETE"}}`), want: refused},
			{name: "a batch with two types", target: "/v1.0/$batch", body: batch(strings.Replace(inner, `"Content-Type":"application/json"`, `"Content-Type":"application/json","content-type":"text/plain"`, 1)), want: refused},
			{name: "a batch with a read that a header leads to a mail", target: "/v1.0/$batch", body: batch(`{"id":"2","method":"POST","url":"/me/x","headers":{"X-Rewrite-URL":"/v1.0/me/sendMail"}}`), want: refused},
			{name: "a batch in a batch", target: "/v1.0/$batch", body: batch(`{"id":"1","method":"POST","url":"/$batch","body":` + batch(inner) + `}`), want: refused},
			{name: "a batch of another host", target: "/v1.0/$batch", body: batch(strings.Replace(inner, "/me/sendMail", "https://other.example/me/sendMail", 1)), want: refused},
			{name: "a batch of too many", target: "/v1.0/$batch", body: batch(list(1001, inner)), want: refused},
			{name: "what no rule knows", target: "/v1.0/me/messages", want: refused},
			{name: "a read", method: "GET", target: "/v1.0/me", bare: true, want: nothing},
			{name: "a read that means more", method: "GET", target: "/v1.0/me?_method=DELETE", bare: true, want: refused},
		},
	}
}

func roomsSend() send {
	const to = "/rooms/r1/send/t1"
	return send{
		host: "rooms.example", method: "PUT", target: to, headers: "Authorization: Bearer x\n" + asJSON, body: `{"body":"hi"}`,
		ways: []way{
			{name: "POST that means PUT, by a header", method: "POST", headers: "X-HTTP-Method-Override: PUT", want: 1},
			{name: "POST that means PUT, by a header with underscores", method: "POST", headers: "X_HTTP_METHOD_OVERRIDE: PUT", want: 1},
			{name: "POST that means PUT, by its form", method: "POST", headers: asForm, body: "body=hi&_method=PUT", want: 1},
			{name: "POST that means PUT, by its parts", method: "POST", headers: asPart, body: parts("name=\"_method\"\n\nput"), want: 1},
			{name: "POST that means PUT, by its query", method: "POST", target: to + "?_method=put", want: 1},
			{name: "POST", method: "POST", want: refused},
			{name: "two rooms", target: "/rooms/r1;x/send/t1", want: refused},
			{name: "an encoded number sign in the id", target: "/rooms/r1/send/t1%23x", want: refused},
			{name: "a WebSocket", method: "GET", target: "/live", headers: "Connection: Upgrade\nUpgrade: websocket", bare: true, want: refused},
			{name: "a read", method: "GET", target: "/rooms/r1", bare: true, want: nothing},
		},
	}
}
