package ruletest

import (
	"io"
	"slices"
	"sync"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// A Coverage notes which limits were asked and which messages were sent.
type Coverage struct {
	mu               sync.Mutex
	limits, messages map[string]bool // all there are; true: touched
}

// knows adds what tests of these rules could touch.
func (c *Coverage) knows(set *rules.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limits == nil {
		c.limits, c.messages = map[string]bool{}, map[string]bool{}
	}
	for _, l := range set.Limits() {
		know(c.limits, l.Name)
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

func (c *Coverage) asked(claims []ratelimit.Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range claims {
		c.limits[claims[i].Limit] = true
	}
}

func (c *Coverage) message(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages[name] = true
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
