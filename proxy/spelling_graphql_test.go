package proxy_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
)

// A service that speaks GraphQL, as a pack would describe it.
const courierRules = `
  - name: courier.message
    match: {path: /graphql, graphql: {mutation: [sendMessage, inbox.reply], persisted: ['send.*'], reads: ['inbox.*']}}
    recipients: [{json: '$.arguments.to'}, {json: $.arguments.input.to}, {json: $.variables.to}]
    text: [{json: $.arguments.text}, {json: $.variables.text}]
`

func courierSend() send {
	const document = `mutation SendMessage($to: ID!, $text: String) { sendMessage(to: $to, text: $text) { id } }`
	quote := strings.NewReplacer(`"`, `\"`, "\n", `\n`)
	op := func(document, rest string) string { return `{"query":"` + quote.Replace(document) + `"` + rest + `}` }
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	const given = `,"variables":{"to":"bob","text":"hi"}`
	stored := func(hash string) string {
		return `"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + hash + `"}}`
	}
	plain := op(document, `,"operationName":"SendMessage"`+given)
	query := func(list ...string) string {
		v := url.Values{}
		for i := 0; i < len(list); i += 2 {
			v.Set(list[i], list[i+1])
		}
		return v.Encode()
	}
	const read = "query Inbox { inbox { id } }"
	return send{
		host: "courier.example", method: "POST", target: "/graphql", headers: "Authorization: Bearer x\n" + asJSON, body: plain,
		ways: []way{
			{name: "no operationName", body: op(document, given), want: 1},
			{name: "another name for the operation", body: op(strings.Replace(document, "SendMessage", "Inbox", 1), `,"operationName":"Inbox"`+given), want: 1},
			{name: "no name at all", body: op(`mutation{sendMessage(to:"bob",text:"hi"){id}}`, ""), want: 1},
			{name: "an alias", body: op(`mutation { inbox: sendMessage(to: "bob") { id } }`, ""), want: 1},
			{name: "two aliases", body: op(`mutation { a: sendMessage(to: "bob") { id } b: sendMessage(to: "eve") { id } }`, ""), want: 2},
			{name: "two of one key are one", body: op(`mutation { sendMessage(to: "bob") { id } sendMessage(to: "bob") { at } }`, ""), want: 1},
			{name: "in a fragment", body: op(`mutation { ...F } fragment F on Mutation { ... on Mutation { sendMessage(to: "bob") { id } } }`, ""), want: 1},
			{name: "in a fragment of fragments", body: op(`mutation { ...F ...G } fragment F on Mutation { ...G } fragment G on Mutation { ...F x: sendMessage(to: "bob") { id } }`, ""), want: 1},
			{name: "a fragment that is not there", body: op(`mutation { ...F }`, ""), want: refused},
			{name: "below another field", body: op(`mutation { inbox { a: reply(input: {to: "bob"}) { id } b: archive } }`, ""), want: 1},
			{name: "comments, commas and a mark", body: op("\ufeff# query\nmutation,{,,sendMessage # (\n(to:\"bob\"),{id}}", ""), want: 1},
			{name: "a block string", body: op(`mutation { sendMessage(to: "bob", text: """} query { """) { id } }`, ""), want: 1},
			{name: "escapes in the JSON", body: `{"qu\u0065ry":"mutation { send\u004dessage(to: 1) { id } }"}`, want: 1},
			{name: "skipped, perhaps", body: op(`mutation($no: Boolean!) { sendMessage(to: "bob") @skip(if: $no) { id } }`, `,"variables":{"no":false}`), want: 1},
			{name: "of two operations the one that sends", body: op(document+read, `,"operationName":"SendMessage"`+given), want: 1},
			{name: "of two operations the other", body: op(document+read, `,"operationName":"Inbox"`), want: nothing},
			{name: "of two operations no one knows which", body: op(document+read, given), want: 1},
			{name: "of two operations neither", body: op(document+read, `,"operationName":"None"`+given), want: 1},
			{name: "variables in a text", body: op(document, `,"variables":"{\"to\":\"bob\"}"`), want: 1},
			{name: "a list", body: "[" + plain + "," + op(read, "") + "," + plain + "]", want: 2},
			{name: "a list in a list", body: "[[" + plain + "]]", want: refused},
			{name: "a list beside a query", target: "/graphql?" + query("query", document), body: "[" + op(read, "") + "]", want: refused},
			{name: "GET", method: "GET", bare: true, target: "/graphql?" + query("query", document, "variables", `{"to":"bob"}`), want: 1},
			{name: "GET, a stored one", method: "GET", bare: true, target: "/graphql?" + query("queryId", "send.1f", "variables", `{"to":"bob"}`), want: 1},
			{name: "GET, a stored read", method: "GET", bare: true, target: "/graphql?" + query("queryId", "inbox.1f"), want: nothing},
			{name: "GET, a stored one that no rule knows", method: "GET", bare: true, target: "/graphql?" + query("queryId", "other.1f"), want: refused},
			{name: "GET, two queries", method: "GET", bare: true, target: "/graphql?" + query("query", read) + "&" + query("query", document), want: refused},
			{name: "a query in the URL and variables in the body", target: "/graphql?" + query("query", document), body: `{` + given[1:] + `}`, want: 1},
			{name: "a read in the URL and a send in the body", target: "/graphql?" + query("query", read), want: refused},
			{name: "a name in the URL", target: "/graphql?" + query("operationName", "Inbox"), want: refused},
			{name: "a form", headers: asForm, body: query("query", document, "variables", `{"to":"bob"}`), want: 1},
			{name: "parts", headers: asPart, body: parts("name=\"operations\"\n\n"+plain, "name=\"map\"\n\n{\"0\":[\"variables.file\"]}", "name=\"0\"; filename=\"a.txt\"\n\nx"), want: 1},
			{name: "parts with a list", headers: asPart, body: parts("name=\"operations\"\n\n["+plain+","+plain+"]", "name=\"map\"\n\n{}"), want: 2},
			{name: "parts of JSON twice", headers: asPart, body: parts("name=\"operations\"\n\n"+op(read, ""), "name=\"operations\"\n\n"+plain), want: refused},
			{name: "parts of two lists", headers: asPart, body: parts("name=\"operations\"\n\n["+plain+"]", "name=\"operations\"\n\n["+op(read, "")+"]"), want: refused},
			{name: "parts with a query", headers: asPart, body: parts("name=\"query\"\n\n" + `mutation { sendMessage(to: "bob") { id } }`), want: 1},
			{name: "a stored one", body: `{"operationName":"Inbox",` + stored("send.1f") + given + `}`, want: 1},
			{name: "a stored one by documentId", body: `{"documentId":"send.1f"` + given + `}`, want: 1},
			{name: "a stored one by id", body: `{"id":"send.1f"` + given + `}`, want: 1},
			{name: "a stored one that no rule knows", body: `{"operationName":"Inbox",` + stored(hash(document)) + given + `}`, want: refused},
			{name: "a stored read", body: `{` + stored("inbox.1f") + `}`, want: nothing},
			{name: "a read that is being stored", body: op(read, ","+stored(hash(read))), want: nothing},
			{name: "a read with the id of another", body: op(read, ","+stored(hash(document))), want: refused},
			{name: "a read with the id of a send", body: op(read, `,"queryId":"send.1f"`), want: 1},
			{name: "a read", body: op(read, ""), want: nothing},
			{name: "a field of that name in a query", body: op("{ sendMessage { id } }", ""), want: nothing},
			{name: "a mutation of another field", body: op(`mutation { archive(sendMessage: "sendMessage") { sendMessage } }`, ""), want: nothing},
			{name: "a document that is none", body: op("mutation { sendMessage(to: ", ""), want: refused},
			{name: "a schema", body: op("type Query { a: Int }", ""), want: refused},
			{name: "an argument twice", body: op(`mutation { sendMessage(to: "bob", to: "eve") { id } }`, ""), want: refused},
			{name: "a fragment twice", body: op(`mutation { ...F } fragment F on Mutation { id } fragment F on Mutation { sendMessage(to: 1) { id } }`, ""), want: refused},
			{name: "a name in capitals", body: strings.Replace(plain, `"query"`, `"Query"`, 1), want: refused},
			{name: "two queries in capitals", body: op(read, `,"Query":"`+quote.Replace(document)+`"`), want: refused},
			{name: "a document as it is", headers: "Content-Type: application/graphql", body: document, want: refused},
			{name: "a number for a document", body: `{"query":1}`, want: refused},
			{name: "nothing that is GraphQL", body: `{"a":1}`, want: refused},
			{name: "a page to try it", method: "GET", bare: true, want: nothing},
			{name: "deeper than is read", body: op("mutation "+strings.Repeat("{a", 2000)+strings.Repeat("}", 2000), ""), want: refused},
		},
	}
}
