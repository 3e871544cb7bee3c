package main

import (
	"os"
	"strings"
	"testing"
)

// TestNodeComesThroughWithoutBeingTold: by fetch, by node:https, by an agent
// of the program's own, and past the proxy where NO_PROXY says so. The
// libraries that people use are tested end to end.
func TestNodeComesThroughWithoutBeingTold(t *testing.T) {
	t.Parallel()
	needProgram(t, "node")
	s := newStage(t, "{name: many, on: slack.message, allow: 100, per: 24h}")
	s.env = append(s.env, "NO_PROXY=direct.invalid", "NODE_OPTIONS=--no-deprecation")
	r := s.run(t, "exec", "--as", "anna", "--", "node", "--input-type=module", "-e", `
		import https from 'node:https';
		const url = 'https://slack.com/api/chat.postMessage';
		const init = { method: 'POST', headers: { Authorization: 'Bearer xoxb-node', 'Content-Type': 'application/json' } };
		const body = JSON.stringify({ channel: 'C1', text: 'hi' });
		const request = (agent) => new Promise((resolve, reject) => {
			https.request(url, { ...init, agent }, (answer) => {
				answer.resume().on('end', () => resolve(answer.headers['quotagate-decision']));
			}).on('error', reject).end(body);
		});
		const agent = new https.Agent({ keepAlive: true });
		console.log('fetch', (await fetch(url, { ...init, body })).headers.get('quotagate-decision'));
		console.log('https', await request());
		console.log('no agent', await request(false));
		console.log('agent', await request(agent), await request(agent));
		const failure = (url) => new Promise((resolve) => https.get(url, { agent }).on('error', resolve));
		await fetch('https://direct.invalid/').catch((err) => console.log('direct', err.cause.code));
		console.log('direct', (await failure('https://sub.direct.invalid/')).code);
		console.log('refused', (await failure('https://port.invalid:8443/')).message);
		agent.destroy();
	`)
	if r.code != exitOK {
		t.Fatalf("exit %d: %s%s", r.code, r.out, r.stderr)
	}
	wantContains(t, "standard output", r.out.String(),
		"fetch forward\n", "https forward\n", "no agent forward\n", "agent forward forward\n",
		"direct ENOTFOUND\ndirect ENOTFOUND\n", "refused ", "CONNECT port.invalid:8443 with 403")
	if got := s.slack.messages.Load(); got != 5 {
		t.Errorf("%d messages arrived, want 5", got)
	}
	if n := strings.Count(s.logged(t), `"proxy_user":"anna"`); n != 5 {
		t.Errorf("%d messages were anna's, want 5", n)
	}
	wantContains(t, "standard error", r.stderr.String(), "quotagate: 5 forwarded\n")
}

func TestThePreloadIsWrittenOnce(t *testing.T) {
	dir := t.TempDir()
	name, err := writePreload(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writePreload(dir); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the file that programs may be reading was replaced by itself")
	}
}
