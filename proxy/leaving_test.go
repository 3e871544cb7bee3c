package proxy_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"quotagate/proxy"
)

// A client may say in TLS that it leaves, and leave its socket open.
func TestWhoLeavesInTLSAloneIsNoticed(t *testing.T) {
	w := newWorld(t, five)
	came, ended := make(chan struct{}, 9), make(chan struct{}, 9)
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	})
	for name, leave := range map[string]func(c *tls.Conn, cork *corked){
		"in TLS alone": func(c *tls.Conn, _ *corked) { c.CloseWrite() },
		"behind a byte": func(c *tls.Conn, _ *corked) {
			io.WriteString(c, "G")
			c.NetConn().Close()
		},
		"in one piece with its request": func(c *tls.Conn, cork *corked) {
			c.CloseWrite()
			cork.let()
		},
		"in pieces of a record": func(c *tls.Conn, cork *corked) {
			cork.held = []byte{}
			c.CloseWrite()
			all := cork.held
			for i := range all {
				cork.held = all[i : i+1]
				cork.let()
				<-time.After(time.Millisecond)
			}
		},
	} {
		cork := &corked{Conn: w.dialConnect("chat.example:443")}
		c := tls.Client(cork, &tls.Config{ServerName: "chat.example", RootCAs: w.roots, NextProtos: []string{"http/1.1"}})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		whole := name == "in one piece with its request"
		if whole {
			cork.held = []byte{}
		}
		io.WriteString(c, "GET /ok HTTP/1.1\r\nHost: chat.example\r\n\r\n")
		if !whole {
			<-came
			<-time.After(soon) // it is watched
		}
		leave(c, cork)
		if whole {
			<-came
		}
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Fatalf("%s: nobody noticed that the client has left", name)
		}
		c.Close()
	}
}

// A corked connection holds back what is written while held is there.
type corked struct {
	net.Conn
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.held == nil {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

// SetWriteDeadline does nothing: crypto/tls forbids further writes so.
func (c *corked) SetWriteDeadline(time.Time) error { return nil }

func (c *corked) let() {
	held := c.held
	c.held = nil
	c.Conn.Write(held)
}

func TestWhoLeavesInTheTLSOfTheFrontAloneIsNoticed(t *testing.T) {
	cert := newTestCA(t).issue(t, "proxy.example")
	w := newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	})
	came, ended := make(chan struct{}, 9), make(chan struct{}, 9)
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	defer service.Close()
	w.dialTo["chat.example:80"] = service.Listener.Addr().String()
	for _, open := range []string{
		"GET http://chat.example/ok HTTP/1.1\r\nHost: chat.example\r\n\r\n",
		"CONNECT chat.example:80 HTTP/1.1\r\nHost: chat.example:80\r\n\r\nGET /ok HTTP/1.1\r\nHost: chat.example\r\n\r\n",
	} {
		c := tls.Client(w.dialFront(), &tls.Config{InsecureSkipVerify: true})
		io.WriteString(c, open)
		<-came
		c.CloseWrite()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Fatalf("%.9s: nobody noticed that the client has left", open)
		}
		c.Close()
	}
}

// What comes while a client is watched is the next request's.
func TestWhatTheWatchHearsIsTheNextRequests(t *testing.T) {
	w := newWorld(t, five)
	came, goOn := make(chan struct{}), make(chan struct{})
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			close(came)
			<-goOn
		}
		io.WriteString(rw, r.URL.Path)
	})
	c := w.dialInside("http/1.1")
	br := bufio.NewReader(c)
	io.WriteString(c, "GET /first HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	<-came
	<-time.After(soon) // it is watched
	io.WriteString(c, "GET /second HTTP/1.1\r\nHost: chat.example\r\n\r\n")
	<-time.After(soon)
	close(goOn)
	for _, want := range []string{"/first", "/second"} {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
			t.Errorf("%s: %q %v", want, body, err)
		}
	}
}
