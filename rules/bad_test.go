package rules

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// TestBadFiles: every file of testdata/bad is refused, with the words that
// stand next to it. QUOTAGATE_UPDATE=1 writes them anew, to be read before
// they are committed.
func TestBadFiles(t *testing.T) {
	names, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(names) < 20 {
		t.Fatal(len(names), err)
	}
	for _, name := range names {
		base := filepath.Base(name)
		t.Run(base, func(t *testing.T) {
			_, err := LoadFS(beside(t, name), []string{base}, Options{Hash: testHash})
			if err == nil {
				t.Fatal("the file was taken")
			}
			got, want := err.Error()+"\n", strings.TrimSuffix(name, ".yaml")+".txt"
			if os.Getenv("QUOTAGATE_UPDATE") == "1" {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(text) {
				t.Errorf("got\n%s\nwant\n%s", got, text)
			}
		})
	}
}

// beside is one file, and the ones that fixtures use.
func beside(t *testing.T, name string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, name := range []string{name, "testdata/wire.yaml", "testdata/account-file.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fsys[filepath.Base(name)] = &fstest.MapFile{Data: text}
	}
	return fsys
}

func TestUnreadableFilesAreSaidInASentence(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, want string }{
		{filepath.Join(dir, "none.yaml"), filepath.Join(dir, "none.yaml") + ": there is no such file"},
		{dir, dir + ": this is a directory\n  hint: name the files in it: "},
		{filepath.Join(dir, "*.yaml"), filepath.Join(dir, "*.yaml") + ": no file matches"},
	} {
		_, err := Load([]string{c.name}, Options{Hash: testHash})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if os.Getuid() != 0 { // root reads everything
		locked := filepath.Join(dir, "locked.yaml")
		if err := os.WriteFile(locked, []byte("version: 1"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Load([]string{locked}, Options{Hash: testHash}); err == nil || !strings.Contains(err.Error(), "permission denied\n  hint: ") {
			t.Error(err)
		}
	}
	if _, err := Load(nil, Options{Hash: testHash}); err == nil || !strings.Contains(err.Error(), "no rules file was named") {
		t.Error(err)
	}
}

func TestAllErrorsOfAllFilesAreReportedAtOnce(t *testing.T) {
	_, err := loadText(t, "version: 1\nuse: [./b.yaml, ./a.yaml]\nlimts: []", "a.yaml", "version: 1\nlimits: [{name: a}]", "b.yaml", "version: 1\nmessages: [{nam: x}]")
	all, _ := err.(Errors)
	var places []string
	for _, e := range all {
		places = append(places, e.Pos.String())
	}
	if got := strings.Join(places, " "); !strings.HasPrefix(got, "a.yaml:2:10 ") || !strings.Contains(got, " b.yaml:2:13 ") || !strings.HasSuffix(got, " rules.yaml:3:1") {
		t.Errorf("%s\n%v", got, err)
	}
}

func TestErrorsCarryNoControlCharacters(t *testing.T) {
	_, err := loadText(t, "version: 1\n\"a\\e[31mb\": 1\n")
	if err == nil || strings.ContainsRune(err.Error(), 0x1b) {
		t.Errorf("%q", err)
	}
}
