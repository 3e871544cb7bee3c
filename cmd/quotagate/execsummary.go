package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"quotagate/proxy"
	"quotagate/proxy/admin"
)

// A summary is what is said at the end of a program: what was decided while it
// ran.
type summary struct {
	api     *proxyAPI
	shared  bool   // others may use the same proxy
	program string // what was run
	before  admin.Status
	begin   time.Time
}

// decisionWords are said of decisions, in this order.
var decisionWords = []struct{ decision, word string }{
	{proxy.DecisionForward, "forwarded"},
	{proxy.DecisionHold, "held"},
	{proxy.DecisionReject, "refused"},
	{proxy.DecisionCancel, "given up while held"},
	{proxy.DecisionError, "failed"},
}

func (s *summary) write(ctx context.Context, out io.Writer) {
	var after admin.Status
	var unreached *net.OpError
	switch err := s.api.call(ctx, http.MethodGet, "/api/v1/status", nil, &after); {
	case errors.As(err, &unreached):
		fmt.Fprintf(out, "quotagate: the proxy on %s stopped meanwhile; `quotagate log` has what it decided\n", s.before.Listen)
		return
	case err != nil:
		fmt.Fprintf(out, "quotagate: what became of the messages is not known: %v\n", err)
		return
	case !after.Started.Equal(s.before.Started):
		fmt.Fprintln(out, "quotagate: the proxy was started anew meanwhile; `quotagate log` has what it decided")
		return
	}
	counts := map[string]int64{}
	for d, n := range after.Decisions {
		if n -= s.before.Decisions[d]; n > 0 {
			counts[d] = n
		}
	}
	if len(counts) == 0 {
		s.nothing(out, after)
		return
	}
	var parts []string
	for _, d := range decisionWords {
		n := counts[d.decision]
		if n == 0 && d.decision != proxy.DecisionForward {
			continue
		}
		part := fmt.Sprintf("%d %s", n, d.word)
		if d.decision == proxy.DecisionReject {
			part += s.refusedBy(ctx)
		}
		parts = append(parts, part)
	}
	line := strings.Join(parts, ", ")
	if s.shared {
		line += " by the proxy on " + after.Listen + " while it ran, for all who use it"
	}
	fmt.Fprintf(out, "quotagate: %s\n", line)
}

// refusedBy names the limits that refused, those that refused most first.
func (s *summary) refusedBy(ctx context.Context) string {
	lines, err := s.api.decisions(ctx)
	if err != nil {
		return "" // the count says enough
	}
	counts := map[string]int{}
	for _, l := range lines {
		if l.Decision == proxy.DecisionReject && l.Limit != "" && !l.Time.Before(s.begin) {
			counts[l.Limit]++
		}
	}
	limits := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	if len(limits) == 0 {
		return ""
	}
	return " (" + strings.Join(limits, ", ") + ")"
}

// nothing says that no message was seen, and what the reason may be.
func (s *summary) nothing(out io.Writer, after admin.Status) {
	requests, tunnels, intercepted := after.Requests-s.before.Requests, after.Tunnels-s.before.Tunnels, after.Intercepted-s.before.Intercepted
	who := ""
	if s.shared {
		who = " from any program"
	}
	switch {
	case requests > 0:
		fmt.Fprintf(out, "quotagate: no message was seen%s; %s came through\n", who, plural(requests, "other request"))
	case intercepted > 0:
		fmt.Fprintf(out, "quotagate: warning: %s opened%s, but no request came: the program seems not to trust quotagate's certificate\n",
			plural(intercepted, "connection was", "connections were"), who)
		fmt.Fprintln(out, "hint: give it the file that `quotagate ca export` prints; a program that pins certificates cannot be governed")
		fmt.Fprintln(out, "hint: if it was answered 503, the CA may not sign for the host; `quotagate check` says so, and the way out")
	case tunnels > 0:
		fmt.Fprintf(out, "quotagate: no message was seen%s; %s came through, to hosts that no rule names\n", who, plural(tunnels, "connection"))
	default:
		fmt.Fprintf(out, "quotagate: warning: nothing came through the proxy: %s sent nothing, or it ignores the proxy settings\n", filepath.Base(s.program))
		for _, hint := range ignoring(s.program) {
			fmt.Fprintf(out, "hint: %s\n", hint)
		}
	}
}

// ignoring says why a program may ignore the settings, by the kind that it
// seems to be.
func ignoring(program string) []string {
	name := strings.ToLower(filepath.Base(program))
	is := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(name, n) })
	}
	var hints []string
	switch {
	case is("python", "pip", "uv", "poetry"):
		hints = append(hints, "aiohttp reads them with trust_env=True only; `quotagate env --for python` has what to write")
	case is("node", "npm", "npx", "yarn", "pnpm", "tsx", "ts-node", "n8n"):
		hints = append(hints, "a program that brings an agent of its own has to be told: `quotagate env --for node`")
	case is("chrom", "google-chrome", "firefox", "playwright"):
		hints = append(hints, "browsers take them at their start: `quotagate env --for playwright`")
	case is("docker", "podman"):
		hints = append(hints, "a container does not inherit them: `quotagate env --for docker`")
	default:
		hints = append(hints, "`quotagate env --for WHAT` has settings for docker, node, python and playwright")
	}
	return append(hints, "hosts in NO_PROXY do not come through, and neither does a program that was already running")
}

// plural is a count with its noun; a noun without a plural of its own gets an s.
func plural(n int64, one string, more ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(more) > 0:
		return fmt.Sprintf("%d %s", n, more[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// decisions reads the latest lines of the proxy's log.
func (a *proxyAPI) decisions(ctx context.Context) ([]logLine, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+"/api/v1/decisions", nil)
	if err != nil {
		return nil, err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running proxy: %w", err)
	}
	defer resp.Body.Close()
	var all []logLine
	for d := json.NewDecoder(io.LimitReader(resp.Body, maxReply)); ; {
		var l logLine
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return all, fmt.Errorf("read the running proxy's answer: %w", err)
		}
		all = append(all, l)
	}
}
