package ruletest

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"quotagate/rules"
)

// Options are how tests are run; the zero value runs all of them.
type Options struct {
	// Run, if set, matches the names of the tests to run.
	Run *regexp.Regexp
	// Coverage, if set, notes what the tests touch.
	Coverage *Coverage
	// Load reads a file; nil is rules.LoadTests.
	Load func(name string) (*rules.TestFile, error)
}

// beginning is when a test begins that does not say: a Monday morning.
var beginning = time.Date(2026, time.January, 5, 9, 0, 0, 0, time.UTC)

// Run plays the tests of files, side by side, and returns what became of
// them in the order of the files. Its own error is only that of ctx.
func Run(ctx context.Context, names []string, o Options) ([]File, error) {
	if o.Load == nil {
		o.Load = rules.LoadTests
	}
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	files := make([]File, len(names))
	var all sync.WaitGroup
	for i := range names {
		all.Go(func() { files[i] = runFile(ctx, names[i], &o, free) })
	}
	all.Wait()
	return files, context.Cause(ctx)
}

// runFile plays the tests of one file, as many at a time as are free.
func runFile(ctx context.Context, name string, o *Options, free chan struct{}) File {
	begin := time.Now()
	f := File{Name: name}
	tests, err := o.Load(name)
	var set *rules.Set
	if err == nil {
		set, err = tests.Load(rules.Options{Hash: plain})
	}
	if err != nil {
		f.Err, f.Elapsed = err, time.Since(begin)
		return f
	}
	if o.Coverage != nil {
		o.Coverage.knows(set)
	}
	var chosen []*rules.Test
	for _, t := range tests.Tests {
		if o.Run == nil || o.Run.MatchString(t.Name) {
			chosen = append(chosen, t)
		}
	}
	f.Tests = make([]Test, len(chosen))
	var all sync.WaitGroup
	for i, t := range chosen {
		all.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			f.Tests[i] = runTest(ctx, set, t, o.Coverage)
		})
	}
	all.Wait()
	f.Elapsed = time.Since(begin)
	return f
}

// plain names identities and recipients in clear, so that a test can say
// which account it means: linkedin~urn:li:… There is nothing to hide in it.
func plain(_, value string) string { return value }

func runTest(ctx context.Context, set *rules.Set, t *rules.Test, cover *Coverage) Test {
	begin := time.Now()
	result := Test{Name: t.Name, At: t.Pos}
	p := &play{result: &result}
	set, err := set.Given(rules.Given{Plan: t.Given.Plan, Timezone: t.Given.Timezone, Facts: t.Given.Facts})
	if err != nil {
		p.fail(t.Given.Pos, err.Error())
		return result
	}
	start := t.Start
	if start.IsZero() {
		start = beginning
	}
	p.stage = newStage(set, start, cover)
	for _, step := range t.Steps {
		if ctx.Err() != nil || !p.step(ctx, step) {
			break
		}
	}
	result.Sends, result.Elapsed = p.stage.sends, time.Since(begin)
	return result
}

// A play is one test on its way.
type play struct {
	stage  *stage
	result *Test
	shot   *shot // the latest, for repeat
}

func (p *play) fail(at rules.Pos, text string) {
	p.result.Failures = append(p.result.Failures, Failure{At: at, Text: text})
}

// step plays one step; false ends the test, because what follows would only
// fail for the same reason.
func (p *play) step(ctx context.Context, step *rules.Step) bool {
	c := &p.stage.clock
	c.reach(c.now.Add(step.After))
	if !step.Until.IsZero() {
		if step.Until.Before(c.now) {
			p.fail(step.Pos, fmt.Sprintf("it is %s already, later than until: %s", c.now.Format(time.RFC3339), step.Until.Format(time.RFC3339)))
			return false
		}
		c.reach(step.Until)
	}
	if err := p.holds(ctx, step); err != nil {
		p.fail(step.Pos, err.Error())
		return false
	}
	if step.Send == nil {
		return true
	}
	again := step.Send.Repeat != ""
	var err error
	if !again {
		p.shot, err = newShot(step.Send)
	}
	if err == nil {
		p.stage.service.reply, err = replyOf(step.Upstream)
	}
	if err != nil {
		p.fail(step.Send.Pos, err.Error())
		return false
	}
	return p.sends(ctx, step, again)
}

// checkEvery is how many sends go by before ctx is looked at.
const checkEvery = 1024

// sends plays all sends of a step. Only the first that fails is told in full.
func (p *play) sends(ctx context.Context, step *rules.Step, again bool) bool {
	c := &p.stage.clock
	wantBody := step.Expect != nil && (step.Expect.Body != "" || step.Expect.JSON != nil)
	failed := 0
	next := c.now
	for n := 1; n <= step.Times; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return false
		}
		c.reach(next)
		next = c.now.Add(step.Every)
		nth := n
		if again {
			nth = p.shot.last
		}
		req, err := p.shot.request(nth)
		if err != nil {
			p.fail(step.Send.Pos, fmt.Sprintf("send %d: %v", n, err))
			return false
		}
		began := c.now
		h, err := p.stage.send(req, wantBody)
		if err != nil {
			p.fail(step.Send.Pos, fmt.Sprintf("%sthe proxy failed: %v", p.which(n, step.Times, began), err))
			return false
		}
		if step.Expect == nil {
			continue
		}
		if wrong := p.stage.compare(h, step.Expect); len(wrong) > 0 {
			if failed++; failed == 1 {
				p.fail(step.Expect.Pos, p.which(n, step.Times, began)+strings.Join(wrong, "\n"))
			}
		}
	}
	if failed > 1 {
		last := &p.result.Failures[len(p.result.Failures)-1]
		last.Text += fmt.Sprintf("\nand %d more of the %d sends of this step", failed-1, step.Times)
	}
	return true
}

// which says which send it is, and when.
func (p *play) which(n, of int, at time.Time) string {
	loc := p.stage.set.Location(p.stage.now.last.Account)
	when := at.In(loc).Format(time.RFC3339)
	if of == 1 {
		return when + ": "
	}
	return fmt.Sprintf("send %d of %d, %s: ", n, of, when)
}
