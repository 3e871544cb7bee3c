package e2e

import "testing"

// An sdk is a service's own or best-known client library: it builds its
// requests itself and acts on the answers by itself.
type sdk struct {
	name   string
	via    send // what it sends
	script string
	args   []string
	// execOnly: the library reads no proxy variables and is told nothing
	// here; only `quotagate exec` brings it through.
	execOnly bool
}

var (
	slackSDK      = sdk{name: "@slack/web-api, by exec alone", via: viaSlackForm, script: "slack.mjs", args: []string{"@slack/web-api"}, execOnly: true}
	slackSDKAgent = sdk{name: "@slack/web-api, fetch option", via: viaSlackForm, script: "slack.mjs", args: []string{"@slack/web-api", "agent"}}
	slackSDK7     = sdk{name: "@slack/web-api 7, agent option", via: viaSlackForm, script: "slack.mjs", args: []string{"@slack/web-api-7", "agent"}}
	grammY        = sdk{name: "grammY", via: viaTelegramJSON, script: "grammy.mjs"}
)

var everySDK = []sdk{slackSDK, slackSDKAgent, slackSDK7, grammY}

// send sends the first count messages of a sender with the library.
func (k sdk) send(t *testing.T, w wiring, sender string, count int) []attempt {
	t.Helper()
	var lines []string
	for n := 1; n <= count; n++ {
		lines = append(lines, text(n))
	}
	input := map[string]any{"token": "xoxb-" + sender, "channel": "C1", "texts": lines}
	if k.via.host == telegramAPI {
		input = map[string]any{"token": botToken(sender), "chat": 42, "texts": lines}
	}
	return node(t, w, input, k.script, k.args...)
}
