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
		{"10.0.0.1", "private"},
		{"172.16.0.1", "private"},
		{"172.31.255.255", "private"},
		{"192.168.1.1", "private"},
		{"::ffff:192.168.1.1", "private"},
		{"fc00::1", "private"},
		{"fd00::1", "private"},
		{"fd00:ec2::254", "private"}, // metadata of AWS
		{"fec0::1", "special purpose"},
		{"169.254.0.1", "link-local"},
		{"169.254.169.254", "link-local"}, // metadata of most clouds
		{"169.254.170.2", "link-local"},   // metadata of AWS's containers
		{"fe80::1", "link-local"},
		{"fe80::1%lo", "link-local"},
		{"100.64.0.1", "special purpose"},
		{"100.127.255.255", "special purpose"},
		{"100.100.100.200", "special purpose"}, // metadata of Alibaba
		{"192.0.0.192", "special purpose"},     // metadata of Oracle, older
		{"168.63.129.16", "cloud metadata"},    // Azure's
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
		{"64:ff9b:1::7f00:1", "special purpose"},
		{"2002:7f00:1::", "special purpose"},                        // 6to4
		{"2002:0a00:0001::1", "special purpose"},                    // 6to4
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "special purpose"}, // Teredo
		{"2001:10::1", "special purpose"},                           // ORCHID
		{"5f00::1", "special purpose"},                              // SRv6
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
	d := &Dialer{AllowAddresses: prefixes("10.0.0.0/8", "fd00::/8", "64:ff9b::/96", "fe80::/10")}
	for addr, allowed := range map[string]bool{
		"10.1.2.3":          true,
		"::ffff:10.1.2.3":   true,
		"192.168.0.1":       false,
		"fd00::1":           true,
		"fc00::1":           false,
		"fe80::1%lo":        true,
		"8.8.8.8":           true,
		"64:ff9b::8.8.8.8":  true,
		"64:ff9b::7f00:1":   false, // the gateway is allowed, what lies behind it is not
		"64:ff9b::10.0.0.1": true,
	} {
		err := d.check("host.example", netip.AddrPortFrom(netip.MustParseAddr(addr), 443))
		if (err == nil) != allowed {
			t.Errorf("%s: %v", addr, err)
		}
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
