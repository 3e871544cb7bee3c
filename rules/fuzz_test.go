package rules

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"
)

// FuzzLoad: no text, however broken, does anything but load or be refused
// with places that are in it.
func FuzzLoad(f *testing.F) {
	for _, glob := range []string{"testdata/*.yaml", "testdata/bad/*.yaml", "packs/*.yaml", "packs/*/*.yaml"} {
		names, err := filepath.Glob(glob)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte(wired + accountsOf))
	f.Add([]byte("\r\r:"))
	f.Add([]byte(everything))
	f.Fuzz(func(t *testing.T, text []byte) {
		fsys := fstest.MapFS{"f.yaml": {Data: text}, "wire.yaml": {Data: []byte(wired)}}
		began := time.Now()
		s, err := LoadFS(fsys, []string{"f.yaml"}, Options{Hash: testHash})
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
		if (s == nil) == (err == nil) {
			t.Fatalf("a set of %v and the error %v", s, err)
		}
		if err != nil {
			all, ok := err.(Errors)
			if !ok || len(all) == 0 {
				t.Fatalf("the error is a %T: %v", err, err)
			}
			count := len(lines(text))
			for _, e := range all {
				if e.Message == "" || e.Pos.File == "" || e.Pos.File == "f.yaml" && e.Pos.Line > count+1 {
					t.Errorf("%#v", e)
				}
			}
			return
		}
		// What loads can be used.
		for _, account := range append(s.AccountNames(), "x~1") {
			s.AccountClaims(account, began)
			for _, name := range s.MessageNames() {
				d := sending(s, name, "r1", "r2")
				d.Messages[0].text = "Hi {{name}}"
				s.Claims(d, account, began)
				s.Rates(d, account)
				s.Content(d, account)
				s.ContentWarnings(d, account)
				s.OnStoreError(d, account)
			}
		}
	})
}

// FuzzLoadTests: the same for rule tests.
func FuzzLoadTests(f *testing.F) {
	f.Add([]byte(testsText))
	f.Add([]byte("rules: slack\ntests: [{name: a, steps: [{send: {request: GET https://a.test}, times: 3}]}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tests, err := LoadTestsFS(testTree(string(text)), "t/a.test.yaml")
		if (tests == nil) == (err == nil) {
			t.Fatalf("%v and %v", tests, err)
		}
		if err != nil {
			return
		}
		for _, test := range tests.Tests {
			for _, step := range test.Steps {
				if step.Times < 1 {
					t.Errorf("a step is played %d times", step.Times)
				}
				if step.Send != nil {
					step.Send.At(3)
				}
			}
		}
	})
}
