package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestFieldsOfOneConnectionGoNoFurther(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	var got http.Header
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		got = r.Header
		h := rw.Header()
		h["Connection"] = []string{"X-Hop-Back, keep-alive", "x-second-back"}
		for _, name := range []string{"X-Hop-Back", "X-Second-Back", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Upgrade", "X-Stays"} {
			h.Set(name, "value")
		}
	})
	for _, path := range []string{"/send", "/read"} { // one is governed, one is not
		const fields = "Connection: close, X-Hop\r\nConnection: x-second,,\r\nX-Hop: 1\r\nX-Second: 2\r\nX-Stays: 3\r\n" +
			"Keep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic YTpi\r\nTE: gzip, trailers\r\nUpgrade: websocket\r\n"
		body := `{"to":"bob"}`
		resp := w.exchange(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\n%sContent-Length: %d\r\n\r\n%s", path, fields, len(body), body))
		if resp.StatusCode != 200 || got == nil {
			t.Fatalf("%s: %s", path, resp.Status)
		}
		for _, name := range []string{"X-Hop", "X-Second", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade", "Connection"} {
			if v, ok := got[name]; ok {
				t.Errorf("%s: the service got %s: %q", path, name, v)
			}
		}
		if te := got["Te"]; len(te) != 1 || te[0] != "trailers" {
			t.Errorf("%s: the service got TE: %q", path, te)
		}
		if got.Get("X-Stays") != "3" {
			t.Errorf("%s: the service got X-Stays: %q", path, got.Get("X-Stays"))
		}
		for _, name := range []string{"X-Hop-Back", "X-Second-Back", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Upgrade"} {
			if v, ok := resp.Header[name]; ok {
				t.Errorf("%s: the client got %s: %q", path, name, v)
			}
		}
		if resp.Header.Get("X-Stays") != "value" {
			t.Errorf("%s: the client got X-Stays: %q", path, resp.Header.Get("X-Stays"))
		}
		got = nil
	}
	if resp := w.exchange(t, "GET /read HTTP/1.1\r\nHost: chat.example\r\nTE: gzip\r\n\r\n"); resp.StatusCode != 200 || got["Te"] != nil {
		t.Errorf("%s, and the service got TE: %q", resp.Status, got["Te"])
	}
}

func TestEarlyAnswersPassWithoutWhatIsOurs(t *testing.T) {
	for _, upstream := range []string{"h1", "h2"} {
		for _, h2 := range []bool{false, true} {
			for _, path := range []string{"/send", "/read"} {
				t.Run(fmt.Sprintf("%s from %s, http2=%v", path, upstream, h2), func(t *testing.T) {
					var options []option
					if upstream == "h1" {
						options = append(options, http1Upstream)
					}
					w := newWorld(t, five, options...)
					w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
						h := rw.Header()
						for _, link := range []string{"</a.css>", "</b.css>"} {
							h.Set("Link", link)
							h.Set("Quotagate-Decision", "reject")
							h.Set("Quotagate-Forged", "yes")
							h.Set("Alt-Svc", `h3=":443"`)
							h.Set("Proxy-Authenticate", "Basic")
							rw.WriteHeader(http.StatusEarlyHints)
						}
						clear(h)
						h.Set("X-Last", "yes")
						io.WriteString(rw, "whole")
					})
					var hints []string
					req := w.message(context.Background(), "anna", "bob")
					req.URL.Path = path
					req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
						Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
							hints = append(hints, fmt.Sprint(code, h["Link"]))
							for _, name := range []string{"Quotagate-Decision", "Quotagate-Forged", "Alt-Svc", "Proxy-Authenticate"} {
								if v, ok := h[name]; ok {
									t.Errorf("an early answer has %s: %q", name, v)
								}
							}
							return nil
						},
					}))
					resp, err := w.client(h2).Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					body, err := io.ReadAll(resp.Body)
					if got := strings.Join(hints, " "); got != "103 [</a.css>] 103 [</b.css>]" {
						t.Errorf("hints %q", got)
					}
					if resp.StatusCode != 200 || string(body) != "whole" || err != nil || resp.Header.Get("X-Last") != "yes" {
						t.Errorf("%s %q %v", resp.Status, body, err)
					}
					if link := resp.Header["Link"]; link != nil {
						t.Errorf("what was hinted is in the answer: %q", link)
					}
				})
			}
		}
	}
}

func TestTrailersReachTheClientWithoutWhatIsOurs(t *testing.T) {
	for _, upstream := range []string{"h1", "h2"} {
		for _, h2 := range []bool{false, true} {
			for _, announced := range []string{"all", "some", "none"} {
				t.Run(fmt.Sprintf("%s announced, from %s, http2=%v", announced, upstream, h2), func(t *testing.T) {
					var options []option
					if upstream == "h1" {
						options = append(options, http1Upstream)
					}
					w := newWorld(t, five, options...)
					w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
						h := rw.Header()
						if announced == "all" {
							h.Add("Trailer", "Quotagate-Forged")
							h.Add("Trailer", "Grpc-Message")
						}
						if announced != "none" {
							h.Add("Trailer", "Grpc-Status")
						}
						io.WriteString(rw, "whole")
						rw.(http.Flusher).Flush()
						for _, name := range []string{"Grpc-Status", "Grpc-Message", "Quotagate-Forged"} {
							if announced == "none" || announced == "some" && name != "Grpc-Status" {
								name = http.TrailerPrefix + name
							}
							h.Set(name, "7")
						}
					})
					for _, path := range []string{"/send", "/read"} {
						req := w.message(context.Background(), "anna", "bob")
						req.URL.Path = path
						resp, err := w.client(h2).Do(req)
						if err != nil {
							t.Fatal(err)
						}
						if _, told := resp.Trailer["Grpc-Status"]; told != (announced != "none") {
							t.Errorf("%s: announced %v", path, resp.Trailer)
						}
						body, err := io.ReadAll(resp.Body)
						resp.Body.Close()
						if string(body) != "whole" || err != nil {
							t.Errorf("%s: %q %v", path, body, err)
						}
						if got := resp.Trailer; got.Get("Grpc-Status") != "7" || got.Get("Grpc-Message") != "7" {
							t.Errorf("%s: trailers %v", path, got)
						}
						if v := resp.Trailer["Quotagate-Forged"]; len(v) > 0 {
							t.Errorf("%s: a trailer says Quotagate-Forged: %q", path, v)
						}
					}
				})
			}
		}
	}
}

// Which of two Content-Types a service goes by is its own affair: no message
// may hide behind the other.
func TestTwoContentTypesHideNoMessage(t *testing.T) {
	w := newWorld(t, "limits: [{name: chat.bob, on: chat.message, allow: 0, per: day, by: recipient}]\n", http1Upstream)
	const form = "to=bob&text=hello"
	const multi = "--B\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nbob\r\n--B--\r\n"
	set := strings.Replace(chat, "recipients: [{json: $.to}]", "recipients: [{json: $.to}, {form: to}]", 1)
	w.set.Store(mustLoad(t, set+"limits: [{name: chat.bob, on: chat.message, allow: 0, per: day, by: recipient}]\n"))
	for _, types := range [][2]string{
		{"text/plain", "application/json"}, {"application/json", "text/plain"},
		{"application/x-www-form-urlencoded", "application/json"}, {"application/json", "application/x-www-form-urlencoded"},
		{"multipart/form-data; boundary=B", "application/x-www-form-urlencoded"}, {"application/x-www-form-urlencoded", "multipart/form-data; boundary=B"},
		{"multipart/form-data; boundary=A", "multipart/form-data; boundary=B"}, {"multipart/form-data; boundary=B", "multipart/form-data; boundary=A"},
	} {
		for _, body := range []string{`{"to":"bob","text":"hello"}`, form, multi} {
			resp := w.exchange(t, fmt.Sprintf("POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nContent-Type: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", types[0], types[1], len(body), body))
			if resp.StatusCode < 400 {
				t.Errorf("%q, %q: %s", types, body, resp.Status)
			}
		}
	}
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

// A hop to an old client: it cannot take what comes before an answer.
func TestAnOldClientGetsOneAnswer(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	w.service.respond(func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(http.StatusEarlyHints)
		io.WriteString(rw, "whole")
	})
	conn := w.connect(t, "chat.example")
	io.WriteString(conn, "GET /read HTTP/1.0\r\nHost: chat.example\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %v", resp, err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "whole" || err != nil {
		t.Errorf("%q %v", body, err)
	}
}

// A body that the client sends in pieces reaches the service whole, trailers
// and all, whether it is looked into or not.
func TestABodyInPiecesArrivesWhole(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	var got string
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		got = fmt.Sprint(string(b), err)
	})
	for _, path := range []string{"/send", "/read"} {
		conn := w.connect(t, "chat.example")
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"to\":\r\n", path)
		io.WriteString(conn, "6\r\n\"bob\"}\r\n0\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != 200 || got != `{"to":"bob"}<nil>` {
			t.Errorf("%s: %v %v, and the service got %s", path, resp, err, got)
		}
		got = ""
	}
}

// Half a body is no message, whatever could be read of it.
func TestHalfABodyIsNotSent(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	for _, head := range []string{"Content-Length: 100\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n64\r\n"} {
		conn := w.connect(t, "chat.example")
		io.WriteString(conn, "POST /send HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\n"+head+`{"to":"bob"}`)
		conn.CloseWrite()
		conn.NetConn().(*net.TCPConn).CloseWrite()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && resp.StatusCode < 400 {
			t.Errorf("%s: %s", head, resp.Status)
		}
	}
	// A program's own body may fail as well.
	req := w.message(context.Background(), "anna", "bob")
	broken := errors.New("the disk failed")
	req.Body, req.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(`{"to":"bob"}`), iotest.ErrReader(broken))), -1
	if resp, err := w.enforcer.RoundTrip(req); !errors.Is(err, broken) {
		t.Errorf("%v %v", resp, err)
	}
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}
