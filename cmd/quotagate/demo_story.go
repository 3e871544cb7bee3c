package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"quotagate/proxy"
)

// demoStory lets the bot post and tells what happens, line by line.
func (p program) demoStory(ctx context.Context, s *service, slack *pretendSlack) error {
	_, limits, _ := strings.Cut(strings.TrimSpace(demoRules), "\n")
	fmt.Fprintf(p.stdout, `A pretend Slack answers as %s on %s, and the proxy stands in
front of it. All of it is on this machine, and nothing leaves it. The rules:

    %s

A bot posts %d messages, each as soon as the one before is answered:

`, pretendHost, slack.addr(), strings.ReplaceAll(limits, "\n", "\n    "), demoMessages)

	lines, stop := s.recent.Follow()
	defer stop()
	bot := newDemoBot(s)
	defer bot.client.CloseIdleConnections()
	counts := map[string]int64{}
	p.demoLine("", "#", "decision", "limit", "held", "the bot got")
	for n := 1; n <= demoMessages; n++ {
		got, err := bot.post(ctx, n)
		if err != nil {
			return err
		}
		was, err := demoDecision(ctx, lines)
		if err != nil {
			return err
		}
		counts[was.Decision]++
		word, limit, held := was.Decision, "", ""
		if was.held != "" {
			counts[proxy.DecisionHold]++
			word, limit, held = "hold, "+word, was.held, fmt.Sprintf("%.1f s", float64(was.HeldMS)/1000)
		}
		if was.Decision == proxy.DecisionReject {
			limit = was.Limit
		}
		colour := colours[was.Decision]
		if was.held != "" {
			colour = colours[proxy.DecisionHold]
		}
		p.demoLine(colour, fmt.Sprint(n), word, limit, held, got)
	}
	arrived := slack.messages.Load()
	fmt.Fprintf(p.stdout, `
The pretend Slack counted %d messages. The other %d never left: the bot was told
when to come back, the way Slack itself says it.

Next:
    quotagate init                      rules of your own, in this directory
    quotagate exec -- python3 bot.py    a program of yours, through the proxy
    quotagate log -f                    what is decided
`, arrived, demoMessages-arrived)
	if arrived != counts[proxy.DecisionForward] {
		return fmt.Errorf("the service counted %d messages, and the proxy forwarded %d", arrived, counts[proxy.DecisionForward])
	}
	return nil
}

// demoLine writes one row of the story; a colour is an SGR code.
func (p program) demoLine(colour, n, decision, limit, held, got string) {
	decision = fmt.Sprintf("%-13s", decision)
	if colour != "" && p.terminal(p.stdout) {
		decision = "\x1b[" + colour + "m" + decision + "\x1b[0m"
	}
	fmt.Fprintf(p.stdout, "    %s  %s  %-13s  %5s  %s\n", n, decision, limit, held, got)
}

// A demoVerdict is the last word on a message, with the limit that held it
// before, if one did.
type demoVerdict struct {
	logLine
	held string
}

// demoDecision waits for the last word on the message that was just answered.
func demoDecision(ctx context.Context, lines <-chan []byte) (demoVerdict, error) {
	var v demoVerdict
	for {
		select {
		case line := <-lines:
			var l logLine
			if err := json.Unmarshal(bytes.TrimSpace(line), &l); err != nil {
				return v, fmt.Errorf("read the decision: %w", err)
			}
			if l.Decision == proxy.DecisionHold {
				v.held = l.Limit
				continue
			}
			v.logLine = l
			return v, nil
		case <-ctx.Done():
			return v, context.Cause(ctx)
		}
	}
}
