package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAHostThatNoRuleNamesIsUntouched: the client sees the service's own
// certificate, without trusting the proxy's CA, and every byte that one side
// writes is the byte that the other side reads.
func TestAHostThatNoRuleNamesIsUntouched(t *testing.T) {
	t.Parallel()
	s := newService(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	g := start(t, s, setup{
		rules:     rulesWith(limits(`{name: none, on: "*", allow: 0, per: day}`)),
		connectTo: s.connectTo() + ",bytes.example:443=" + listener.Addr().String(),
	})

	t.Run("its own certificate", func(t *testing.T) {
		w := g.byHand()
		w.ca = s.authority.file
		a, err := w.client(t, false).Get("https://" + untouched + "/")
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		if got := a.TLS.PeerCertificates[0].Raw; !bytes.Equal(got, s.leaf.Certificate[0]) {
			t.Error("the client was shown another certificate than the service's")
		}
		if id := a.Header.Get("Quotagate-Id"); id != "" {
			t.Errorf("the answer of an untouched host carries Quotagate-Id %q", id)
		}
	})

	t.Run("byte for byte", func(t *testing.T) {
		// The server's side keeps what it read and wrote.
		server := make(chan *recorder, 1)
		config := &tls.Config{Certificates: []tls.Certificate{s.authority.leaf(t, "bytes.example")}}
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				close(server)
				return
			}
			seen := &recorder{Conn: conn}
			echo := tls.Server(seen, config)
			io.Copy(echo, echo)
			echo.Close()
			server <- seen
		}()
		conn := connect(t, g.listen, "bytes.example:443")
		seen := &recorder{Conn: conn}
		client := tls.Client(seen, &tls.Config{ServerName: "bytes.example", RootCAs: s.authority.pool()})
		sent := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
		var writer sync.WaitGroup
		writer.Go(func() {
			client.Write(sent)
			client.CloseWrite()
		})
		got, err := io.ReadAll(client)
		writer.Wait()
		client.Close()
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("the echo came back with %d of %d bytes, error %v", len(got), len(sent), err)
		}
		other, ok := <-server
		if !ok {
			t.Fatal("nobody connected to the service")
		}
		if r, w := other.bytes(); !bytes.HasPrefix(seen.written.Bytes(), r) || !bytes.HasPrefix(w, seen.read.Bytes()) || len(r) < len(sent) {
			t.Error("the bytes on the two sides of the tunnel differ")
		}
	})
}

// TestANamedHostDoesNotEscapeByItsSpelling: ways to reach a named host under
// another name. None delivers a message.
func TestANamedHostDoesNotEscapeByItsSpelling(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{
		rules:     rulesWith(limits(`{name: none, on: "*", allow: 0, per: day}`)),
		connectTo: s.connectTo() + ",127.0.0.1:443=" + s.secure,
	})
	ours := poolOf(t, g.ca)
	ours.AddCert(s.authority.cert)
	post := "POST /api/chat.postMessage HTTP/1.1\r\nHost: %HOST%\r\nAuthorization: Bearer xoxb-escape\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n" +
		`{"channel":"C1","text":"out"}`
	for _, c := range []struct{ name, connect, sni, host string }{
		{"as it is", "slack.com:443", "slack.com", "slack.com"},
		{"another Host than CONNECT", "www.linkedin.com:443", "www.linkedin.com", "slack.com"},
		{"upper case", "SLACK.com:443", "slack.com", "SLACK.COM"},
		{"a dot at the end", "slack.com.:443", "slack.com", "slack.com"},
		{"the port written out", "slack.com:443", "slack.com", "slack.com:443"},
		{"an untouched CONNECT, the name in the handshake", untouched + ":443", "slack.com", "slack.com"},
		{"an address, the name in the handshake", "127.0.0.1:443", "slack.com", "slack.com"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", g.listen)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			io.WriteString(conn, "CONNECT "+c.connect+" HTTP/1.1\r\nHost: "+c.connect+"\r\n\r\n")
			answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect})
			if err != nil || answer.StatusCode != http.StatusOK {
				return // refused at the door
			}
			client := tls.Client(conn, &tls.Config{ServerName: c.sni, RootCAs: ours})
			io.WriteString(client, strings.ReplaceAll(post, "%HOST%", c.host))
			if answer, err := http.ReadResponse(bufio.NewReader(client), nil); err == nil {
				t.Logf("answer: %s", answer.Status)
				answer.Body.Close()
			}
			if n := s.count(slackHost); n != 0 {
				t.Errorf("%d messages reached the service", n)
			}
		})
	}
}

func TestTheTwoHostsOfARequestMustAgree(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: none, on: "*", allow: 0, per: day}`))})
	r := encode(t, viaVoyager.nth("anna", 1))
	r.Host = slackHost
	if a := do(g.byHand().client(t, true), r); a.Status != http.StatusMisdirectedRequest {
		t.Errorf("Host %s in a CONNECT to %s: %+v, want 421", slackHost, linkedinWeb, a)
	}
}

// TestEventsPassAsTheyCome: an event reaches the client while the stream is
// still open.
func TestEventsPassAsTheyCome(t *testing.T) {
	t.Parallel()
	s := newService(t)
	g := start(t, s, setup{rules: rulesWith(limits(`{name: none, on: "*", allow: 0, per: day}`))})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+linkedinWeb+"/realtime/connect", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(streamHeader, "events")
	answer, err := g.byHand().client(t, false).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	for _, e := range []string{"one", "two"} {
		s.events("events") <- e
		if line, err := lines.ReadString('\n'); err != nil || line != "data: "+e+"\n" {
			t.Fatalf("read %q, error %v, want the event %s", line, err, e)
		}
		lines.ReadString('\n')
	}
	close(s.events("events"))
	if _, err := lines.ReadByte(); err != io.EOF {
		t.Errorf("after the end of the stream: %v, want EOF", err)
	}
}

// connect opens a tunnel through the proxy.
func connect(t *testing.T, proxy, target string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\n\r\n")
	// One byte at a time: what follows the empty line is the tunnel's.
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); {
		if _, err := conn.Read(one); err != nil {
			t.Fatalf("CONNECT %s: %v after %q", target, err, head)
		}
		head = append(head, one...)
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
		t.Fatalf("CONNECT %s: %q", target, head)
	}
	return conn
}

// recorder keeps the bytes that pass a connection.
type recorder struct {
	net.Conn
	mu            sync.Mutex
	read, written bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	r.read.Write(p[:n])
	r.mu.Unlock()
	return n, err
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.Conn.Write(p)
	r.mu.Lock()
	r.written.Write(p[:n])
	r.mu.Unlock()
	return n, err
}

func (r *recorder) bytes() (read, written []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.read.Bytes(), r.written.Bytes()
}
