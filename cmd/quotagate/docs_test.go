package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"quotagate/proxy"
	"quotagate/proxy/ruletest"
	"quotagate/rules"
)

// page reads a file of the repository.
func page(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// indent takes the white space that a block in a list has before its lines.
var indent = regexp.MustCompile("(?m)^( *)```yaml\n((?s).*?)^ *```$")

func TestExamplesInTheDocsLoad(t *testing.T) {
	hash := newHashKey([]byte("docs")).sum
	for _, name := range []string{"README.md", "docs/rules.md"} {
		blocks := indent.FindAllStringSubmatch(page(t, name), -1)
		if len(blocks) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, b := range blocks {
			text := strings.ReplaceAll("\n"+b[2], "\n"+b[1], "\n")
			if strings.Contains(text, "\ntests:") {
				file := filepath.Join(t.TempDir(), "docs.test.yaml")
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				results, err := ruletest.Run(t.Context(), []string{file}, ruletest.Options{})
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				for _, r := range results {
					if r.Failed() {
						var out strings.Builder
						_ = ruletest.Text(&out, results, true)
						t.Errorf("%s: %s", name, out.String())
					}
				}
				continue
			}
			file := filepath.Join(t.TempDir(), "quotagate.yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			set, err := rules.Load([]string{file}, rules.Options{Hash: hash})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, w := range set.Warnings() {
				t.Logf("%s: warning: %s", name, w)
			}
		}
	}
}

// Every key that the decoder takes, and every pack, message and regime, is
// somewhere in the reference.
func TestTheReferenceOfRulesIsWhole(t *testing.T) {
	text := page(t, "docs/rules.md")
	var schema any
	if err := json.Unmarshal(rules.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if p, ok := v["properties"].(map[string]any); ok {
				for key := range p {
					words[key] = true
				}
			}
			for _, one := range v {
				walk(one)
			}
		case []any:
			for _, one := range v {
				walk(one)
			}
		}
	}
	walk(schema)
	for _, pack := range rules.Packs() {
		words[pack] = true
	}
	use := "version: 1\nuse: [" + strings.Join(rules.Packs(), ", ") + "]\n"
	file := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(file, []byte(use), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load([]string{file}, rules.Options{Hash: newHashKey([]byte("docs")).sum})
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range set.MessageNames() {
		words[message] = true
	}
	for _, limit := range set.Limits() {
		words[limit.Name] = true
	}
	for word := range words {
		if !regexp.MustCompile(`(^|[^\w.])` + regexp.QuoteMeta(word) + `($|[^\w])`).MatchString(text) {
			t.Errorf("docs/rules.md does not mention %s", word)
		}
	}
}

// Every variable, verb, flag and field of the decision log is in the reference.
func TestTheReferenceIsWhole(t *testing.T) {
	text := page(t, "docs/reference.md")
	want := func(word string) {
		t.Helper()
		if !strings.Contains(text, word) {
			t.Errorf("docs/reference.md does not mention %s", word)
		}
	}
	for _, name := range variables(reflect.TypeFor[config]()) {
		want("`" + name + "`")
	}
	for _, m := range new(service).metricTable() {
		want("`" + m.name + "`")
		for _, value := range m.labels {
			want("`" + value + "`")
		}
	}
	var verbs func(cmd *cobra.Command)
	verbs = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			want(strings.TrimPrefix(sub.CommandPath(), "quotagate "))
			for _, f := range regexp.MustCompile(`(?m)^ {6}(--[a-z]+)`).FindAllStringSubmatch(sub.LocalNonPersistentFlags().FlagUsages(), -1) {
				want(f[1])
			}
			verbs(sub)
		}
	}
	verbs(program{}.rootCommand())

	r := proxy.Record{Messages: []proxy.RecordMessage{{Outcome: "sent", Recipients: make([]string, 101)}, {}}}
	value := reflect.ValueOf(&r).Elem()
	for i := range value.NumField() { // what is left out where it is empty
		if f := value.Field(i); f.Kind() == reflect.Slice && f.Len() == 0 {
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		}
	}
	var fields []string
	for line := range strings.Lines(string(r.AppendJSON(nil))) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		for key := range m {
			fields = append(fields, key)
		}
	}
	slices.Sort(fields)
	for _, f := range slices.Compact(fields) {
		want("`" + f + "`")
	}
}
