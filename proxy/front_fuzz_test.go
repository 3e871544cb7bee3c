package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"quotagate/proxy"
)

// pipes is a listener whose clients are in the same process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
}

// ended is an upstream that has nothing to say.
type ended struct{ net.Conn }

func (ended) Read([]byte) (int, error)         { return 0, io.EOF }
func (ended) Write(p []byte) (int, error)      { return len(p), nil }
func (ended) Close() error                     { return nil }
func (ended) SetDeadline(time.Time) error      { return nil }
func (ended) SetReadDeadline(time.Time) error  { return nil }
func (ended) SetWriteDeadline(time.Time) error { return nil }
func (ended) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (ended) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

type noCertificates struct{}

func (noCertificates) Certificate(string) (*tls.Certificate, error) {
	return nil, errors.New("none is made")
}

// plainConnect is a CONNECT to a name that has one spelling but for its case.
var plainConnect = regexp.MustCompile(`^CONNECT ([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*):([1-9][0-9]{0,4}) HTTP/1\.1\r\nHost: [A-Za-z0-9.:-]+\r\n\r\n$`)

// hasBody finds a body that is announced, in any of the ways to say so.
var hasBody = regexp.MustCompile(`(?i)(content-length\s*:\s*0*[1-9]|transfer-encoding)`)

// Whatever comes to the front is answered once and ends; it dials no host that
// the rules name, no port that is not allowed, and nothing that the request does
// not name.
func FuzzConnect(f *testing.F) {
	for _, s := range []string{
		"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n",
		"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
		"CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example\r\n\r\n",
		"CONNECT CHAT.example.:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT chat%2eexample:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT \xef\xbd\x83hat.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT user@chat.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT chat.example:443/x HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT [::1]:443 HTTP/1.0\r\n\r\n",
		"CONNECT [[chat.example]]:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT other.example:25 HTTP/1.1\r\nHost: chat.example:443\r\n\r\n",
		"CONNECT other.example:0443 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
		"CONNECT /path HTTP/1.1\r\nHost: chat.example:443\r\n\r\n",
		"CONNECT  other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT other.example:443 HTTP/1.1\nHost: x\n\nPOST /send HTTP/1.1\r\nHost: chat.example\r\n\r\n",
		"POST http://chat.example/send HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	set := mustLoad(f, chat)
	var mu sync.Mutex
	var dialled []string
	dialer := &proxy.Dialer{}
	server := proxy.New(proxy.Config{
		Rules: constant(set), Certificates: noCertificates{}, PortAllowed: dialer.PortAllowed,
		Transport: transportFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("nothing is sent") }),
		Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, addr)
			return ended{}, nil
		},
	})
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, l, time.Second) }()
	f.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		mu.Lock()
		dialled = dialled[:0]
		mu.Unlock()
		client, conn := net.Pipe()
		defer client.Close()
		client.SetDeadline(time.Now().Add(20 * time.Second))
		l.conns <- conn
		go func() {
			client.Write(raw) // what is not read any more is no matter
		}()
		head, _, whole := bytes.Cut(raw, []byte("\r\n\r\n"))
		if !whole {
			return // the server waits for the rest of it
		}
		method, _, _ := strings.Cut(string(head), " ")
		if method != http.MethodConnect && hasBody.Match(head) {
			return // or for the rest of its body
		}
		br := bufio.NewReader(client)
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q has no answer: %v", raw, err)
		}
		granted := method == http.MethodConnect && resp.StatusCode == http.StatusOK
		if !granted {
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Errorf("%q: the answer: %v", raw, err)
			}
		} else if n := br.Buffered(); n > 0 {
			t.Errorf("%q is answered twice", raw)
		}
		mu.Lock()
		to := append([]string(nil), dialled...)
		mu.Unlock()
		if len(to) > 1 || len(to) == 1 && method != http.MethodConnect {
			t.Errorf("%q dials %q", raw, to)
		}
		if method == http.MethodConnect && !granted && resp.StatusCode < 400 {
			t.Errorf("%q is answered %s", raw, resp.Status)
		}
		for _, addr := range to {
			host, port, err := net.SplitHostPort(addr)
			if err != nil || port != "443" && port != "80" || set.Names(host) || host == proxy.InternalHost {
				t.Errorf("%q dials %q", raw, addr)
			}
			line, _, _ := strings.Cut(string(raw), "\n")
			if asciiHost.MatchString(host) && asciiLine.MatchString(line) && !strings.Contains(strings.ToLower(line), host) {
				t.Errorf("%q dials %q, which it does not name", raw, addr)
			}
		}
		if m := plainConnect.FindSubmatch(raw); m != nil {
			host, port := strings.ToLower(string(m[1])), string(m[2])
			want := ""
			if (port == "443" || port == "80") && host != "chat.example" && host != proxy.InternalHost {
				want = net.JoinHostPort(host, port)
			}
			if strings.Join(to, " ") != want {
				t.Errorf("%q dials %q, want %q", raw, to, want)
			}
		}
	})
}

var (
	asciiHost = regexp.MustCompile(`^[a-z0-9.-]+$`)
	asciiLine = regexp.MustCompile(`^[ -$&-~\r]+$`) // without an escape
)
