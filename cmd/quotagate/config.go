package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"quotagate/proxy"
)

const envPrefix = "QUOTAGATE_"

// config is what the environment and the flags say. The defaults stand here
// and nowhere else.
type config struct {
	Listen         string    `env:"LISTEN" envDefault:"127.0.0.1:8080"`
	Admin          string    `env:"ADMIN" envDefault:"127.0.0.1:8081"`
	Rules          []string  `env:"RULES" envDefault:"quotagate.yaml"`
	Store          string    `env:"STORE" envDefault:"embedded"`
	Data           string    `env:"DATA"`
	HashKeyFile    string    `env:"HASH_KEY_FILE"`
	ProxyUsers     string    `env:"PROXY_USERS"`
	GuessRate      string    `env:"GUESS_RATE" envDefault:"10/1m"`
	UserRate       string    `env:"USER_RATE"`
	ListenCert     string    `env:"LISTEN_CERT"`
	ListenKey      string    `env:"LISTEN_KEY"`
	ClientCA       string    `env:"CLIENT_CA"`
	AdminToken     string    `env:"ADMIN_TOKEN"`
	AllowAddresses []network `env:"ALLOW_ADDRESSES"`
	AllowPorts     []uint16  `env:"ALLOW_PORTS" envDefault:"80,443"`
	ConnectTo      []string  `env:"CONNECT_TO"`
	UpstreamCA     string    `env:"UPSTREAM_CA"`
	Egress         string    `env:"EGRESS" envDefault:"open"`
	UpstreamProxy  string    `env:"UPSTREAM_PROXY"`
	CACert         string    `env:"CA_CERT"`
	CAKey          string    `env:"CA_KEY"`
	// NameConstraints is on or off.
	NameConstraints string `env:"NAME_CONSTRAINTS" envDefault:"on"`
	Mode            string `env:"MODE" envDefault:"enforce"`
	LogFormat       string `env:"LOG_FORMAT" envDefault:"text"`
	LogLevel        string `env:"LOG_LEVEL" envDefault:"info"`

	Limits limits // limits.go

	// acceptClock opens a ledger that was written under a wrong clock. It is a
	// flag alone: a variable would be forgotten and do it again.
	acceptClock bool
}

// flags are the settings that every verb takes; what is given there goes over
// the environment.
type flags struct {
	rules                      []string
	listen, admin, data, store string
}

func newFlags(root *cobra.Command) *flags {
	f := &flags{}
	p := root.PersistentFlags()
	p.StringSliceVar(&f.rules, "rules", nil, "rules `FILE`s and globs (QUOTAGATE_RULES, quotagate.yaml)")
	p.StringVar(&f.data, "data", "", "`DIR` of the CA, the ledger and the log (QUOTAGATE_DATA)")
	p.StringVar(&f.store, "store", "", "`STORE` of what is used: embedded, memory or redis://… (QUOTAGATE_STORE, embedded)")
	p.StringVar(&f.admin, "admin", "", "`ADDR` of the admin interface (QUOTAGATE_ADMIN, 127.0.0.1:8081)")
	completeFlag(root, "rules", completeRules)
	completeFlag(root, "data", completeDirs)
	completeWords(root, "store", []string{"embedded", "memory"})
	return f
}

// config reads the environment, lays the flags over it and checks the whole.
func (p program) config(f *flags) (*config, error) {
	vars := env.ToMap(p.env)
	if err := unknownVariables(vars); err != nil {
		return nil, err
	}
	if err := wrongLists(vars); err != nil {
		return nil, err
	}
	c := &config{}
	err := env.ParseWithOptions(c, env.Options{Environment: vars, Prefix: envPrefix})
	if err != nil {
		return nil, wrongValue(err, vars)
	}
	if len(f.rules) > 0 {
		c.Rules = f.rules
	}
	for _, o := range []struct{ from, to *string }{
		{&f.listen, &c.Listen}, {&f.admin, &c.Admin}, {&f.data, &c.Data}, {&f.store, &c.Store},
	} {
		if *o.from != "" {
			*o.to = *o.from
		}
	}
	if c.Data == "" {
		if c.Data, err = dataDir(vars); err != nil {
			return nil, err
		}
	}
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	if c.HashKeyFile == "" {
		c.HashKeyFile = filepath.Join(c.Data, "hash.key")
	}
	return c, c.validate()
}

func (c *config) validate() error {
	wrong := func(format string, args ...any) error {
		return usageError{fmt.Errorf(format, args...)}
	}
	if err := c.checkStore(); err != nil {
		return err
	}
	if err := c.checkRates(); err != nil {
		return err
	}
	if err := c.checkCA(); err != nil {
		return err
	}
	if err := c.checkFrontTLS(); err != nil {
		return err
	}
	if err := c.Limits.validate(); err != nil {
		return err
	}
	if !slices.Contains([]string{"enforce", "shadow"}, c.Mode) {
		return wrong("%sMODE is %q; it is enforce or shadow", envPrefix, c.Mode)
	}
	if c.UpstreamProxy != "" {
		if _, err := proxy.NewParent(c.UpstreamProxy, nil); err != nil {
			return usageError{hinted(fmt.Errorf("%sUPSTREAM_PROXY is no address of a proxy", envPrefix), "%s", err)}
		}
	}
	if !slices.Contains([]string{"open", "governed-only"}, c.Egress) {
		return wrong("%sEGRESS is %q; it is open or governed-only", envPrefix, c.Egress)
	}
	if !slices.Contains([]string{"text", "json"}, c.LogFormat) {
		return wrong("%sLOG_FORMAT is %q; it is text or json", envPrefix, c.LogFormat)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, strings.ToLower(c.LogLevel)) {
		return wrong("%sLOG_LEVEL is %q; it is debug, info, warn or error", envPrefix, c.LogLevel)
	}
	for _, a := range []struct{ name, value string }{{"listen", c.Listen}, {"admin", c.Admin}} {
		host, port, err := net.SplitHostPort(a.value)
		if err != nil {
			return usageError{hinted(fmt.Errorf("the %s address %q is not host:port", a.name, a.value), "for instance 127.0.0.1:8080")}
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return wrong("the %s address %q has no port number", a.name, a.value)
		}
		if loopback(host) {
			continue
		}
		switch {
		case a.name == "listen" && c.ProxyUsers == "" && c.ClientCA == "":
			return hinted(fmt.Errorf("%s can be reached by others, and the proxy asks nobody who they are", a.value),
				"listen on 127.0.0.1, or make users with `quotagate user add NAME` and name their file in %sPROXY_USERS", envPrefix)
		case a.name == "admin" && c.AdminToken == "":
			return hinted(fmt.Errorf("the admin address %s can be reached by others, and it asks nobody who they are", a.value),
				"use 127.0.0.1, or set %sADMIN_TOKEN", envPrefix)
		}
	}
	_, err := c.connectTo()
	return err
}

// loopback reports whether a host to listen on is reachable from this machine
// only. A name other than localhost is not believed.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// connectTo reads HOST:PORT=ADDR:PORT pairs.
func (c *config) connectTo() (map[string]string, error) {
	m := map[string]string{}
	for _, pair := range c.ConnectTo {
		from, to, ok := strings.Cut(strings.TrimSpace(pair), "=")
		_, _, errFrom := net.SplitHostPort(from)
		_, _, errTo := net.SplitHostPort(to)
		if !ok || errFrom != nil || errTo != nil {
			return nil, usageError{hinted(fmt.Errorf("%sCONNECT_TO has %q", envPrefix, pair),
				"write HOST:PORT=ADDR:PORT, for instance slack.com:443=127.0.0.1:9443")}
		}
		m[strings.ToLower(from)] = to
	}
	return m, nil
}

// dataDir is where the platform keeps a program's data.
func dataDir(vars map[string]string) (string, error) {
	home := vars["HOME"]
	switch runtime.GOOS {
	case "windows":
		if d := vars["LocalAppData"]; d != "" {
			return filepath.Join(d, "quotagate"), nil
		}
	case "darwin":
		if home != "" {
			return filepath.Join(home, "Library", "Application Support", "quotagate"), nil
		}
	default:
		if d := vars["XDG_DATA_HOME"]; filepath.IsAbs(d) {
			return filepath.Join(d, "quotagate"), nil
		}
		if home != "" {
			return filepath.Join(home, ".local", "share", "quotagate"), nil
		}
	}
	return "", hinted(errors.New("there is no home directory to keep data in"), "name one with --data or %sDATA", envPrefix)
}

// ownHashKey reports whether the hash key is the data directory's own, which
// is made if there is none. One that is named elsewhere is somebody's.
func (c *config) ownHashKey() bool { return c.HashKeyFile == filepath.Join(c.Data, "hash.key") }

// named reports an error for a directory that --data names and that is not
// there: a verb that only shows something makes nothing in a place that may be
// mistyped.
func (c *config) named(f *flags) error {
	if f.data == "" {
		return nil
	}
	if _, err := os.Stat(c.Data); errors.Is(err, os.ErrNotExist) {
		return hinted(fmt.Errorf("there is no directory %s", c.Data), "`quotagate run --data %s` makes it; without --data the usual one is used", f.data)
	}
	return nil
}

// makeDataDir makes the data directory, for its owner alone.
func (c *config) makeDataDir() error {
	if err := os.MkdirAll(filepath.Join(c.Data, "log"), 0o700); err != nil {
		return c.ours(hinted(fmt.Errorf("make the data directory: %w", err), "name another with --data or %sDATA", envPrefix))
	}
	return nil
}

// ours says what a refusal of the system to read or write the data directory
// most likely means. Any other error stays as it is.
func (c *config) ours(err error) error {
	var at *fs.PathError
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &at) || !strings.HasPrefix(at.Path, c.Data) {
		return err
	}
	return hinted(fmt.Errorf("this user may not use the data directory %s: %w", c.Data, at),
		"it seems to be another user's: run quotagate as that one, or name another with --data or %sDATA", envPrefix)
}
