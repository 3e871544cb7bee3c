package certs

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// rotation is what the tests call on one directory.
type rotation struct {
	t   *testing.T
	dir string
	o   Options
}

func newRotation(t *testing.T) rotation {
	return rotation{t, t.TempDir(), Options{Now: func() time.Time { return testNow }, Hosts: hosts("slack.com"), Allow: anyHost}}
}

func (r rotation) rotate() *x509.Certificate {
	r.t.Helper()
	next, err := Rotate(r.dir, r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	return next
}

func (r rotation) finish() (next, old *x509.Certificate) {
	r.t.Helper()
	next, old, err := Finish(r.dir, r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	return next, old
}

func (r rotation) want(a *Authority, signs *x509.Certificate, trusted ...*x509.Certificate) {
	r.t.Helper()
	c, err := a.Certificate("slack.com")
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.Leaf.CheckSignatureFrom(signs); err != nil {
		r.t.Errorf("the leaf is not from %s: %v", signs.SerialNumber, err)
	}
	if !slices.EqualFunc(a.Trusted(), trusted, (*x509.Certificate).Equal) {
		r.t.Errorf("%d certificates to be trusted, want %d", len(a.Trusted()), len(trusted))
	}
}

// Lists of trusted certificates show names: two of one day have two.
func TestTheNextCAHasANameOfItsOwn(t *testing.T) {
	r := newRotation(t)
	a := open(t, r.dir, r.o)
	if next := r.rotate(); next.Subject.CommonName == a.Subject() || next.Subject.CommonName == "" {
		t.Errorf("both are %q", next.Subject.CommonName)
	}
}

func TestOneCAFollowsAnotherUnderARunningAuthority(t *testing.T) {
	r := newRotation(t)
	changed := 0
	r.o.Changed = func(err error) {
		if err != nil {
			t.Error(err)
		}
		changed++
	}
	a := open(t, r.dir, r.o)
	old := a.Trusted()[0]
	r.want(a, old, old)

	r.o.Hosts = hosts("slack.com", "linkedin.com")
	next := r.rotate()
	r.want(a, old, old, next)
	if again, err := Rotate(r.dir, r.o); !errors.Is(err, ErrWaiting) || !again.Equal(next) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := a.Certificate("linkedin.com"); !errors.Is(err, ErrOutside) {
		t.Errorf("got %v", err)
	}

	if gotNext, gotOld := r.finish(); !gotNext.Equal(next) || !gotOld.Equal(old) {
		t.Error("other CAs than those that follow each other")
	}
	r.want(a, next, next)
	leafOf(t, a, "linkedin.com")
	r.want(open(t, r.dir, r.o), next, next)
	if before := Old(r.dir); len(before) != 1 || !before[0].Equal(old) {
		t.Errorf("%d old ones are remembered", len(before))
	}
	if _, _, err := Finish(r.dir, r.o); !errors.Is(err, ErrNothingNext) {
		t.Errorf("finished again: %v", err)
	}
	if changed != 2 {
		t.Errorf("told of %d changes, want 2", changed)
	}
	entries, err := os.ReadDir(r.dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestACancelledRotationLeavesNothing(t *testing.T) {
	r := newRotation(t)
	a := open(t, r.dir, r.o)
	old := a.Trusted()[0]
	if err := Cancel(r.dir, r.o); !errors.Is(err, ErrNothingNext) {
		t.Errorf("got %v", err)
	}
	r.rotate()
	if err := Cancel(r.dir, r.o); err != nil {
		t.Fatal(err)
	}
	r.want(a, old, old)
	if entries, err := os.ReadDir(r.dir); err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	r.rotate()
}

// TestARotationThatDiedAnywhereGoesOn cuts each step off after each of the
// changes it makes to the directory.
func TestARotationThatDiedAnywhereGoesOn(t *testing.T) {
	spoil := map[string]func(dir string, old []byte){
		"rotate, before it told the clients": func(dir string, old []byte) {
			writeFile(t, filepath.Join(dir, CertFile), string(old), 0o644)
		},
		"rotate, before it made the certificate": func(dir string, old []byte) {
			writeFile(t, filepath.Join(dir, CertFile), string(old), 0o644)
			removeFile(t, dir, NextCertFile)
		},
		"finish, after it had put the key in place": func(dir string, _ []byte) {
			if err := os.Rename(filepath.Join(dir, NextKeyFile), filepath.Join(dir, KeyFile)); err != nil {
				t.Fatal(err)
			}
		},
		"cancel, after it had removed the key": func(dir string, _ []byte) { removeFile(t, dir, NextKeyFile) },
	}
	for name, break1 := range spoil {
		r := newRotation(t)
		r.t = t
		a := open(t, r.dir, r.o)
		old := a.PEM()
		r.rotate()
		break1(r.dir, old)
		leafOf(t, open(t, r.dir, r.o), "slack.com")
		// Whatever a person tries next, by what the error says, it goes on.
		_, err := Rotate(r.dir, r.o)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Way == "run `quotagate ca rotate --finish` again":
		case errors.As(err, &refusal) && refusal.Way == "run `quotagate ca rotate --cancel` again":
			if err := Cancel(r.dir, r.o); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r.rotate()
		case err != nil && !errors.Is(err, ErrWaiting):
			t.Errorf("%s: %v", name, err)
		}
		next, _ := r.finish()
		r.want(a, next, next)
	}
}

// TestProcessesThatRotateAtOnceAgree: whoever wins, all sign with one CA that
// is among the trusted ones, and nothing is left half-way.
func TestProcessesThatRotateAtOnceAgree(t *testing.T) {
	r := newRotation(t)
	a := open(t, r.dir, r.o)
	for range 5 {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := Rotate(r.dir, r.o); err != nil && !errors.Is(err, ErrWaiting) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		before := a.Trusted()
		if len(before) != 2 {
			t.Fatalf("%d certificates to be trusted, want 2", len(before))
		}
		finished := make(chan *x509.Certificate, 4)
		for range 4 {
			wg.Go(func() {
				next, _, err := Finish(r.dir, r.o)
				switch {
				case err == nil:
					finished <- next
				case !errors.Is(err, ErrNothingNext):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(finished); n == 0 {
			t.Fatal("nobody finished")
		}
		if now := a.Trusted(); len(now) != 1 || !now[0].Equal(before[1]) {
			t.Error("another CA signs than the one that was to follow")
		}
	}
}

// TestNoReaderFindsAPairThatDoesNotFit: the files are read all the time while
// CAs follow each other, from the worst state that a died Rotate leaves.
func TestNoReaderFindsAPairThatDoesNotFit(t *testing.T) {
	r := newRotation(t)
	r.o.Changed = func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	a := open(t, r.dir, r.o)
	done := make(chan struct{})
	var readers sync.WaitGroup
	defer readers.Wait()
	defer close(done)
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := a.Certificate("slack.com"); err != nil {
					t.Error(err)
				}
				if _, err := Open(r.dir, r.o); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		old, err := os.ReadFile(filepath.Join(r.dir, CertFile))
		if err != nil {
			t.Fatal(err)
		}
		r.rotate()
		if err := replace(filepath.Join(r.dir, CertFile), old); err != nil {
			t.Fatal(err)
		}
		r.finish()
	}
}

func TestABrokenNewCALeavesTheOldOneInForce(t *testing.T) {
	r := newRotation(t)
	var told error
	r.o.Changed = func(err error) { told = err }
	a := open(t, r.dir, r.o)
	first := leafOf(t, a, "slack.com")
	writeFile(t, filepath.Join(r.dir, CertFile), "no PEM at all", 0o644)
	if leafOf(t, a, "slack.com") != first || told == nil {
		t.Errorf("told %v", told)
	}
	told = nil
	leafOf(t, a, "slack.com")
	if told != nil {
		t.Error("told twice of one change")
	}
}
