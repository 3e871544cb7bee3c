package proxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"quotagate/proxy"
)

// behindTLS has the front speak TLS, and ask for certificates of house's.
func behindTLS(t *testing.T, house *testCA) option {
	cert := house.issue(t, "proxy.example")
	return func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: house.pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	}
}

func TestPlainHTTPToATLSPortIsTold(t *testing.T) {
	w := newWorld(t, five, behindTLS(t, newTestCA(t)))
	for _, request := range []string{
		"CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example:443\r\n\r\n",
		getFront,
		"POST http://chat.example/send HTTP/1.1\r\nHost: chat.example\r\nContent-Length: 2\r\n\r\n{}",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c := w.dialFront()
		io.WriteString(c, request)
		resp := told(t, c, http.StatusBadRequest, "")
		if resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %v", request, resp.Header)
		}
		hungUp(t, c)
	}
	if n := w.service.messages.Load(); n != 0 {
		t.Errorf("the service saw %d messages", n)
	}
}

func TestClientsRefusedForTheirCertificateAreCounted(t *testing.T) {
	house, strangers := newTestCA(t), newTestCA(t)
	w := newWorld(t, five, behindTLS(t, house))
	// In TLS 1.3 a client learns of it with its first read.
	try := func(certs ...tls.Certificate) error {
		c := tls.Client(w.dialFront(), &tls.Config{ServerName: "proxy.example", RootCAs: house.pool(), Certificates: certs})
		defer c.Close()
		if _, err := io.WriteString(c, getFront); err != nil {
			return err
		}
		_, err := c.Read(make([]byte, 1))
		return err
	}
	forClients := func(ca *testCA) tls.Certificate { return ca.issueFor(t, x509.ExtKeyUsageClientAuth, "anna") }
	if err := try(forClients(house)); err != nil {
		t.Errorf("one of ours: %v", err)
	}
	if n := w.server.Counts.ClientCertificates.Load(); n != 0 {
		t.Errorf("%d counted before anybody was refused", n)
	}
	for i, certs := range [][]tls.Certificate{nil, {forClients(strangers)}, {house.issue(t, "anna")}} {
		if try(certs...) == nil {
			t.Errorf("client %d was let in", i)
		}
		eventually(t, fmt.Sprintf("client %d is not counted", i), func() bool { return w.server.Counts.ClientCertificates.Load() == int64(i+1) })
	}
	if n := strings.Count(w.log.String(), "QUOTAGATE_CLIENT_CA"); n != 1 {
		t.Errorf("said %d times:\n%s", n, w.log)
	}
}
