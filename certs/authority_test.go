package certs

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func anyHost(string) bool { return true }

// open opens the CA of dir at testNow, for every host unless o says otherwise.
func open(t testing.TB, dir string, o Options) *Authority {
	t.Helper()
	if o.Allow == nil {
		o.Allow = anyHost
	}
	if o.Now == nil {
		o.Now = func() time.Time { return testNow }
	}
	a, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTheCAIsMadeOnceAndFoundAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := open(t, dir, Options{Host: "workshop"})
	second := open(t, dir, Options{Host: "another name"})
	if first.Fingerprint() != second.Fingerprint() {
		t.Error("the second Open made another CA")
	}
	for name, want := range map[string]os.FileMode{KeyFile: 0o600, CertFile: 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", name, info.Mode().Perm(), want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("the data directory holds %v, want the two files only", entries)
	}
}

func TestTheCACanOnlySignLeavesAndSaysWhoseItIs(t *testing.T) {
	a := open(t, t.TempDir(), Options{Host: "workshop"})
	c := a.current().cas[0]
	if !c.IsCA || !c.MaxPathLenZero || c.MaxPathLen != 0 {
		t.Error("want a CA with path length zero")
	}
	if c.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || !slices.Equal(c.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("key usage %v, extended %v", c.KeyUsage, c.ExtKeyUsage)
	}
	if got := a.Subject(); !regexp.MustCompile(`^quotagate workshop 2026-11-21 [0-9a-f]{6}$`).MatchString(got) {
		t.Errorf("subject %q", got)
	}
	if want := testNow.Add(-24 * time.Hour); !c.NotBefore.Equal(want) {
		t.Errorf("not before %v, want %v", c.NotBefore, want)
	}
	if want := testNow.Add(caLife); !a.NotAfter().Equal(want) {
		t.Errorf("not after %v, want %v", a.NotAfter(), want)
	}
	if len(c.SubjectKeyId) == 0 || c.SerialNumber.BitLen() < 64 {
		t.Error("want a subject key id and a random serial")
	}
}

func TestLongMachineNamesFitTheSubject(t *testing.T) {
	for _, host := range []string{strings.Repeat("x", 200), strings.Repeat("ü", 100), "", "a"} {
		a := open(t, t.TempDir(), Options{Host: host})
		if n := len(a.Subject()); n > 64 || !strings.Contains(a.Subject(), " 2026-11-21 ") {
			t.Errorf("subject of %d bytes: %q", n, a.Subject())
		}
	}
}

func TestKeysAndSerialsAreNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 8 {
		a := open(t, t.TempDir(), Options{Host: "same"})
		c, err := a.Certificate("slack.com")
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{
			a.SPKI(),
			string(c.Leaf.RawSubjectPublicKeyInfo),
			a.current().cas[0].SerialNumber.String(),
			c.Leaf.SerialNumber.String(),
		} {
			if seen[v] {
				t.Fatalf("came twice: %x", v)
			}
			seen[v] = true
		}
	}
}

func TestAClientThatTrustsTheCACompletesAHandshake(t *testing.T) {
	a := open(t, t.TempDir(), Options{Now: time.Now})
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(a.PEM()) {
		t.Fatal("PEM holds no certificate")
	}
	server, client := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- tls.Server(server, &tls.Config{
			GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
				return a.Certificate(h.ServerName)
			},
		}).Handshake()
	}()
	c := tls.Client(client, &tls.Config{ServerName: "slack.com", RootCAs: roots})
	if err := c.Handshake(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	client.Close()
	server.Close()
}

// TestOpenSSLAcceptsTheChain holds leaf and CA against a second verifier,
// strictly, since Python 3.13 asks OpenSSL to be strict.
func TestOpenSSLAcceptsTheChain(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is not installed; scripts/install-test-tools.sh installs it")
	}
	dir := t.TempDir()
	a := open(t, dir, Options{Now: time.Now, AllowIPs: true})
	ca := filepath.Join(dir, CertFile)
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example"
	for _, c := range []struct{ host, flag string }{
		{"slack.com", "-verify_hostname"},
		{long, "-verify_hostname"},
		{"192.0.2.1", "-verify_ip"},
		{"2001:db8::1", "-verify_ip"},
	} {
		cert, err := a.Certificate(c.host)
		if err != nil {
			t.Fatal(err)
		}
		leafFile := filepath.Join(dir, "leaf.pem")
		writePEM(t, leafFile, cert.Certificate[0])
		out, err := exec.Command(openssl, "verify", "-x509_strict", "-purpose", "sslserver",
			"-CAfile", ca, c.flag, c.host, leafFile).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", c.host, err, out)
		}
	}
	out, err := exec.Command(openssl, "x509", "-in", ca, "-noout", "-fingerprint", "-sha256").Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, printed, _ := strings.Cut(strings.TrimSpace(string(out)), "="); printed != a.Fingerprint() {
		t.Errorf("fingerprint %s, openssl says %s", a.Fingerprint(), printed)
	}
}

func TestWhatIsRefusedHasASentenceAndAWayOut(t *testing.T) {
	for _, c := range []struct {
		name         string
		spoil        func(t *testing.T, dir string)
		at           time.Time
		problem, way string
	}{
		{
			name:    "key readable by the group",
			spoil:   func(t *testing.T, dir string) { chmod(t, dir, KeyFile, 0o640) },
			problem: "can be read by others (mode 0640)", way: "chmod 600 ",
		},
		{
			name:    "key readable by the world",
			spoil:   func(t *testing.T, dir string) { chmod(t, dir, KeyFile, 0o604) },
			problem: "can be read by others (mode 0604)", way: "chmod 600 ",
		},
		{
			name: "expired", at: testNow.Add(caLife + time.Second),
			problem: "expired on 2028-11-20 12:00 UTC", way: "have a new CA made",
		},
		{
			name: "clock far behind", at: testNow.Add(-48 * time.Hour),
			problem: "is not valid before 2026-11-20 12:00 UTC, and the clock says 2026-11-19 12:00 UTC", way: "set the machine's clock",
		},
		{
			name: "key of another CA",
			spoil: func(t *testing.T, dir string) {
				other := t.TempDir()
				open(t, other, Options{})
				copyFile(t, filepath.Join(other, KeyFile), filepath.Join(dir, KeyFile))
			},
			problem: "is not the key of the CA in", way: "put the pair back",
		},
		{
			name:    "goproxy's published CA",
			spoil:   func(t *testing.T, dir string) { copyFile(t, "testdata/goproxy-ca.pem", filepath.Join(dir, CertFile)) },
			problem: "publishes with its private key", way: "remove this one wherever it is trusted",
		},
		{
			name:    "key lost",
			spoil:   func(t *testing.T, dir string) { removeFile(t, dir, KeyFile) },
			problem: "has no key", way: "put ",
		},
		{
			name: "certificate garbled",
			spoil: func(t *testing.T, dir string) {
				writeFile(t, filepath.Join(dir, CertFile), "no PEM", 0o644)
			},
			problem: "cannot be read as PEM: no certificate in it", way: "put the right file back",
		},
		{
			name: "key garbled",
			spoil: func(t *testing.T, dir string) {
				writeFile(t, filepath.Join(dir, KeyFile), "no PEM", 0o600)
			},
			problem: "cannot be read as PEM: no private key in it", way: "put the right file back",
		},
		{
			name: "a leaf instead of a CA",
			spoil: func(t *testing.T, dir string) {
				a := open(t, t.TempDir(), Options{})
				cert, err := a.Certificate("slack.com")
				if err != nil {
					t.Fatal(err)
				}
				writePEM(t, filepath.Join(dir, CertFile), cert.Certificate[0])
				der, err := x509.MarshalECPrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
				if err != nil {
					t.Fatal(err)
				}
				writeBlock(t, filepath.Join(dir, KeyFile), "EC PRIVATE KEY", der)
			},
			problem: "is not a CA", way: "have a new CA made",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir, Options{})
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			at := c.at
			if at.IsZero() {
				at = testNow
			}
			_, err := Open(dir, Options{Now: func() time.Time { return at }})
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v, want a refusal", err)
			}
			if !strings.Contains(refusal.Error(), c.problem) || !strings.Contains(refusal.Error(), dir) {
				t.Errorf("problem: %s", refusal)
			}
			if !strings.Contains(refusal.Hint(), c.way) {
				t.Errorf("way out: %s", refusal.Hint())
			}
		})
	}
}

func TestAnECKeyFromOpenSSLIsRead(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, Options{})
	der, err := x509.MarshalECPrivateKey(a.current().signer.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	writeBlock(t, filepath.Join(dir, KeyFile), "EC PRIVATE KEY", der)
	if b := open(t, dir, Options{}); b.Fingerprint() != a.Fingerprint() {
		t.Error("another CA")
	}
}

func TestADataDirectoryThatCannotBeMadeIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "", 0o600)
	if _, err := Open(filepath.Join(file, "data"), Options{}); err == nil || !strings.HasPrefix(err.Error(), "make the data directory: ") {
		t.Errorf("got %v", err)
	}
}
