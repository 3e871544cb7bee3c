package ruletest

import (
	"io"
	"slices"
	"sync"

	"quotagate/rules"
)

// A Coverage notes which limits were asked and which messages were sent.
type Coverage struct {
	mu               sync.Mutex
	limits, messages map[string]bool // all there are; true: touched
	content          map[string][]string
}

// knows adds what tests of these rules could touch.
func (c *Coverage) knows(set *rules.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limits == nil {
		c.limits, c.messages, c.content = map[string]bool{}, map[string]bool{}, map[string][]string{}
	}
	for _, l := range set.Limits() {
		know(c.limits, l.Name)
		if l.Measure == "content" {
			for _, name := range l.On {
				c.content[name] = append(c.content[name], l.Name)
			}
		}
	}
	for _, name := range set.MessageNames() {
		know(c.messages, name)
	}
}

func know(names map[string]bool, name string) {
	if _, ok := names[name]; !ok {
		names[name] = false
	}
}

// asked notes a limit that was asked, if it is one.
func (c *Coverage) asked(limit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.limits[limit]; ok {
		c.limits[limit] = true
	}
}

func (c *Coverage) message(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages[name] = true
	// What looks at texts alone does so for every message that it binds.
	for _, limit := range c.content[name] {
		c.limits[limit] = true
	}
}

// Write names what no test touched.
func (c *Coverage) Write(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &printer{w: w}
	for _, kind := range []struct {
		name  string
		names map[string]bool
	}{{"limits", c.limits}, {"messages", c.messages}} {
		var missed []string
		for name, touched := range kind.names {
			if !touched {
				missed = append(missed, name)
			}
		}
		slices.Sort(missed)
		p.f("coverage: %d of %d %s\n", len(kind.names)-len(missed), len(kind.names), kind.name)
		for _, name := range missed {
			p.f("    no test touches %s\n", name)
		}
	}
	return p.err
}
