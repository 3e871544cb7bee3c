package proxy_test

import (
	"bufio"
	"crypto/tls"
	"io"
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
	const request = "GET /ok HTTP/1.1\r\nHost: chat.example\r\n\r\n"
	for _, begin := range []string{request, request + "G"} { // the second says more first
		c := w.dialInside("http/1.1")
		io.WriteString(c, begin)
		<-came
		if begin == request {
			c.CloseWrite() // says so in TLS alone
		} else {
			c.NetConn().Close()
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatal("nobody noticed that the client has left")
		}
		c.Close()
	}
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
		case <-time.After(20 * time.Second):
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
