package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A fakeDNS answers for the names it has; others do not exist. An answer is
// used up by each question for an A record, but for the last one.
type fakeDNS struct {
	mu      sync.Mutex
	answers map[string][]string // name → addresses, separated by spaces
	asked   int                 // for A records
}

func (f *fakeDNS) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go f.serve(server)
		return client, nil
	}}
}

// serve speaks DNS over a stream, each message behind its length.
func (f *fakeDNS) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		packed := make([]byte, binary.BigEndian.Uint16(size[:]))
		var question dnsmessage.Message
		if _, err := io.ReadFull(c, packed); err != nil || question.Unpack(packed) != nil {
			return
		}
		answer := f.answer(question)
		packed, err := answer.AppendPack(make([]byte, 2))
		if err != nil {
			return
		}
		binary.BigEndian.PutUint16(packed, uint16(len(packed)-2))
		if _, err := c.Write(packed); err != nil {
			return
		}
	}
}

func (f *fakeDNS) answer(m dnsmessage.Message) dnsmessage.Message {
	m.Response, m.RecursionAvailable = true, true
	m.Additionals = nil
	q := m.Questions[0]
	name := strings.TrimSuffix(q.Name.String(), ".")
	f.mu.Lock()
	defer f.mu.Unlock()
	left, known := f.answers[name]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
		return m
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
	for s := range strings.FieldsSeq(left[0]) {
		a := netip.MustParseAddr(s)
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	if q.Type == dnsmessage.TypeA {
		f.asked++
		if len(left) > 1 {
			f.answers[name] = left[1:]
		}
	}
	return m
}

// listen accepts connections on a loopback address and closes them.
func listen(t *testing.T, addr string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func dial(t *testing.T, d *Dialer, addr string) (net.Conn, error) {
	t.Helper()
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if c != nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestNoSpellingOfAnInternalAddressIsReached(t *testing.T) {
	dns := &fakeDNS{answers: map[string][]string{
		"metadata.google.internal": {"169.254.169.254"},
		"rebound.example":          {"10.0.0.1"},
		"both.example":             {"10.0.0.1 fd00::1 127.0.0.1"},
		// What getaddrinfo would make of these is loopback.
		"127.1": {"127.0.0.1"}, "0x7f.1": {"127.0.0.1"}, "2130706433": {"127.0.0.1"},
		"0": {"0.0.0.0"}, "0177.0.0.1": {"127.0.0.1"},
	}}
	d := &Dialer{Resolver: dns.resolver()}
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
		"[fe80::1%25lo]", "[fe80::1%lo]", "[::1%lo]", "[fd00::1]", "100.64.0.1", "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200",
		"metadata.google.internal", "metadata.google.internal.", "localhost", "localhost.", "LOCALHOST", "rebound.example", "both.example",
		"127.1", "0", "2130706433", "0x7f.1", "0177.0.0.1",
		"[localhost]", "[[localhost]]", "[[::1]]", "::1", "user@127.0.0.1", "１２７.0.0.1", "127。0。0。1", "127.0.0.1.", "",
	} {
		_, err := dial(t, d, host+":443")
		var refused *AddressError
		var dialErr *DialError
		switch {
		case errors.As(err, &refused):
		case errors.As(err, &dialErr) && dialErr.Step == "resolve":
		default:
			t.Errorf("%q: got %v", host, err)
		}
	}
}

func TestOnlyAllowedPortsAreReached(t *testing.T) {
	open := listen(t, "127.0.0.1:0")
	for _, c := range []struct {
		allow []int
		addr  string
		ok    bool
	}{
		{nil, "127.0.0.1:443", true}, // nobody listens there, but it may be dialled
		{nil, "127.0.0.1:80", true},
		{nil, "127.0.0.1:25", false},
		{nil, "127.0.0.1:6379", false},
		{nil, open.String(), false},
		{[]int{int(open.Port())}, open.String(), true},
		{[]int{int(open.Port())}, "127.0.0.1:443", false},
	} {
		d := &Dialer{AllowPorts: c.allow, AllowAddresses: prefixes("127.0.0.0/8")}
		_, err := dial(t, d, c.addr)
		var refused *PortError
		if errors.As(err, &refused) == c.ok {
			t.Errorf("allowed %v, %s: %v", c.allow, c.addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http", "127.0.0.1:", "127.0.0.1"} {
		if _, err := dial(t, &Dialer{AllowPorts: []int{0, 65536, -1}, AllowAddresses: prefixes("127.0.0.0/8")}, addr); err == nil {
			t.Errorf("%s was dialled", addr)
		}
	}
}

func TestConnectToChangesWhereButNotWhatIsAllowed(t *testing.T) {
	open := listen(t, "127.0.0.1:0")
	d := &Dialer{
		ConnectTo: map[string]string{
			"slack.com:443":       open.String(),
			"private.example:443": "10.0.0.1:443",
			"slack.com:8443":      open.String(),
		},
		AllowAddresses: prefixes("127.0.0.0/8"),
		Resolver:       (&fakeDNS{}).resolver(),
	}
	for _, addr := range []string{"slack.com:443", "Slack.COM:443", "slack.com.:443"} {
		c, err := dial(t, d, addr)
		if err != nil {
			t.Errorf("%s: %v", addr, err)
		} else if c.RemoteAddr().String() != open.String() {
			t.Errorf("%s: connected to %s", addr, c.RemoteAddr())
		}
	}
	var port *PortError
	if _, err := dial(t, d, "slack.com:8443"); !errors.As(err, &port) {
		t.Errorf("the named port is not checked: %v", err)
	}
	var address *AddressError
	if _, err := dial(t, d, "private.example:443"); !errors.As(err, &address) || address.Host != "private.example" {
		t.Errorf("the address is not checked: %v", err)
	}
	if _, err := dial(t, &Dialer{ConnectTo: d.ConnectTo}, "slack.com:443"); !errors.As(err, &address) {
		t.Errorf("loopback is allowed by being mapped to: %v", err)
	}
	d.Own = func() []netip.AddrPort { return []netip.AddrPort{open} }
	if _, err := dial(t, d, "slack.com:443"); !errors.As(err, &address) || address.Reason != "the proxy itself" {
		t.Errorf("our own listener was reached: %v", err)
	}
}

func TestANameIsResolvedOnceAndOnlyCheckedAddressesAreDialled(t *testing.T) {
	open := listen(t, "127.0.0.1:0")
	dns := &fakeDNS{answers: map[string][]string{
		// The second answer would pass no check; nobody must come to see it.
		"rebinding.example": {"127.0.0.1", "10.0.0.1"},
		"mixed.example":     {"10.0.0.1 127.0.0.1 169.254.169.254"},
	}}
	d := &Dialer{
		AllowAddresses: prefixes("127.0.0.1/32"),
		AllowPorts:     []int{int(open.Port())},
		Resolver:       dns.resolver(),
	}
	_, port, _ := net.SplitHostPort(open.String())
	c, err := dial(t, d, "rebinding.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	if dns.asked != 1 {
		t.Errorf("asked %d times", dns.asked)
	}
	if _, ok := c.(*net.TCPConn); !ok {
		t.Errorf("a %T, which cannot be spliced", c)
	}
	var refused *AddressError
	if _, err := dial(t, d, "rebinding.example:"+port); !errors.As(err, &refused) {
		t.Errorf("the next connection is not checked anew: %v", err)
	}
	if _, err := dial(t, d, "mixed.example:"+port); err != nil {
		t.Errorf("the allowed address of three is not used: %v", err)
	}
}

func TestTheNextAddressIsTriedWhenOneFails(t *testing.T) {
	open := listen(t, "127.0.0.2:0")
	dns := &fakeDNS{answers: map[string][]string{"two.example": {"127.0.0.1 127.0.0.2 ::1"}}}
	d := &Dialer{
		AllowAddresses: prefixes("127.0.0.0/8", "::1/128"),
		AllowPorts:     []int{int(open.Port())},
		Resolver:       dns.resolver(),
	}
	_, port, _ := net.SplitHostPort(open.String())
	c, err := dial(t, d, "two.example:"+port)
	if err != nil {
		t.Fatal(err)
	}
	if c.RemoteAddr().String() != open.String() {
		t.Errorf("connected to %s", c.RemoteAddr())
	}
}

func TestFailuresTellTheirKind(t *testing.T) {
	silent := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, _ := net.Pipe() // nobody reads what is asked
		return client, nil
	}}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := closed.Addr().(*net.TCPAddr).AddrPort()
	closed.Close()
	loopback := prefixes("127.0.0.0/8")
	left, cancel := context.WithCancel(t.Context())
	cancel()

	for _, c := range []struct {
		name string
		ctx  context.Context
		d    Dialer
		addr string
		step string
		is   func(error) bool
	}{
		{"no such name", t.Context(), Dialer{Resolver: (&fakeDNS{}).resolver()}, "missing.example:443", "resolve",
			func(err error) bool { var e *net.DNSError; return errors.As(err, &e) && e.IsNotFound && !e.IsTimeout }},
		{"no answer to the question", t.Context(), Dialer{Resolver: silent, Timeout: 20 * time.Millisecond}, "slow.example:443", "resolve",
			func(err error) bool { var e net.Error; return errors.As(err, &e) && e.Timeout() }},
		{"refused", t.Context(), Dialer{AllowAddresses: loopback, AllowPorts: []int{int(refusing.Port())}}, refusing.String(), "connect to",
			func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{"caller gone", left, Dialer{AllowAddresses: loopback}, "127.0.0.1:443", "connect to",
			func(err error) bool {
				return errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "operation was canceled")
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.d.DialContext(c.ctx, "tcp", c.addr)
			var e *DialError
			if !errors.As(err, &e) || e.Step != c.step || !c.is(err) {
				t.Errorf("got %#v: %v", err, err)
			}
		})
	}
}

func TestOnlyTCPIsDialled(t *testing.T) {
	for _, network := range []string{"udp", "unix", "ip", ""} {
		if _, err := (&Dialer{}).DialContext(t.Context(), network, "8.8.8.8:443"); err == nil {
			t.Errorf("%q was dialled", network)
		}
	}
}

func TestFamiliesTakeTurns(t *testing.T) {
	var in []netip.AddrPort
	for _, s := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "192.0.2.1:1", "192.0.2.2:1"} {
		in = append(in, netip.MustParseAddrPort(s))
	}
	var got []string
	for _, a := range alternate(in) {
		got = append(got, a.Addr().String())
	}
	if want := "2001:db8::1 192.0.2.1 2001:db8::2 192.0.2.2 2001:db8::3"; strings.Join(got, " ") != want {
		t.Errorf("got %v", got)
	}
}
