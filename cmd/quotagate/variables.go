package main

// This file reads what the library for variables cannot, and says in a person's
// words what is wrong with one.

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"quotagate/rules"
)

// testVariables begin the names of variables that belong to the project's own
// tests and are none of the program's business.
const testVariables = envPrefix + "TEST_"

func unknownVariables(vars map[string]string) error {
	known := variables(reflect.TypeFor[config]())
	var unknown []string
	for name := range vars {
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, testVariables) && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	slices.Sort(known)
	what, hint := "variable", ""
	if len(unknown) > 1 {
		what = "variables"
	}
	for _, name := range unknown {
		meant := rules.DidYouMean(strings.TrimPrefix(name, envPrefix), trimAll(known))
		if meant == "" { // there is more to say than fits beside a near name
			hint = "the variables are " + strings.Join(known, ", ")
			break
		}
		hint = strings.TrimPrefix(hint+" "+strings.Replace(meant, `"`, `"`+envPrefix, 1), " ")
	}
	return usageError{hinted(fmt.Errorf("unknown %s %s in the environment", what, strings.Join(unknown, ", ")), "%s", hint)}
}

// variables are the names of all variables that a struct and those in it are
// read from.
func variables(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		switch name := f.Tag.Get("env"); {
		case name != "":
			names = append(names, envPrefix+name)
		case f.Type.Kind() == reflect.Struct:
			names = append(names, variables(f.Type)...)
		}
	}
	return names
}

// trimAll takes the prefix, which all variables have, off their names.
func trimAll(names []string) []string {
	var out []string
	for _, name := range names {
		out = append(out, strings.TrimPrefix(name, envPrefix))
	}
	return out
}

// wrongLists finds what the library that reads variables has no good words for.
func wrongLists(vars map[string]string) error {
	for _, list := range []struct {
		name  string
		wrong func(string) string // the hint, or ""
	}{
		{"ALLOW_ADDRESSES", wrongAddress},
		{"ALLOW_PORTS", func(s string) string {
			if n, err := strconv.ParseUint(s, 10, 16); err != nil || n == 0 {
				return "write the numbers of ports, for instance 80,443,8443"
			}
			return ""
		}},
	} {
		text := vars[envPrefix+list.name]
		if text == "" {
			continue
		}
		for one := range strings.SplitSeq(text, ",") {
			if hint := list.wrong(one); hint != "" {
				return usageError{hinted(fmt.Errorf("%s%s has %q", envPrefix, list.name, one), "%s", hint)}
			}
		}
	}
	return nil
}

// wrongAddress is the hint for what is no address and no CIDR. An address that
// ends in 0 was most likely meant to be a network.
func wrongAddress(s string) string {
	p, err := parsePrefix(s)
	switch {
	case err != nil:
		return "write 127.0.0.0/8, or 127.0.0.1/32 for one"
	case strings.Contains(s, "/") || !p.Addr().Is4() || p.Addr().As4()[3] != 0:
		return ""
	}
	a, bits := p.Addr().As4(), 24
	for bits > 8 && a[bits/8-1] == 0 {
		bits -= 8
	}
	return fmt.Sprintf("write %s/%d, or %s/32 for one", p.Addr(), bits, p.Addr().Next())
}

// parsePrefix reads a CIDR, or an address as the prefix of itself alone.
func parsePrefix(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is no address and no CIDR such as 10.0.0.0/8", s)
	}
	return p.Masked(), nil
}

// network is a CIDR, or one address, in a variable. It embeds nothing: a
// netip.Prefix reads itself, and knows no single address.
type network netip.Prefix

// UnmarshalText reads it as wrongLists has checked it.
func (n *network) UnmarshalText(text []byte) error {
	p, err := parsePrefix(string(text))
	*n = network(p)
	return err
}

// prefixes are networks as the dialer knows them.
func prefixes(all []network) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, n := range all {
		out[i] = netip.Prefix(n)
	}
	return out
}

// wrongValue says which variable cannot be read, and how its kind is written.
func wrongValue(err error, vars map[string]string) error {
	var parse env.ParseError
	if !errors.As(err, &parse) {
		return usageError{fmt.Errorf("read the environment: %w", err)}
	}
	name := variableOf(reflect.TypeFor[config](), parse.Name)
	hint := "write a whole number, for instance 1000 or, for bytes, 1048576"
	if parse.Type == reflect.TypeFor[time.Duration]() {
		hint = "write a number and its unit, for instance 500ms, 10s, 2m or 1h30m"
	}
	return usageError{hinted(fmt.Errorf("%s is %q, which cannot be read", name, vars[name]), "%s", hint)}
}

// variableOf is the variable that a field is read from.
func variableOf(t reflect.Type, field string) string {
	for f := range t.Fields() {
		switch tag := f.Tag.Get("env"); {
		case f.Name == field && tag != "":
			return envPrefix + tag
		case tag == "" && f.Type.Kind() == reflect.Struct:
			if name := variableOf(f.Type, field); name != "" {
				return name
			}
		}
	}
	return ""
}
