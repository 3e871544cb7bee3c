package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// clientHello is what a crypto/tls client sends first.
func clientHello(t testing.TB, conf *tls.Config) []byte {
	t.Helper()
	c := &scriptedConn{}
	if err := tls.Client(c, conf).Handshake(); err == nil {
		t.Fatal("a handshake with nobody")
	}
	return c.written.Bytes()
}

// inRecords cuts the handshake message in the record raw into records of n
// bytes each, which TLS allows (RFC 8446, 5.1).
func inRecords(raw []byte, n int) []byte {
	var out []byte
	for body := raw[5:]; len(body) > 0; {
		k := min(n, len(body))
		out = append(out, raw[0], raw[1], raw[2], byte(k>>8), byte(k))
		out = append(out, body[:k]...)
		body = body[k:]
	}
	return out
}

// A scriptedConn reads what it is given and keeps what is written to it.
type scriptedConn struct {
	net.Conn // nil: any other method is a mistake
	in       io.Reader
	written  bytes.Buffer
}

func (c *scriptedConn) Read(p []byte) (int, error) {
	if c.in == nil {
		return 0, io.EOF
	}
	return c.in.Read(p)
}
func (c *scriptedConn) Write(p []byte) (int, error)     { return c.written.Write(p) }
func (c *scriptedConn) Close() error                    { return nil }
func (c *scriptedConn) SetReadDeadline(time.Time) error { return nil }

func TestTheServerNameIsReadHoweverTheHelloIsCut(t *testing.T) {
	long := strings.Repeat("a-long-label.", 18) + "example"
	for name, raw := range map[string][]byte{
		"slack.com":         clientHello(t, &tls.Config{ServerName: "slack.com"}),
		"upper.example":     clientHello(t, &tls.Config{ServerName: "UPPER.example"}),
		long:                clientHello(t, &tls.Config{ServerName: long}),
		"":                  clientHello(t, &tls.Config{ServerName: "192.0.2.1"}), // no SNI for addresses
		"with-alpn.example": clientHello(t, &tls.Config{ServerName: "with-alpn.example", NextProtos: []string{"h2", "http/1.1"}}),
		"old.example":       clientHello(t, &tls.Config{ServerName: "old.example", MaxVersion: tls.VersionTLS12}),
	} {
		for _, records := range []int{1 << 14, 100, 7, 1} {
			sent := inRecords(raw, records)
			if len(sent) > maxHello {
				continue
			}
			for how, reader := range map[string]io.Reader{
				"at once":      bytes.NewReader(sent),
				"byte by byte": iotest.OneByteReader(bytes.NewReader(sent)),
				"by halves":    iotest.HalfReader(bytes.NewReader(sent)),
			} {
				c := &scriptedConn{in: reader}
				h, err := readHello(c, nil, time.Second)
				if err != nil {
					t.Errorf("%s, records of %d, %s: %v", name, records, how, err)
					continue
				}
				if !h.tls || h.name != name || !bytes.Equal(h.raw, sent) {
					t.Errorf("%s, records of %d, %s: tls %v, name %q, %d of %d bytes", name, records, how, h.tls, h.name, len(h.raw), len(sent))
				}
				if c.written.Len() != 0 {
					t.Errorf("%s: the client was sent %x", name, c.written.Bytes())
				}
			}
			for _, n := range []int{1, 5, len(sent)} {
				c := &scriptedConn{in: bytes.NewReader(sent[n:])}
				if h, err := readHello(c, sent[:n:n], time.Second); err != nil || h.name != name || !bytes.Equal(h.raw, sent) {
					t.Errorf("%s, %d bytes early: name %q, %v", name, n, h.name, err)
				}
			}
		}
	}
}

func TestWhatIsNotTLSIsKnownByItsFirstByte(t *testing.T) {
	for _, sent := range []string{"S", "SSH-2.0-x\r\n", "EHLO client\r\n", "\x00", "\x80\x2e\x01"} {
		client, server := net.Pipe() // stays open: nothing more is waited for
		go client.Write([]byte(sent))
		h, err := readHello(server, nil, time.Second)
		if err != nil || h.tls || string(h.raw) != sent {
			t.Errorf("%q: tls %v, raw %q, %v", sent, h.tls, h.raw, err)
		}
		client.Close()
		server.Close()
	}
	if h, err := readHello(&scriptedConn{}, []byte("SSH"), time.Second); err != nil || string(h.raw) != "SSH" {
		t.Errorf("early bytes: %q, %v", h.raw, err)
	}
}

func TestAPlainRequestNamesItsHost(t *testing.T) {
	for sent, want := range map[string]string{
		"POST /send HTTP/1.1\r\nHost: Chat.Example:80\r\n\r\nbody":     "chat.example",
		"GET http://chat.example/send HTTP/1.1\r\nHost: other\r\n\r\n": "chat.example",
		"HEAD / HTTP/1.0\r\nHost: chat.example\r\n\r\n":                "chat.example",
		"\r\n\r\nPOST /send HTTP/1.1\r\nHost: chat.example\r\n\r\n":    "chat.example",
		"POST /send HTTP/1.2\r\nHost: chat.example\r\n\r\n":            "chat.example",
		"GET / HTTP/1.0\r\n\r\n":                                       "",
		"HELO there\r\n":                                               "",
	} {
		for cut := range len(sent) {
			client, server := net.Pipe()
			go func() {
				client.Write([]byte(sent[:cut]))
				client.Write([]byte(sent[cut:]))
			}()
			h, err := readHello(server, nil, time.Second)
			if err != nil || h.tls || h.name != want || !strings.HasPrefix(sent, string(h.raw)) {
				t.Errorf("%q cut at %d: %q, %v", sent, cut, h.name, err)
			}
			client.Close()
			server.Close()
		}
	}
}

func TestAHelloThatCannotBeReadIsAnError(t *testing.T) {
	raw := clientHello(t, &tls.Config{ServerName: "slack.com"})
	dotted := bytes.Replace(raw, []byte("slack.com"), []byte("slack.co."), 1)
	endless := inRecords(append([]byte{22, 3, 1, 0, 0, 1, 0, 0xff, 0xff}, make([]byte, 0xffff)...), 1<<13)
	for name, sent := range map[string][]byte{
		"cut short":                     raw[:len(raw)-1],
		"only a record header":          raw[:5],
		"only a first byte":             raw[:1],
		"a name with a dot at its end":  dotted,
		"not a handshake":               []byte("\x16GET / HTTP/1.1\r\n\r\n"),
		"a record of nothing":           {22, 3, 1, 0, 0, 22, 3, 1, 0, 0},
		"longer than any client's":      endless,
		"a ServerHello in its place":    {22, 3, 3, 0, 4, 2, 0, 0, 0},
		"a record longer than a record": {22, 3, 1, 0xff, 0xff},
	} {
		h, err := readHello(&scriptedConn{in: bytes.NewReader(sent)}, nil, time.Second)
		if err == nil {
			t.Errorf("%s: name %q", name, h.name)
		}
		if len(h.raw) > maxHello {
			t.Errorf("%s: %d bytes were kept", name, len(h.raw))
		}
		if name == "longer than any client's" && !errors.Is(err, errHelloLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := readHello(&scriptedConn{}, nil, time.Second); !errors.Is(err, io.EOF) {
		t.Errorf("nothing: %v, want io.EOF", err)
	}
}

func TestAHelloIsWaitedForButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		began := time.Now()
		go func() {
			time.Sleep(time.Hour) // the first byte may take its time
			client.Write([]byte{tlsHandshake})
		}()
		_, err := readHello(server, nil, 10*time.Second)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != time.Hour+10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestTheDeadlineIsGoneAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		defer server.Close()
		raw := clientHello(t, &tls.Config{ServerName: "slack.com"})
		go func() {
			client.Write(raw)
			time.Sleep(time.Hour)
			client.Write([]byte("later"))
		}()
		if _, err := readHello(server, nil, 10*time.Second); err != nil {
			t.Fatal(err)
		}
		var p [5]byte
		if _, err := io.ReadFull(server, p[:]); err != nil {
			t.Error(err)
		}
	})
}

// FuzzHello holds that whatever a client sends, what was read is kept as it
// was, within the bound, and that a name is only found in what crypto/tls can
// read in one piece as well.
func FuzzHello(f *testing.F) {
	raw := clientHello(f, &tls.Config{ServerName: "slack.com"})
	f.Add(raw, 0)
	f.Add(inRecords(raw, 50), 3)
	f.Add(raw[:40], 1)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 2)
	f.Add([]byte{22, 3, 1, 0, 0, 22, 3, 1, 0, 0}, 5)
	f.Fuzz(func(t *testing.T, sent []byte, early int) {
		early = min(max(early, 0), len(sent))
		h, err := readHello(&scriptedConn{in: bytes.NewReader(sent[early:])}, sent[:early:early], time.Second)
		if !bytes.HasPrefix(sent, h.raw) {
			t.Fatal("what was read was changed")
		}
		if len(h.raw) > max(maxHello, early) {
			t.Fatalf("%d bytes were kept", len(h.raw))
		}
		slow, slowErr := readHello(&scriptedConn{in: iotest.OneByteReader(bytes.NewReader(sent))}, nil, time.Second)
		if early <= maxHello && (err == nil) != (slowErr == nil) || err == nil && slowErr == nil && (h.tls != slow.tls || h.name != slow.name) {
			t.Fatalf("at once: %v %q %v; byte by byte: %v %q %v", h.tls, h.name, err, slow.tls, slow.name, slowErr)
		}
		if err == nil && h.tls && !bytes.HasPrefix(h.raw, slow.raw) {
			t.Fatal("the hello ends at two places")
		}
	})
}
