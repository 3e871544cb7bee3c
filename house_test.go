// Package quotagate keeps the rules of the house that a compiler does not:
// which package may import which, where a library may be used, what may not
// be called, what may not be written into a file.
package quotagate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows are all the imports that our packages may have of each other. The
// command is the place where they meet and may import any of them.
var arrows = map[string][]string{
	"quotagate/ratelimit":      nil,
	"quotagate/certs":          nil,
	"quotagate/rules":          {"quotagate/ratelimit"},
	"quotagate/proxy":          {"quotagate/rules", "quotagate/ratelimit"},
	"quotagate/proxy/admin":    {"quotagate/proxy", "quotagate/rules", "quotagate/ratelimit"},
	"quotagate/proxy/ruletest": {"quotagate/proxy", "quotagate/rules", "quotagate/ratelimit"},
}

// homes name the one package that may import a library.
var homes = map[string]string{
	"github.com/elazarl/goproxy":          "quotagate/proxy",
	"github.com/caarlos0/env/v11":         "quotagate/cmd/quotagate",
	"github.com/spf13/cobra":              "quotagate/cmd/quotagate",
	"github.com/prometheus/client_golang": "quotagate/cmd/quotagate",
	"go.yaml.in/yaml/v4":                  "quotagate/rules",
	"github.com/expr-lang/expr":           "quotagate/rules",
	"go.etcd.io/bbolt":                    "quotagate/ratelimit",
	"github.com/redis/go-redis/v9":        "quotagate/ratelimit",
	"github.com/go-redis/redis_rate/v10":  "quotagate/ratelimit",
}

type goPackage struct {
	ImportPath   string
	Imports      []string
	Dir          string
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Dir,GoFiles,TestGoFiles,XTestGoFiles", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
}

func TestPackagesImportOnlyWhereTheArrowsPoint(t *testing.T) {
	for _, p := range packages(t) {
		allowed, listed := arrows[p.ImportPath]
		for _, i := range p.Imports {
			if strings.HasPrefix(i, "quotagate/") && listed && !slices.Contains(allowed, i) {
				t.Errorf("%s imports %s; the arrows of docs/design.md do not lead there", p.ImportPath, i)
			}
		}
		if !listed && !strings.HasPrefix(p.ImportPath, "quotagate/cmd/") && len(p.GoFiles) > 0 &&
			slices.ContainsFunc(p.Imports, func(i string) bool { return strings.HasPrefix(i, "quotagate/") }) {
			t.Errorf("%s imports packages of ours and is not among the arrows", p.ImportPath)
		}
	}
}

func TestLibrariesHaveOneHome(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range p.Imports {
			for library, home := range homes {
				if (i == library || strings.HasPrefix(i, library+"/")) && p.ImportPath != home {
					t.Errorf("%s imports %s, whose home is %s", p.ImportPath, i, home)
				}
			}
		}
	}
}

func TestTheLedgerKnowsNoHTTP(t *testing.T) {
	for _, p := range packages(t) {
		if p.ImportPath == "quotagate/ratelimit" && slices.Contains(p.Imports, "net/http") {
			t.Error("quotagate/ratelimit imports net/http")
		}
	}
}

// forbidden are calls that no package makes: a library returns its errors,
// and only main.go ends the process.
var forbidden = []string{"panic", "log.Fatal", "log.Fatalf", "log.Fatalln", "log.Panic", "log.Panicf", "os.Exit"}

// unsafe are names of goproxy and crypto/tls that turn protection off or bring
// goproxy's public CA and its signer in.
var unsafe = []string{"InsecureSkipVerify", "GoproxyCa", "MitmConnect", "AlwaysMitm", "HTTPMitmConnect", "TLSConfigFromCA"}

func TestSourceKeepsTheRules(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file, set := parse(t, filepath.Join(p.Dir, name))
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					if call := called(n); name != "main.go" && slices.Contains(forbidden, call) && !aborts(n) {
						t.Errorf("%s: %s", set.Position(n.Pos()), call)
					}
				case *ast.FuncDecl:
					if n.Name.Name == "init" && n.Recv == nil && name != "main.go" {
						t.Errorf("%s: func init", set.Position(n.Pos()))
					}
				case *ast.Ident:
					if slices.Contains(unsafe, n.Name) {
						t.Errorf("%s: %s", set.Position(n.Pos()), n.Name)
					}
				}
				return true
			})
		}
	}
}

func TestNoTestSleeps(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range slices.Concat(p.TestGoFiles, p.XTestGoFiles) {
			file, set := parse(t, filepath.Join(p.Dir, name))
			// In a synctest bubble the clock is fake, and sleeping on it is
			// how time passes there.
			if importsPath(file, "testing/synctest") {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok && called(c) == "time.Sleep" {
					t.Errorf("%s: time.Sleep in a test; wait for what must happen instead", set.Position(n.Pos()))
				}
				return true
			})
		}
	}
}

// Texts that belong to one machine or one network. The words are put together
// here so that this file does not hold them.
var foreign = map[string]*regexp.Regexp{
	"an absolute path of one machine": regexp.MustCompile(`(^|[^\w./*-])/` + `(work|root)(/|\b)`),
	"a package registry's host": regexp.MustCompile(strings.Join([]string{
		`registry\.` + `npmjs\.org`, `registry\.` + `yarnpkg\.com`, `proxy\.` + `golang\.org`, `files\.` + `pythonhosted\.org`, `deb\.` + `debian\.org`}, "|")),
}

func TestNothingOfOneMachineIsCommitted(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "-z", "-c", "-o", "--exclude-standard").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, not yet committed
		} else if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(content, 0) >= 0 {
			continue // not a text
		}
		for what, pattern := range foreign {
			for i, line := range strings.Split(string(content), "\n") {
				if pattern.MatchString(line) {
					t.Errorf("%s:%d: %s: %s", name, i+1, what, strings.TrimSpace(line))
				}
			}
		}
	}
}

func parse(t *testing.T, name string) (*ast.File, *token.FileSet) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file, set
}

// called is the name of the called function as it is written: panic, os.Exit.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return fmt.Sprintf("%s.%s", x.Name, f.Sel.Name)
		}
	}
	return ""
}

// aborts tells panic(http.ErrAbortHandler), net/http's documented way to end a
// connection in the middle of an answer.
func aborts(c *ast.CallExpr) bool {
	if len(c.Args) != 1 {
		return false
	}
	s, ok := c.Args[0].(*ast.SelectorExpr)
	return ok && s.Sel.Name == "ErrAbortHandler"
}

func importsPath(file *ast.File, path string) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		p, err := strconv.Unquote(i.Path.Value)
		return err == nil && p == path
	})
}
