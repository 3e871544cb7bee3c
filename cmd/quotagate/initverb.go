package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"quotagate/rules"
)

//go:embed starter/quotagate.yaml starter/quotagate.test.yaml
var starter embed.FS

// The files that init writes.
const (
	starterRules  = "quotagate.yaml"
	starterTest   = "quotagate.test.yaml"
	starterSchema = "quotagate.schema.json"
)

func (p program) initCommand(*flags) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "starter rules, and a test of them",
		Args:  argCount(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			if err := writeStarter(dir); err != nil {
				return err
			}
			p.sayNext(dir)
			return nil
		},
		ValidArgsFunction: completeDirs,
	}
}

// writeStarter writes all files or none.
func writeStarter(dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	names := []string{starterRules, starterTest, starterSchema}
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			return exists(filepath.Join(dir, name))
		}
	}
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				os.Remove(name)
			}
		}
	}()
	for _, name := range names {
		content := rules.Schema()
		if name != starterSchema {
			if content, err = starter.ReadFile("starter/" + name); err != nil {
				return err
			}
		}
		to := filepath.Join(dir, name)
		if err := writeNew(to, content); err != nil {
			return err
		}
		written = append(written, to)
	}
	return nil
}

// writeNew writes a file that must not exist, and leaves none behind that is
// not whole.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return exists(name)
	}
	if err != nil {
		return fmt.Errorf("write starter rules: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name)
		return fmt.Errorf("write starter rules: %w", err)
	}
	return nil
}

func exists(name string) error {
	return hinted(fmt.Errorf("%s exists already, and nothing was written", name),
		"give another directory: quotagate init DIR")
}

// sayNext says what was written and what to do with it.
func (p program) sayNext(dir string) {
	in := func(name string) string { return filepath.Join(dir, name) }
	flag := ""
	if dir != "." {
		flag = " --rules " + in(starterRules)
	}
	fmt.Fprintf(p.stdout, `wrote %[1]s
        the rules: change them to your quotas, and check them with: quotagate check%[4]s
      %[2]s
        a test of the rules, run by: quotagate test%[4]s
      %[3]s
        what editors need to help with rules

next: quotagate run%[4]s
      and in another terminal your tool, through the proxy: quotagate exec -- CMD
`, in(starterRules), in(starterTest), in(starterSchema), flag)
}
