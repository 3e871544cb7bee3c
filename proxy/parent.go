package proxy

// This file goes out through another proxy, where the operator names one.

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/proxy"
)

// maxParentHead bounds a parent's answer to CONNECT.
const maxParentHead = 64 << 10

// A Parent is the proxy through which everything goes out, tunnels and the
// transport alike, each connection by a CONNECT of its own, also to port 80:
// what a parent carries so it cannot read, change, answer or keep. It resolves
// the names.
type Parent struct {
	scheme string // http, https, socks5
	addr   string // host:port
	user   *url.Userinfo
	tls    *tls.Config
}

// parentPorts are the ports of addresses that name none.
var parentPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080"}

var errParentAddress = errors.New("it must look like http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ before the host where the proxy asks")

// NewParent reads the address of a parent proxy; roots verify one that speaks
// TLS. The error does not repeat the address, which may hold a password.
func NewParent(address string, roots *x509.CertPool) (*Parent, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errParentAddress
	}
	p := &Parent{scheme: strings.ToLower(u.Scheme), user: u.User}
	if p.scheme == "socks5h" { // as curl says that the proxy resolves; ours always does
		p.scheme = "socks5"
	}
	port := parentPorts[p.scheme]
	if port == "" {
		return nil, errParentAddress
	}
	if u.Port() != "" {
		port = u.Port()
	}
	p.addr = net.JoinHostPort(u.Hostname(), port)
	if _, _, err := hostPort(p.addr); err != nil {
		return nil, errParentAddress
	}
	if p.scheme == "https" {
		p.tls = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	}
	return p, nil
}

// String is the address without user and password.
func (p *Parent) String() string { return p.scheme + "://" + p.addr }

// A ParentError says that the parent proxy did not open a connection, so that
// nothing was sent. It is for the log: its text holds the parent's address.
type ParentError struct {
	Parent string // without user and password
	Status int    // of the parent's answer, 0 if there was none
	Err    error
}

func (e *ParentError) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("ask the parent proxy %s: it answered %d %s", e.Parent, e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("ask the parent proxy %s: %v", e.Parent, e.Err)
}
func (e *ParentError) Unwrap() error { return e.Err }

// through connects to host and port by way of the parent. An address is checked
// as ever; what a name leads to only the parent knows, so a name is refused
// where its form alone says that it leads inside.
func (d *Dialer) through(ctx context.Context, named, host string, port uint16) (net.Conn, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		if e := d.check(named, netip.AddrPortFrom(a, port)); e != nil {
			return nil, e
		}
	} else if insideName(host) {
		return nil, &AddressError{Host: named, Reason: "a name of a private network"}
	}
	conn, err := d.dialParent(ctx)
	if err != nil {
		return nil, &ParentError{Parent: d.Parent.String(), Err: err}
	}
	// The whole way, answers included, has the dialer's time.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	joined, err := d.Parent.ask(ctx, conn, net.JoinHostPort(host, strconv.Itoa(int(port))), d.via(ctx))
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		var known *ParentError
		if errors.As(err, &known) {
			return nil, err
		}
		return nil, &ParentError{Parent: d.Parent.String(), Err: err}
	}
	return joined, nil
}

// dialParent connects to the parent, wherever it is but not to ourselves.
func (d *Dialer) dialParent(ctx context.Context) (net.Conn, error) {
	host, port, err := hostPort(d.Parent.addr)
	if err != nil {
		return nil, err
	}
	addrs, err := d.resolve(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	var to []netip.AddrPort
	for _, a := range addrs {
		if a = a.Unmap(); !d.own(a.WithZone(""), port) {
			to = append(to, netip.AddrPortFrom(a, port))
		}
	}
	if len(to) == 0 {
		return nil, ErrLoop
	}
	return connectFirst(ctx, alternate(to))
}

// ask has the parent connect to addr.
func (p *Parent) ask(ctx context.Context, conn net.Conn, addr, via string) (net.Conn, error) {
	if p.scheme == "socks5" {
		return conn, p.socks(ctx, conn, addr)
	}
	if p.tls != nil {
		secure := tls.Client(conn, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		conn = secure
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{"User-Agent": nil}}
	if via != "" {
		req.Header.Set("Via", via)
	}
	if p.user != nil {
		password, _ := p.user.Password()
		basic := http.Request{Header: http.Header{}}
		basic.SetBasicAuth(p.user.Username(), password)
		req.Header.Set("Proxy-Authorization", basic.Header.Get("Authorization"))
	}
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	head := bufio.NewReader(io.LimitReader(conn, maxParentHead))
	resp, err := http.ReadResponse(head, req)
	if err != nil {
		return nil, errors.New("its answer cannot be read") // the error may quote it
	}
	if resp.StatusCode/100 != 2 { // RFC 9110, 9.3.6: any of them opens the tunnel
		resp.Body.Close()
		return nil, &ParentError{Parent: p.String(), Status: resp.StatusCode}
	}
	if n := head.Buffered(); n > 0 { // the other side speaks first
		early, err := head.Peek(n)
		if err != nil {
			return nil, err
		}
		return &replayConn{Conn: conn, early: append([]byte(nil), early...)}, nil
	}
	return conn, nil
}

// socks is SOCKS 5 with the name as it is (RFC 1928, 4; RFC 1929).
func (p *Parent) socks(ctx context.Context, conn net.Conn, addr string) error {
	var auth *proxy.Auth
	if p.user != nil {
		password, _ := p.user.Password()
		auth = &proxy.Auth{User: p.user.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", p.addr, auth, nil)
	if err != nil {
		return err
	}
	// By this method the connection stays a *net.TCPConn, which tunnels splice.
	on, ok := dialer.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return errors.New("the library cannot speak SOCKS on a connection")
	}
	_, err = on.DialWithConn(ctx, conn, "tcp", addr)
	return err
}

// insideNames end names that lead nowhere on the Internet: RFC 6761, 6.3; RFC
// 6762, 3; RFC 8375, 3; ICANN's resolution 2024.07.29.06.
var insideNames = []string{"localhost", "local", "home.arpa", "internal"}

// insideName reports names that only a private network can know, and numbers:
// a resolver in C takes 127.1 and 0x7f.1 for addresses.
func insideName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == host { // no dot: a name of the parent's own network
		return true
	}
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return true
	}
	for _, end := range insideNames {
		if strings.HasSuffix(host, "."+end) {
			return true
		}
	}
	return false
}
