package certs

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A handClock is moved by hand.
type handClock struct{ at atomic.Pointer[time.Time] }

func newHandClock(t time.Time) *handClock {
	c := &handClock{}
	c.at.Store(&t)
	return c
}

func (c *handClock) now() time.Time       { return *c.at.Load() }
func (c *handClock) move(d time.Duration) { t := c.now().Add(d); c.at.Store(&t) }

func leafOf(t testing.TB, a *Authority, host string) *x509.Certificate {
	t.Helper()
	c, err := a.Certificate(host)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func TestALeafHoldsNothingButItsHost(t *testing.T) {
	a := open(t, t.TempDir(), Options{AllowIPs: true})
	roots := x509.NewCertPool()
	roots.AddCert(a.current().cas[0])
	long := strings.Repeat("a", 60) + ".example"
	for _, c := range []struct{ asked, name, common string }{
		{"slack.com", "slack.com", "slack.com"},
		{"Slack.COM.", "slack.com", "slack.com"},
		{"xn--mnchen-3ya.example", "xn--mnchen-3ya.example", "xn--mnchen-3ya.example"},
		{"my_host.example", "my_host.example", "my_host.example"},
		{strings.Repeat("a", 56) + ".example", strings.Repeat("a", 56) + ".example", strings.Repeat("a", 56) + ".example"},
		{long, long, ""},
		{"192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"},
		{"2001:DB8:0::1", "2001:db8::1", "2001:db8::1"},
	} {
		leaf := leafOf(t, a, c.asked)
		if _, err := leaf.Verify(x509.VerifyOptions{
			DNSName: c.name, Roots: roots, CurrentTime: testNow,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}); err != nil {
			t.Errorf("%s: %v", c.asked, err)
		}
		if leaf.Subject.CommonName != c.common {
			t.Errorf("%s: common name %q, want %q", c.asked, leaf.Subject.CommonName, c.common)
		}
		names := append([]string(nil), leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) != 1 || names[0] != c.name || len(leaf.EmailAddresses)+len(leaf.URIs) != 0 {
			t.Errorf("%s: names %v", c.asked, names)
		}
		if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature ||
			len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
			t.Errorf("%s: usage %v %v", c.asked, leaf.KeyUsage, leaf.ExtKeyUsage)
		}
		if !bytes.Equal(leaf.AuthorityKeyId, a.current().cas[0].SubjectKeyId) {
			t.Errorf("%s: authority key id differs from the CA's subject key id", c.asked)
		}
		if leaf.SerialNumber.Sign() <= 0 || leaf.SerialNumber.BitLen() > 129 {
			t.Errorf("%s: serial %v", c.asked, leaf.SerialNumber)
		}
		if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 7*24*time.Hour {
			t.Errorf("%s: lives %v", c.asked, life)
		}
	}
}

func TestTheCAIsServedBehindTheLeaf(t *testing.T) {
	a := open(t, t.TempDir(), Options{})
	c, err := a.Certificate("slack.com")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Certificate) != 2 || !bytes.Equal(c.Certificate[1], a.current().cas[0].Raw) {
		t.Errorf("a chain of %d", len(c.Certificate))
	}
}

func TestOnlyNamedHostsGetALeaf(t *testing.T) {
	var asked []string
	named := "slack.com"
	a := open(t, t.TempDir(), Options{Allow: func(h string) bool {
		asked = append(asked, h)
		return h == named
	}})
	for _, host := range []string{
		"example.com", "", ".", "slack.com..", "sl ack.com", "slack.com\x00.example", "*.slack.com",
		"-a.example", "münchen.example", strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example",
		"192.0.2.1", "::1", "fe80::1%lo", "[::1]", "slack.com:443",
	} {
		if _, err := a.Certificate(host); !errors.Is(err, ErrNotNamed) {
			t.Errorf("%q: got %v, want ErrNotNamed", host, err)
		}
	}
	for _, h := range asked {
		if h != "example.com" {
			t.Errorf("Allow was asked about %q", h)
		}
	}
	leafOf(t, a, "slack.com")

	named = "telegram.org" // the rules were reloaded: a cached leaf goes too
	if _, err := a.Certificate("slack.com"); !errors.Is(err, ErrNotNamed) {
		t.Errorf("got %v, want ErrNotNamed", err)
	}
	leafOf(t, a, "telegram.org")
}

func TestNobodyIsNamedUnlessOptionsSaySo(t *testing.T) {
	a, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Certificate("slack.com"); !errors.Is(err, ErrNotNamed) {
		t.Errorf("got %v, want ErrNotNamed", err)
	}
}

func TestALeafIsKeptUntilWellBeforeItsEnd(t *testing.T) {
	clock := newHandClock(testNow)
	a := open(t, t.TempDir(), Options{Now: clock.now})
	clock.move(30 * 24 * time.Hour)
	first := leafOf(t, a, "slack.com")
	if want := clock.now().Add(-24 * time.Hour); !first.NotBefore.Equal(want) {
		t.Errorf("not before %v, want %v", first.NotBefore, want)
	}
	clock.move(4*24*time.Hour - time.Second)
	if leafOf(t, a, "slack.com") != first {
		t.Error("made anew although it was fresh")
	}
	clock.move(2 * time.Second)
	second := leafOf(t, a, "slack.com")
	if second == first {
		t.Error("not made anew two days before its end")
	}
	clock.move(-20 * 24 * time.Hour)
	if third := leafOf(t, a, "slack.com"); third == second || third.NotBefore.After(clock.now()) {
		t.Error("the clock went back, and the leaf of the future was handed out")
	}
}

func TestALeafStaysWithinTheTimeOfItsCA(t *testing.T) {
	clock := newHandClock(testNow)
	a := open(t, t.TempDir(), Options{Now: clock.now})
	if leaf := leafOf(t, a, "new.example"); leaf.NotBefore.Before(a.current().cas[0].NotBefore) {
		t.Errorf("begins %v, the CA %v", leaf.NotBefore, a.current().cas[0].NotBefore)
	}
	clock.move(caLife - time.Hour)
	leaf := leafOf(t, a, "late.example")
	if !leaf.NotAfter.Equal(a.NotAfter()) {
		t.Errorf("ends %v, the CA %v", leaf.NotAfter, a.NotAfter())
	}
	clock.move(59 * time.Minute)
	if leafOf(t, a, "late.example") != leaf {
		t.Error("made anew although the new one ends at the same moment")
	}
	clock.move(-caLife - 48*time.Hour)
	if _, err := a.Certificate("late.example"); err == nil || !strings.Contains(err.Error(), "the CA is not valid before") {
		t.Errorf("got %v", err)
	}
	clock.move(caLife + 48*time.Hour + 2*time.Minute)
	if _, err := a.Certificate("late.example"); err == nil || !strings.Contains(err.Error(), "the CA expired on") {
		t.Errorf("got %v", err)
	}
}

func TestCallersAtOnceShareOneLeaf(t *testing.T) {
	a := open(t, t.TempDir(), Options{MintPerMinute: 4})
	hosts := []string{"a.example", "b.example", "c.example", "d.example"}
	start := make(chan struct{})
	var wg sync.WaitGroup
	var first [4]atomic.Pointer[x509.Certificate]
	for n := range 200 {
		wg.Go(func() {
			<-start
			c, err := a.Certificate(hosts[n%4])
			if err != nil {
				t.Error(err)
				return
			}
			if p := &first[n%4]; !p.CompareAndSwap(nil, c.Leaf) && p.Load() != c.Leaf {
				t.Error("two leaves for one host")
			}
		})
	}
	close(start)
	wg.Wait()
}

func TestMintingIsCappedAndWhatIsKeptIsNot(t *testing.T) {
	clock := newHandClock(testNow)
	a := open(t, t.TempDir(), Options{Now: clock.now, MintPerMinute: 60})
	for n := range 60 {
		leafOf(t, a, fmt.Sprintf("h%d.example", n))
	}
	if _, err := a.Certificate("one-more.example"); !errors.Is(err, ErrTooMany) {
		t.Errorf("got %v, want ErrTooMany", err)
	}
	leafOf(t, a, "h0.example")
	clock.move(time.Second)
	leafOf(t, a, "one-more.example")
}

// TestAFloodBelowAWildcardCostsNobodyElse: hosts that a rule writes out are
// made beyond the cap, and what is asked for again and again is kept.
func TestAFloodBelowAWildcardCostsNobodyElse(t *testing.T) {
	a := open(t, t.TempDir(), Options{
		Now: newHandClock(testNow).now, MintPerMinute: 50, CacheSize: 16,
		WrittenOut: func(host string) bool { return host == "api.example" },
	})
	inUse := leafOf(t, a, "team.wild.example")
	leafOf(t, a, "team.wild.example")
	for n := range 200 {
		_, err := a.Certificate(fmt.Sprintf("h%d.wild.example", n))
		if err != nil && !errors.Is(err, ErrTooMany) {
			t.Fatal(err)
		}
	}
	if leafOf(t, a, "team.wild.example") != inUse {
		t.Error("the one in use was dropped")
	}
	leafOf(t, a, "api.example")
	if minted, refused := a.Counts().Minted.Load(), a.Counts().Refused.Load(); minted != 51 || refused != 151 {
		t.Errorf("%d minted and %d refused, want 51 and 151", minted, refused)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	a := open(t, t.TempDir(), Options{CacheSize: 3})
	kept := leafOf(t, a, "kept.example")
	for n := range 10 {
		leafOf(t, a, fmt.Sprintf("h%d.example", n))
		leafOf(t, a, "kept.example")
	}
	if a.current().leaves.Len() != 3 {
		t.Errorf("%d leaves kept, want 3", a.current().leaves.Len())
	}
	if leafOf(t, a, "kept.example") != kept {
		t.Error("the one in use was dropped")
	}
}

func BenchmarkMint(b *testing.B) {
	a := open(b, b.TempDir(), Options{MintPerMinute: 1 << 30, CacheSize: 2})
	for n := 0; b.Loop(); n++ {
		leafOf(b, a, fmt.Sprintf("h%d.example", n%16))
	}
}

func BenchmarkCached(b *testing.B) {
	a := open(b, b.TempDir(), Options{})
	for b.Loop() {
		leafOf(b, a, "slack.com")
	}
}
