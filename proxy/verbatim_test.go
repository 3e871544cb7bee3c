package proxy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"

	"quotagate/proxy"
)

// asCame are targets whose bytes a signature may have been made over.
var asCame = []string{
	"/send", "/a//b", "//a/b", "/a/../b", "/./a", "/a%2Fb", "/a%2fb", "/%61", "/a;b=c;d", "/a+b", "/a%20b", "/a:b@c", "/a!$&'()*,;=~b",
	"/a|b", "/a%2Fb{c}", "/a^b", "/a[b]", "/a\"b", "/a<b>", "/a`b", "/a\\b",
	"/a?", "/a?b", "/a?b=", "/a?b=c&b=d&&", "/a?b=c+d%20e;f", "/a?b=%2f&c=%2F", "/a?b=c?d=/e", "/a?b={c}|^`\"<>", "/a?(b:List(urn%3Ali%3Ac))",
	"/a?b=%zz", "/a?b=\xc3\xbc",
}

func TestTheTargetGoesAsItCame(t *testing.T) {
	for _, door := range []string{"HTTP/1.1", "HTTP/2", "absolute form", "absolute form, http"} {
		w := newWorld(t, five, http1Upstream)
		origin := newRecorder(t, &w.service.TLS.Certificates[0])
		w.dialTo["chat.example:443"] = origin.addr
		if door == "absolute form, http" {
			origin = newRecorder(t, nil)
			w.dialTo["chat.example:80"] = origin.addr
		}
		for _, target := range asCame {
			before := len(origin.requests())
			var status int
			switch door {
			case "HTTP/1.1":
				status = w.exchange(t, "GET "+target+" HTTP/1.1\r\nHost: chat.example\r\n\r\n").StatusCode
			case "HTTP/2":
				status = w.framed(t).do([]field{{":method", "GET"}, {":path", target}}, "")
			case "absolute form":
				status = w.raw(t, "GET https://chat.example"+target+" HTTP/1.1\r\nHost: chat.example\r\n\r\n").StatusCode
			case "absolute form, http":
				status = w.raw(t, "GET http://chat.example"+target+" HTTP/1.1\r\nHost: chat.example\r\n\r\n").StatusCode
			}
			got := origin.requests()[before:]
			if status != 200 || len(got) != 1 || got[0].line != "GET "+target+" HTTP/1.1" {
				t.Errorf("%s: %s: %d, and the origin read %+v", door, target, status, got)
			}
		}
	}
}

func TestFieldsGoAsTheyCame(t *testing.T) {
	const fields = "Accept: */*\r\nAccept-Encoding: br, gzip;q=0.5, zstd\r\nX-Many: one\r\nX-Many: two, three\r\nX-Many:\r\n" +
		"Cookie: a=b; c=\"d e\"\r\nX-Bytes: \xc3\xbc \xff\r\nX-Tab: a\tb  c\r\nAuthorization: Bearer anna\r\nReferer: https://x/?y#z\r\nRange: bytes=1-2\r\nIf-None-Match: W/\"x\"\r\n" +
		"Content-Encoding: identity\r\nPriority: u=1, i\r\nX-Forwarded-For: 1.2.3.4\r\n"
	w := newWorld(t, five, http1Upstream)
	origin := newRecorder(t, &w.service.TLS.Certificates[0])
	w.dialTo["chat.example:443"] = origin.addr
	for _, host := range []string{"chat.example", "CHAT.Example:443"} {
		for _, request := range []string{
			"GET /read HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n",
			fmt.Sprintf("POST /send HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 12\r\n\r\n%s", host, fields, theMessage),
		} {
			before := len(origin.requests())
			if resp := w.exchange(t, request); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
			got := origin.requests()[before:]
			if len(got) != 1 {
				t.Fatalf("the origin read %+v", got)
			}
			want := strings.Split(strings.TrimSuffix("Host: "+host+"\r\n"+fields, "\r\n"), "\r\n")
			if strings.HasPrefix(request, "POST") {
				want = append(want, "Content-Length: 12")
			}
			have := got[0].header
			for i := range have { // that of an empty value may have a space behind its colon
				have[i] = strings.TrimSpace(have[i])
			}
			// Names are grouped, and their order is Go's; values keep theirs.
			byName := func(lines []string) []string {
				lines = slices.Clone(lines)
				sort.SliceStable(lines, func(i, j int) bool { return name(lines[i]) < name(lines[j]) })
				return lines
			}
			if a, b := byName(want), byName(have); !slices.Equal(a, b) {
				t.Errorf("the client sent  %q\nthe origin read %q", a, b)
			}
		}
	}
}

func name(line string) string { n, _, _ := strings.Cut(line, ":"); return n }

// Answers are not the proxy's to unpack, nor to guess about.
func TestAnswersComeAsTheyWereGiven(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, `{"ok":true}`)
	z.Close()
	for _, upstream := range []option{http1Upstream, func(*world, *proxy.Config, *proxy.Enforcer) {}} {
		w := newWorld(t, five, upstream)
		w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
			h := rw.Header()
			h["Content-Type"], h["Date"] = nil, []string{"Sat, 01 Jan 2000 00:00:00 GMT"}
			if r.URL.Path != "/bare" {
				h.Set("Content-Encoding", "gzip")
			}
			h["Set-Cookie"] = []string{"a=b; Path=/", "c=d, e"}
			h["Vary"] = []string{"Accept", "Cookie"}
			h.Set("X-Bytes", "\xff")
			rw.WriteHeader(299)
			rw.Write(packed.Bytes())
		})
		for _, h2 := range []bool{false, true} {
			for _, path := range []string{"/send", "/read", "/bare"} {
				client := w.client(h2)
				client.Transport.(*http.Transport).DisableCompression = true
				req := w.message(context.Background(), "anna", "bob")
				req.URL.Path = path
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || !bytes.Equal(body, packed.Bytes()) || resp.StatusCode != 299 {
					t.Errorf("%s, http2=%v: %s %q %v", path, h2, resp.Status, body, err)
				}
				h := resp.Header
				if h["Content-Type"] != nil || h.Get("Date") != "Sat, 01 Jan 2000 00:00:00 GMT" || h.Get("X-Bytes") != "\xff" ||
					!slices.Equal(h["Set-Cookie"], []string{"a=b; Path=/", "c=d, e"}) || !slices.Equal(h["Vary"], []string{"Accept", "Cookie"}) {
					t.Errorf("%s, http2=%v: %v", path, h2, h)
				}
			}
		}
	}
}

// Signatures are verified where they arrive, from what arrived, as the two
// specifications say it, and without the code that a client would sign with.
func TestSignedRequestsVerifyAtTheService(t *testing.T) {
	const body = `{"to":"bob","text":"ü 100% a+b"}`
	for _, upstream := range []string{"h1", "h2"} {
		for _, h2 := range []bool{false, true} {
			for _, path := range []string{"/send", "/a%2Fb|c//d;e+f", "/read"} {
				t.Run(fmt.Sprintf("%s from %s, http2=%v", path, upstream, h2), func(t *testing.T) {
					var options []option
					if upstream == "h1" {
						options = append(options, http1Upstream)
					}
					w := newWorld(t, five, options...)
					w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
						got, err := io.ReadAll(r.Body)
						if err != nil {
							t.Error(err)
						}
						target, query, _ := strings.Cut(r.RequestURI, "?")
						if want := sigV4(r.Method, target, query, r.Host, r.Header.Get("X-Amz-Date"), r.Header.Get("X-Amz-Meta"), string(got)); r.Header.Get("X-Signature-V4") != want {
							t.Errorf("SigV4: %s, want %s", r.Header.Get("X-Signature-V4"), want)
						}
						if want := oauth1(r.Method, "https://"+r.Host+target, query, "nonce&1"); r.Header.Get("X-Signature-1") != want {
							t.Errorf("OAuth 1: %s, want %s", r.Header.Get("X-Signature-1"), want)
						}
					})
					const query, date, meta = "b=c+d%20e&a=%2f&a=", "20261121T101010Z", "two  spaces, and ü"
					conn := w.framedOrNot(t, h2)
					status := conn("POST", path+"?"+query, []field{
						{"authorization", "Bearer anna"}, {"x-amz-date", date}, {"x-amz-meta", meta},
						{"x-signature-v4", sigV4("POST", path, query, "chat.example", date, meta, body)},
						{"x-signature-1", oauth1("POST", "https://chat.example"+path, query, "nonce&1")},
					}, body)
					if status != 200 {
						t.Errorf("answered %d", status)
					}
				})
			}
		}
	}
}

// framedOrNot is a client that writes what it is told, in either version.
func (w *world) framedOrNot(t *testing.T, h2 bool) func(method, target string, fields []field, body string) int {
	if h2 {
		f := w.framed(t)
		return func(method, target string, fields []field, body string) int {
			return f.do(append([]field{{":method", method}, {":path", target}}, fields...), body)
		}
	}
	return func(method, target string, fields []field, body string) int {
		head := method + " " + target + " HTTP/1.1\r\nHost: chat.example\r\n"
		for _, f := range fields {
			head += f.name + ": " + f.value + "\r\n"
		}
		return w.exchange(t, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)).StatusCode
	}
}

// sigV4 signs as Amazon's services verify: with the path's bytes as they are, as
// S3 wants them (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html,
// read 2026-11-22).
func sigV4(method, path, query, host, date, meta, body string) string {
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	mac := func(key []byte, s string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(s))
		return m.Sum(nil)
	}
	canonical := strings.Join([]string{method, path, query,
		"host:" + host, "x-amz-date:" + date, "x-amz-meta:" + strings.Join(strings.Fields(meta), " "), "",
		"host;x-amz-date;x-amz-meta", hash(body)}, "\n")
	scope := date[:8] + "/eu-central-1/ses/aws4_request"
	key := mac(mac(mac(mac([]byte("AWS4"+"secret"), date[:8]), "eu-central-1"), "ses"), "aws4_request")
	return hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hash(canonical)))
}

// oauth1 signs as RFC 5849, 3.4, says it.
func oauth1(method, uri, query, nonce string) string {
	escape := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
	pairs := []string{escape("oauth_nonce") + "=" + escape(nonce)}
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		k, _ = url.QueryUnescape(k)
		v, _ = url.QueryUnescape(v)
		pairs = append(pairs, escape(k)+"="+escape(v))
	}
	slices.Sort(pairs)
	m := hmac.New(sha1.New, []byte("consumer&token"))
	io.WriteString(m, method+"&"+escape(uri)+"&"+escape(strings.Join(pairs, "&")))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}
