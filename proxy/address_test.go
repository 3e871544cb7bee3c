package proxy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// TestOnlyThePublicInternetIsReached is the list of smokescreen's
// TestClassifyAddr, of the cloud providers' metadata services, and of the ways
// to hide an IPv4 address in an IPv6 one.
func TestOnlyThePublicInternetIsReached(t *testing.T) {
	for _, c := range []struct{ addr, reason string }{
		{"8.8.8.8", ""},
		{"2.0.0.1", ""},
		{"172.15.255.255", ""},
		{"172.32.0.0", ""},
		{"100.63.255.255", ""},
		{"100.128.0.0", ""},
		{"169.253.255.255", ""},
		{"2606:4700::6810:84e5", ""},
		{"2a03:2880:f12f:83:face:b00c::25de", ""},
		{"::ffff:8.8.8.8", ""},

		{"0.0.0.0", "unspecified"},
		{"::", "unspecified"},
		{"::ffff:0.0.0.0", "unspecified"},
		{"0.1.2.3", "special purpose"},
		{"127.0.0.1", "loopback"},
		{"127.255.255.254", "loopback"},
		{"::1", "loopback"},
		{"::ffff:127.0.0.1", "loopback"},
		{"::ffff:7f00:1", "loopback"},
		{"::127.0.0.1", "special purpose"},
		{"::ffff:0:127.0.0.1", "special purpose"}, // IPv4-translated
		{"fd20:ce::254", "cloud metadata"},        // Google's
		{"10.0.0.1", "private"},
		{"172.16.0.1", "private"},
		{"172.31.255.255", "private"},
		{"192.168.1.1", "private"},
		{"::ffff:192.168.1.1", "private"},
		{"fc00::1", "private"},
		{"fd00::1", "private"},
		{"fd00:ec2::254", "cloud metadata"}, // metadata of AWS
		{"fec0::1", "special purpose"},
		{"169.254.0.1", "link-local"},
		{"169.254.169.254", "cloud metadata"}, // metadata of most clouds
		{"169.254.170.2", "cloud metadata"},   // metadata of AWS's containers
		{"fe80::1", "link-local"},
		{"fe80::1%lo", "link-local"},
		{"100.64.0.1", "carrier-grade NAT"},
		{"100.127.255.255", "carrier-grade NAT"},
		{"100.100.100.200", "cloud metadata"}, // metadata of Alibaba
		{"192.0.0.192", "special purpose"},    // metadata of Oracle, older
		{"168.63.129.16", "cloud metadata"},   // Azure's
		{"224.0.0.1", "multicast"},
		{"239.255.255.250", "multicast"},
		{"ff02::1", "multicast"},
		{"ff05::1:3", "multicast"},
		{"192.0.2.1", "special purpose"},
		{"198.51.100.1", "special purpose"},
		{"203.0.113.1", "special purpose"},
		{"198.18.0.1", "special purpose"},
		{"192.88.99.1", "special purpose"},
		{"240.0.0.1", "special purpose"},
		{"255.255.255.255", "special purpose"},
		{"2001:db8::1", "special purpose"},
		{"3fff::1", "special purpose"},
		{"100::1", "special purpose"},
		{"64:ff9b::7f00:1", "NAT64"},
		{"64:ff9b::8.8.8.8", "NAT64"},
		{"64:ff9b:1::7f00:1", "NAT64"},
		{"2002:7f00:1::", "6to4"},                          // 6to4
		{"2002:0a00:0001::1", "6to4"},                      // 6to4
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"}, // Teredo
		{"2001:10::1", "special purpose"},                  // ORCHID
		{"5f00::1", "special purpose"},                     // SRv6
	} {
		if got := reserved(netip.MustParseAddr(c.addr)); got != c.reason {
			t.Errorf("%s: %q, want %q", c.addr, got, c.reason)
		}
	}
	if reserved(netip.Addr{}) == "" {
		t.Error("no address is taken for a public one")
	}
}

func TestAddressesAreAllowedByPrefix(t *testing.T) {
	d := &Dialer{AllowAddresses: prefixes("10.0.0.0/8", "fd00::/8", "fe80::/10",
		"64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0:0/96")}
	for addr, allowed := range map[string]bool{
		"10.1.2.3":        true,
		"::ffff:10.1.2.3": true,
		"192.168.0.1":     false,
		"fd00::1":         true,
		"fc00::1":         false,
		"fe80::1%lo":      true,
		"8.8.8.8":         true,

		// The gateway is allowed; what lies behind it has to be as well.
		"64:ff9b::8.8.8.8":         true,
		"64:ff9b::7f00:1":          false,
		"64:ff9b::10.0.0.1":        true,
		"64:ff9b::169.254.169.254": false,
		"64:ff9b:1::8.8.8.8":       true,
		"64:ff9b:1::127.0.0.1":     false, // a prefix of 96 bits
		"64:ff9b:1:7f00:0:100::":   false, // 48: 127.0.0.1
		"64:ff9b:1:7f:0:1::":       false, // 56
		"64:ff9b:1:0:7f:0:100::":   false, // 64
		"64:ff9b:1:808:8:800::":    true,  // 48: 8.8.8.8
		"64:ff9b:1::":              false,
		"2002:808:808::1":          true,
		"2002:7f00:1::":            false,
		"2002:a9fe:a9fe::1":        false,
		"2002:a00:1::1":            true,
		// Teredo: server, and client with its bits turned.
		"2001:0:808:808:8000:63bf:f7f7:f7f7": true,  // 8.8.8.8 and 8.8.8.8
		"2001:0:7f00:1:8000:63bf:f7f7:f7f7":  false, // server 127.0.0.1
		"2001:0:808:808:8000:63bf:80ff:fffe": false, // client 127.0.0.1
		"::8.8.8.8":                          true,
		"::127.0.0.1":                        false,
		"::ffff:0:8.8.8.8":                   true,
		"::ffff:0:127.0.0.1":                 false,
		// ISATAP can lie in any network, also a public one.
		"2a00::5efe:8.8.8.8":         true,
		"2a00::5efe:192.168.0.1":     false,
		"2a00::200:5efe:192.168.0.1": false,
		"2a00::5efd:192.168.0.1":     true,
	} {
		err := d.check("host.example", netip.AddrPortFrom(netip.MustParseAddr(addr), 443))
		if (err == nil) != allowed {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestTheStoreIsNotReachedUnlessItsAddressIsAllowed(t *testing.T) {
	closed := func() []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("9.9.9.9"), netip.MustParseAddr("2a00::9")}
	}
	for _, c := range []struct {
		allow, to string
		refused   bool
	}{
		{"10.0.0.0/8", "9.9.9.9:443", true},
		{"10.0.0.0/8", "[::ffff:9.9.9.9]:6379", true},
		{"10.0.0.0/8", "[2a00::9]:80", true},
		{"10.0.0.0/8", "9.9.9.8:443", false},
		{"9.9.9.9/32", "9.9.9.9:443", false},
		{"64:ff9b::/96", "[64:ff9b::9.9.9.9]:443", true},
	} {
		d := &Dialer{AllowAddresses: prefixes(c.allow), Closed: closed}
		err := d.check("host.example", netip.MustParseAddrPort(c.to))
		if (err != nil) != c.refused || err != nil && err.Reason != reasonStore {
			t.Errorf("allowed %s, to %s: %v", c.allow, c.to, err)
		}
	}
	own := netip.MustParseAddrPort("9.9.9.9:8080")
	d := &Dialer{AllowAddresses: prefixes("9.9.9.9/32"), Closed: closed, Own: func() []netip.AddrPort { return []netip.AddrPort{own} }}
	if err := d.check("host.example", own); err == nil || err.Reason != reasonOwn {
		t.Errorf("our own listener, on the store's allowed machine: %v", err)
	}
}

func TestOurOwnListenersAreNotReached(t *testing.T) {
	for _, c := range []struct {
		own, to string
		ours    bool
	}{
		{"127.0.0.1:8080", "127.0.0.1:8080", true},
		{"127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true},
		{"127.0.0.1:8080", "127.0.0.1:8081", false},
		{"127.0.0.1:8080", "127.0.0.2:8080", false},
		{"127.0.0.1:8080", "0.0.0.0:8080", true},
		{"127.0.0.1:8080", "8.8.8.8:8080", false},
		{"0.0.0.0:8080", "127.0.0.1:8080", true},
		{"0.0.0.0:8080", "127.8.8.8:8080", true},
		{"0.0.0.0:8080", "0.0.0.0:8080", true},
		{"0.0.0.0:8080", "8.8.8.8:8080", false},
		{"[::]:8080", "127.0.0.1:8080", true},
		{"[::]:8080", "[::1]:8080", true},
		{"[::1]:8080", "[::]:8080", true},
		{"10.0.0.1:8080", "10.0.0.1:8080", true},
		{"10.0.0.1:8080", "0.0.0.0:8080", false},
	} {
		d := &Dialer{
			AllowAddresses: prefixes("0.0.0.0/0", "::/0"),
			Own:            func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(c.own)} },
		}
		err := d.check("host.example", netip.MustParseAddrPort(c.to))
		if (err != nil) != c.ours {
			t.Errorf("own %s, to %s: %v", c.own, c.to, err)
		}
	}
}

func TestARefusalDoesNotTellTheAddress(t *testing.T) {
	d := &Dialer{}
	var err error = d.check("intranet.example", netip.MustParseAddrPort("10.1.2.3:443"))
	var refused *AddressError
	if !errors.As(err, &refused) || refused.Addr != netip.MustParseAddr("10.1.2.3") {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "10.1") || !strings.Contains(err.Error(), "intranet.example") || !strings.Contains(err.Error(), "private") {
		t.Errorf("it says: %v", err)
	}
}

func prefixes(s ...string) (all []netip.Prefix) {
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}
