package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"quotagate/proxy/ruletest"
)

// testSuffix ends the names of rule tests.
const testSuffix = ".test.yaml"

func (p program) testCommand(f *flags) *cobra.Command {
	var pattern, format string
	var verbose, cover bool
	cmd := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "run the tests of rules",
		Long: `test runs rule tests: *.test.yaml beside the rules files, or those that are
named. They play on the proxy's own code with a clock that jumps; nothing is
sent.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			o := ruletest.Options{}
			if o.Run, err = regexp.Compile(pattern); err != nil {
				return usageError{hinted(fmt.Errorf("--run: %w", err), "write a regular expression that the names of tests match")}
			}
			if !slices.Contains(testFormats, format) {
				return usageError{hinted(fmt.Errorf("there is no format %q", format), "the formats are %s", strings.Join(testFormats, ", "))}
			}
			if cover {
				o.Coverage = &ruletest.Coverage{}
			}
			if names, err = testFiles(names, c.Rules); err != nil {
				return err
			}
			// A short run with much that is thrown away: memory is cheaper
			// than collecting it (measured: a sixth less CPU).
			debug.SetGCPercent(400)
			results, err := ruletest.Run(cmd.Context(), names, o)
			if err != nil {
				return err
			}
			return p.report(results, o.Coverage, format, verbose)
		},
		ValidArgsFunction: completeRules,
	}
	fl := cmd.Flags()
	fl.StringVar(&pattern, "run", "", "only tests whose names match this `REGEXP`")
	fl.BoolVarP(&verbose, "verbose", "v", false, "name the tests that pass, too")
	fl.StringVar(&format, "format", "text", "`FORMAT`: "+strings.Join(testFormats, ", "))
	fl.BoolVar(&cover, "cover", false, "name the limits and messages that no test touches")
	completeWords(cmd, "format", testFormats)
	return cmd
}

var testFormats = []string{"text", "junit", "github"}

func (p program) report(results []ruletest.File, cover *ruletest.Coverage, format string, verbose bool) error {
	var err error
	switch format {
	case "junit":
		err = ruletest.JUnit(p.stdout, results)
	case "github":
		err = ruletest.GitHub(p.stdout, results)
	default:
		err = ruletest.Text(p.stdout, results, verbose)
	}
	if err == nil && cover != nil {
		out := p.stdout
		if format == "junit" {
			out = p.stderr // standard output is the XML
		}
		err = cover.Write(out)
	}
	if err == nil && slices.ContainsFunc(results, func(f ruletest.File) bool { return f.Failed() }) {
		err = exitError(exitFailure)
	}
	return err
}

// testFiles are the files that were named, patterns and directories among
// them, or else all tests beside the rules.
func testFiles(names, ruleFiles []string) ([]string, error) {
	if len(names) == 0 {
		for _, name := range ruleFiles {
			names = append(names, filepath.Dir(name))
		}
	}
	var found []string
	for _, name := range names {
		info, err := os.Stat(name)
		switch {
		case err == nil && !info.IsDir():
			found = append(found, name)
			continue
		case err == nil:
			name = filepath.Join(name, "*"+testSuffix)
		case !strings.ContainsAny(name, "*?["):
			return nil, fmt.Errorf("read the tests: %w", err)
		}
		more, err := filepath.Glob(name)
		if err != nil {
			return nil, usageError{fmt.Errorf("%q is not a pattern of file names", name)}
		}
		if len(more) == 0 {
			return nil, hinted(fmt.Errorf("there are no tests: no file matches %s", name), "`quotagate init` writes a first one; or name files")
		}
		found = append(found, more...)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(found) == 0 {
		return nil, hinted(errors.New("there are no tests"), "name files that end in %s", testSuffix)
	}
	return found, nil
}
