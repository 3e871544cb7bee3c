package ratelimit

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The signature of a text is any bytes, and a journal that gave up at the first
// of them would have nothing to repeat to a new master.
func TestTheJournalKeepsWhatTextsWereLike(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	book, err := openLogbook(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	claim := Claim{Limit: "broadcast", Measure: Similar, Likeness: &Likeness{
		Exact: "text~1", Bands: []string{"000ffc3", "12880"}, Signature: "\x00\xff\xc3\x28\x80",
	}}
	want := &note{Key: "r", When: 5, ID: "r", At: 5, Request: &Request{ID: "r", Account: "anna", Claims: []Claim{claim}}}
	for _, n := range []*note{want, {Key: "pause", When: 6, Account: "anna", Hold: &Hold{Why: "caf\xe9"}}} {
		if err := book.put(n); err != nil {
			t.Fatalf("put %s: %v", n.Key, err)
		}
	}
	if err := book.rewrite(); err != nil {
		t.Fatalf("write the journal anew: %v", err)
	}
	if err := book.close(); err != nil {
		t.Fatal(err)
	}
	again, err := openLogbook(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	got := again.byKey["r"]
	if got == nil || again.byKey["pause"] == nil {
		t.Fatalf("the journal has forgotten: %v", again.byKey)
	}
	if diff := cmp.Diff(want.Request, got.Request); diff != "" {
		t.Errorf("the journal has another request (-want +got):\n%s", diff)
	}
}
