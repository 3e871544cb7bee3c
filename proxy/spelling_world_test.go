package proxy_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"quotagate/proxy"
)

// The services of the table of spellings: those of the packs, and more as a
// pack would describe them.
const spellingRules = `
version: 1
use: [linkedin, slack, telegram]
services:
  discord: {hosts: [discord.com], account: {header: authorization, as: discord.token, secret: true}}
  graph: {hosts: [graph.microsoft.com], account: {bearer: true, secret: true}, unmatched: reject}
  meta: {hosts: [graph.facebook.com], account: [{bearer: true, as: meta.token, secret: true}, {form: access_token, as: meta.token, secret: true}, {query: access_token, as: meta.token, secret: true}]}
  twilio: {hosts: [api.twilio.com], account: {basic_user: true}}
  sendgrid: {hosts: [api.sendgrid.com], account: {bearer: true, secret: true}}
  courier: {hosts: [courier.example], account: {bearer: true, secret: true}}
  rooms: {hosts: [rooms.example], account: {bearer: true, secret: true}, unmatched: reject, websockets: reject}
messages:
  - name: discord.message
    match: {method: POST, path: ['/api/channels/{channel}/messages', '/api/v{n}/channels/{channel}/messages']}
    recipients: {path: channel}
    text: [{json: $.content}, {form: content}, {form: payload_json, decode: json, json: $.content}]
    id: [{json: $.nonce}, {form: payload_json, decode: json, json: $.nonce}]
  - name: meta.message
    match: {method: POST, path: ['/v{n}/{phone}/messages', '/{phone}/messages']}
    account: {path: phone, as: meta.phone}
    recipients: [{json: $.to, fold: phone}, {form: to, fold: phone}, {query: to, fold: phone}]
  - name: meta.batch
    match: {method: POST, path: ['/', '/v{n}']}
    each: $.batch[*]
    inner: {method: {json: $.method}, url: {json: $.relative_url}, base: 'https://graph.facebook.com/', body: $.body}
  - name: graph.mail
    match: {method: POST, path: [/v1.0/me/sendMail, '/v1.0/users/{user}/sendMail']}
    recipients: {json: '$.message.toRecipients[*].emailAddress.address'}
  - name: graph.batch
    match: {method: POST, path: '/{version}/$batch'}
    each: $.requests[*]
    inner: {method: {json: $.method}, url: {json: $.url}, base: '/{version}', header: $.headers, body: $.body}
  - name: twilio.message
    match: {method: POST, path: ['/2010-04-01/Accounts/{sid}/Messages.json', '/2010-04-01/Accounts/{sid}/Messages']}
    recipients: {form: To, fold: phone}
    text: {form: Body}
  - name: sendgrid.mail
    match: {method: POST, path: /v3/mail/send}
    recipients: {json: '$.personalizations[*].to[*].email', fold: email}
  - name: rooms.message
    match: {method: PUT, path: '/rooms/{room}/send/{txn}'}
    recipients: {path: room}
    id: {path: txn}
` + courierRules + `
defaults: {wait: 0s}
limits:
  - {name: all, on: "*", allow: ALLOW, per: day}
  - {name: each, on: "*", allow: ALLOW, per: day, by: recipient}
`

var spellingHosts = []string{
	"www.linkedin.com", "api.linkedin.com", "slack.com", "hooks.slack.com", "api.telegram.org", "discord.com",
	"graph.microsoft.com", "graph.facebook.com", "api.twilio.com", "api.sendgrid.com", "rooms.example", "courier.example",
}

// A spelled is a proxy in front of every service, which count for themselves
// what reaches them.
type spelled struct {
	*world
	reached atomic.Int64
	version atomic.Value // of the latest request
}

// newSpelled is one whose services speak a version of HTTP.
func newSpelled(t *testing.T, allow, version string) *spelled {
	s := &spelled{}
	ca := newTestCA(t)
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		s.reached.Add(1)
		s.version.Store(r.Proto)
		io.WriteString(rw, `{"ok":true}`)
	}))
	upstream.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, spellingHosts...)}}
	upstream.EnableHTTP2 = version == "HTTP/2.0"
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.world = newWorld(t, five, func(w *world, _ *proxy.Config, e *proxy.Enforcer) {
		dialer := &net.Dialer{}
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: ca.pool()}, DisableCompression: true, ForceAttemptHTTP2: upstream.EnableHTTP2,
		}
		upstream.StartTLS()
		t.Cleanup(upstream.Close)
		t.Cleanup(transport.CloseIdleConnections)
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, upstream.Listener.Addr().String())
		}
		e.Next = transport
		e.MaxBody = 8 << 20
		w.set.Store(mustLoad(t, strings.ReplaceAll(spellingRules, "ALLOW", allow)))
	})
	return s
}

// What bodies are wrapped in.

func gzipped(s string) string  { return squeezed(s, gzip.NewWriter) }
func deflated(s string) string { return squeezed(s, zlib.NewWriter) }
func brotlied(s string) string { return squeezed(s, brotli.NewWriter) }

func squeezed[W io.WriteCloser](s string, writer func(io.Writer) W) string {
	var b bytes.Buffer
	w := writer(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func zstded(s string) string {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err.Error()
	}
	return string(w.EncodeAll([]byte(s), nil))
}

func utf16ed(order binary.AppendByteOrder, mark bool, s string) string {
	var out []byte
	if mark {
		out = order.AppendUint16(out, 0xfeff)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		out = order.AppendUint16(out, u)
	}
	return string(out)
}

func utf32ed(s string) string {
	var out []byte
	for _, r := range s {
		out = binary.LittleEndian.AppendUint32(out, uint32(r))
	}
	return string(out)
}

func chunked(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		n := min(max(7, len(s)/20), len(s))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, s[:n])
		s = s[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// parts is a multipart body of the boundary b; each part is its header after
// "Content-Disposition: form-data; ", an empty line and its value.
func parts(list ...string) string {
	var b strings.Builder
	for _, p := range list {
		head, value, _ := strings.Cut(p, "\n\n")
		b.WriteString("--b\r\nContent-Disposition: form-data; " + strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + value + "\r\n")
	}
	return b.String() + "--b--\r\n"
}
