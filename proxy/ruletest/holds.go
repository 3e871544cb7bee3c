package ruletest

import (
	"context"
	"fmt"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// What a person does to accounts between the sends of a test.

// holds pauses or resumes an account where a step says so.
func (p *play) holds(ctx context.Context, step *rules.Step) error {
	account := func(name string) string {
		if name == "" {
			return p.stage.ledger.account
		}
		return name
	}
	switch {
	case step.Pause != nil:
		h := &ratelimit.Hold{Why: step.Pause.Why}
		if step.Pause.For != nil {
			h.Until = p.stage.clock.now.Add(*step.Pause.For).UnixMilli()
		}
		if err := p.stage.ledger.Pause(ctx, account(step.Pause.Account), h); err != nil {
			return fmt.Errorf("pause the account: %w", err)
		}
	case step.Resume != nil:
		if err := p.stage.ledger.Pause(ctx, account(step.Resume.Account), nil); err != nil {
			return fmt.Errorf("resume the account: %w", err)
		}
	}
	return nil
}
