package main

// The verbs for the users file. A running proxy notices what they write.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func (p program) userCommand(f *flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "who may use the proxy",
		Long: `The users file holds a name and a hashed password in each line. It is the one
that QUOTAGATE_PROXY_USERS names, or else "users" in the data directory. The
proxy asks for passwords if QUOTAGATE_PROXY_USERS is set, and notices a change
of the file within a second.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{hinted(fmt.Errorf("user: there is no verb %q", args[0]), "see `%s --help`", cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(p.userAddCommand(f), p.userRemoveCommand(f), p.userListCommand(f))
	return cmd
}

func (p program) userAddCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "add NAME",
		Short: "a user, or a new password for one",
		Example: `  quotagate user add anna                  asks for the password
  quotagate user add bot < password.txt    takes the first line`,
		Args: argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			if err := checkUserName(name); err != nil {
				return err
			}
			file, c, err := p.usersFile(f)
			if err != nil {
				return err
			}
			// Users come before the first run of a proxy that others can reach.
			if c.ProxyUsers == "" {
				if err := c.makeDataDir(); err != nil {
					return err
				}
			}
			password, err := p.askPassword(name)
			if err != nil {
				return err
			}
			hash, err := hashPassword(password)
			if err != nil {
				return err
			}
			was, err := editUsers(file, name, name+":"+string(hash))
			if err != nil {
				return err
			}
			what := "is a user now"
			if was {
				what = "has a new password"
			}
			fmt.Fprintf(p.stdout, "%s %s, in %s\n", name, what, file)
			if c.ProxyUsers == "" {
				fmt.Fprintf(p.stdout, "the proxy asks for passwords when it is started with %sPROXY_USERS=%s\n", envPrefix, file)
			}
			return nil
		},
	}
}

func (p program) userRemoveCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "a user",
		Args:  argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, c, err := p.usersFile(f)
			if err == nil {
				err = c.named(f)
			}
			if err != nil {
				return err
			}
			was, err := editUsers(file, args[0], "")
			if err != nil {
				return err
			}
			if !was {
				return hinted(fmt.Errorf("there is no user %q in %s", args[0], file), "`quotagate user list` shows who there is")
			}
			fmt.Fprintf(p.stdout, "%s is no user any more, in %s\n", args[0], file)
			return nil
		},
	}
}

func (p program) userListCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "the names in the users file",
		Args:  argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			file, c, err := p.usersFile(f)
			if err == nil {
				err = c.named(f)
			}
			if err != nil {
				return err
			}
			data, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintf(p.stderr, "There are no users: %s is not there. `quotagate user add NAME` makes it.\n", file)
				return nil
			}
			if err != nil {
				return fmt.Errorf("read the users file: %w", err)
			}
			for line := range strings.Lines(string(data)) {
				if name, _, ok := userLine(line); ok {
					fmt.Fprintln(p.stdout, name)
				}
			}
			return nil
		},
	}
}

// usersFile is the file that is in use, or the one that would be made.
func (p program) usersFile(f *flags) (string, *config, error) {
	c, err := p.config(f)
	if err != nil {
		return "", nil, err
	}
	if c.ProxyUsers != "" {
		return c.ProxyUsers, c, nil
	}
	return filepath.Join(c.Data, "users"), c, nil
}

// checkUserName refuses names that a line of the file, or Basic credentials,
// cannot hold (RFC 7617, 2: no colon).
func checkUserName(name string) error {
	bad := func(r rune) bool { return r == ':' || unicode.IsSpace(r) || unicode.IsControl(r) }
	if name == "" || strings.HasPrefix(name, "#") || strings.ContainsFunc(name, bad) {
		return usageError{hinted(fmt.Errorf("%q cannot be a user's name", name), "write one without spaces and colons that does not begin with #")}
	}
	return nil
}

// askPassword asks twice on a terminal, and reads one line of anything else.
func (p program) askPassword(name string) ([]byte, error) {
	in, isFile := p.stdin.(*os.File)
	if !isFile || !term.IsTerminal(int(in.Fd())) {
		line, err := bufio.NewReader(p.stdin).ReadBytes('\n')
		line = bytes.TrimRight(line, "\r\n")
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		if len(line) == 0 {
			return nil, usageError{hinted(errors.New("there is no password on standard input"), "write one line, or call it in a terminal to be asked")}
		}
		return line, nil
	}
	var twice [2][]byte
	for i, ask := range []string{"password for " + name + ": ", "once more: "} {
		fmt.Fprint(p.stderr, ask)
		password, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(p.stderr)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		twice[i] = password
	}
	switch {
	case len(twice[0]) == 0:
		return nil, errors.New("the password is empty")
	case !bytes.Equal(twice[0], twice[1]):
		return nil, hinted(errors.New("the two are not the same"), "nothing was changed; try again")
	}
	return twice[0], nil
}

// editUsers puts a line in the place of a user's, "" for none, and leaves all
// others as they are, comments too. It reports whether there was one. The file
// is replaced in one step.
func editUsers(file, name, line string) (was bool, err error) {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read the users file: %w", err)
	}
	var out strings.Builder
	put := func(s string) {
		if s != "" {
			out.WriteString(strings.TrimRight(s, "\r\n") + "\n")
		}
	}
	for old := range strings.Lines(string(data)) {
		if who, _, ok := userLine(old); !ok || who != name {
			put(old)
			continue
		}
		if !was {
			put(line)
		}
		was = true
	}
	if !was {
		put(line)
	}
	if line == "" && !was {
		return false, nil
	}
	if err := writeFile(file, []byte(out.String()), 0o600); err != nil {
		return false, fmt.Errorf("write the users file: %w", err)
	}
	return was, nil
}
