package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheCACanBeHadBeforeAnythingRuns: on a machine that has none yet, it is
// made.
func TestTheCACanBeHadBeforeAnythingRuns(t *testing.T) {
	t.Parallel()
	s := newStage(t, twoADay)
	exported := s.run(t, "ca", "export")
	block, rest := pem.Decode([]byte(exported.out.String()))
	if exported.code != exitOK || block == nil || len(rest) != 0 {
		t.Fatalf("export: exit %d, %q%s", exported.code, exported.out, exported.stderr)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}

	var shown shownCA
	if r := s.run(t, "ca", "show", "--json"); r.code != exitOK || json.Unmarshal([]byte(r.out.String()), &shown) != nil {
		t.Fatalf("show --json: exit %d, %s%s", r.code, r.out, r.stderr)
	}
	key := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	want := shownCA{
		Subject: cert.Subject.CommonName, SPKI: base64.StdEncoding.EncodeToString(key[:]),
		Fingerprint: shown.Fingerprint, NotAfter: cert.NotAfter, File: filepath.Join(s.data, "ca.pem"),
		Permits: []string{"quotagate.internal", "slack-gov.com", "slack.com"}, Trusted: []string{},
	}
	if diff := cmp.Diff(want, shown); diff != "" || len(shown.Fingerprint) != 95 {
		t.Errorf("show --json: %s", diff)
	}
	if s.run(t, "ca", "export", "--der").out.String() != string(block.Bytes) {
		t.Error("export --der is another certificate")
	}
	if r := s.run(t, "ca", "show", "--spki"); r.out.String() != want.SPKI+"\n" {
		t.Errorf("show --spki: %q", r.out)
	}
	wantContains(t, "show", s.run(t, "ca", "show").out.String(), want.Subject, want.SPKI, want.File, "valid until")
	if out := s.run(t, "ca", "export", "--bundle").out.String(); strings.Count(out, "BEGIN CERTIFICATE") < 2 || !strings.HasSuffix(out, exported.out.String()) {
		t.Error("the bundle is not the system's roots and the CA")
	}
	if r := s.run(t, "ca", "frobnicate"); r.code != exitUsage {
		t.Errorf("an unknown verb: exit %d, %s", r.code, r.stderr)
	}
}
