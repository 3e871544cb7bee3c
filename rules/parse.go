package rules

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// From text to nodes: the one place that knows the YAML library.

// node is one value of a YAML file.
type node = yaml.Node

// The kinds of node. No other file needs the YAML library.
const (
	scalarNode   = yaml.ScalarNode
	mappingNode  = yaml.MappingNode
	sequenceNode = yaml.SequenceNode
	aliasNode    = yaml.AliasNode
)

// biggest is the largest file that is read. Ten thousand limits take about
// 2 MB.
const biggest = 16 << 20

// parse makes nodes of the text; the YAML library's own words are kept.
func (d *decoder) parse(text []byte) (*node, bool) {
	whole := Pos{File: d.file}
	if len(text) > biggest {
		d.r.at(whole, "the file is larger than %d MiB", biggest>>20)
		return nil, false
	}
	if !utf8.Valid(text) {
		var before []byte
		for rest := text; len(rest) > 0; {
			c, n := utf8.DecodeRune(rest)
			if c == utf8.RuneError && n == 1 {
				break
			}
			before, rest = text[:len(text)-len(rest)+n], rest[n:]
		}
		d.r.at(Pos{d.file, len(lines(before)), 1}, "the file is not UTF-8")
		return nil, false
	}
	var doc node
	if err := yaml.Load(text, &doc); err != nil {
		if len(strings.TrimSpace(string(text))) == 0 || doc.Kind == 0 && strings.Contains(err.Error(), "no documents") {
			d.r.at(whole, "the file is empty\nit needs at least: version: 1")
			return nil, false
		}
		var broken *yaml.LoadError
		if errors.As(err, &broken) && broken.Mark.Line > 0 {
			p := Pos{d.file, broken.Mark.Line, broken.Mark.Column}
			hint := ""
			if broken.ContextMsg != "" && broken.ContextMark.Line > 0 {
				hint = fmt.Sprintf("%s that begins in line %d", broken.ContextMsg, broken.ContextMark.Line)
			}
			if d.tabbed(p.Line) && (strings.Contains(broken.Message, "cannot start any token") || strings.Contains(broken.Message, "tab character")) {
				hint = "YAML is indented with spaces"
			}
			d.r.at(p, "this is not YAML: %s\n%s", strings.TrimPrefix(broken.Message, "yaml: "), hint)
			return nil, false
		}
		if strings.Contains(err.Error(), "found multiple") {
			d.r.at(whole, "the file has several YAML documents\nwrite one file for each, and use: them")
			return nil, false
		}
		d.r.at(whole, "this is not YAML: %v", err)
		return nil, false
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		d.r.at(whole, "the file has no YAML document")
		return nil, false
	}
	return doc.Content[0], true
}

// tabbed reports whether a line is indented with a tab.
func (d *decoder) tabbed(line int) bool {
	text := d.r.lines[d.file]
	if line < 1 || line > len(text) {
		return false
	}
	rest := strings.TrimLeft(text[line-1], " \t")
	return strings.Contains(strings.TrimSuffix(text[line-1], rest), "\t")
}

// lines are the lines of a text as the YAML library counts them.
func lines(text []byte) []string {
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(text)), "\n")
}
