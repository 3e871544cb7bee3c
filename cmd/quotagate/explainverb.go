package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quotagate/proxy"
	"quotagate/proxy/admin"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// A question is what explain is asked.
type question struct {
	headers []string
	body    string
	as, at  string
	dry     bool
	json    bool
}

func (p program) explainCommand(f *flags) *cobra.Command {
	var q question
	cmd := &cobra.Command{
		Use:   "explain METHOD URL",
		Short: "what would happen to a request, and why",
		Long: `explain says what the proxy would do with a request: forward it, hold it or
refuse it, by which limits, for which account. Nothing is sent, and nothing is
counted. The running proxy is asked; where none runs, the ledger itself.`,
		Example: `  quotagate explain POST https://slack.com/api/chat.postMessage \
    -H 'Authorization: Bearer xoxb-1' -d '{"channel": "C1", "text": "hello"}'`,
		Args: argCount(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := p.config(f)
			if err != nil {
				return err
			}
			r, err := p.request(&q, args[0], args[1])
			if err != nil {
				return err
			}
			x := c.unreachable(r)
			if x == nil {
				if x, err = p.explain(cmd.Context(), c, f, r, q.dry); err != nil {
					return err
				}
			}
			if q.json {
				return writeJSON(p.stdout, x)
			}
			now := r.At
			if now.IsZero() {
				now = time.Now()
			}
			writeExplanation(p.stdout, x, now, p.location())
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	fl := cmd.Flags()
	fl.StringArrayVarP(&q.headers, "header", "H", nil, "a header, `'Name: value'`")
	fl.StringVarP(&q.body, "body", "d", "", "the `BODY`, or @FILE for a file's content, or @- for standard input")
	fl.StringVar(&q.as, "as", "", "as if the client gave the proxy this user: `ACCOUNT`")
	fl.StringVar(&q.at, "at", "", "decide at this `TIME`, or a duration from now")
	fl.BoolVar(&q.dry, "dry", false, "on an empty ledger, and without looking for a proxy")
	fl.BoolVar(&q.json, "json", false, "as the admin interface says it")
	return cmd
}

// request is the question in the admin interface's words.
func (p program) request(q *question, method, target string) (*admin.ExplainRequest, error) {
	req, err := http.NewRequest(method, target, nil)
	if err != nil || req.URL.Host == "" {
		return nil, usageError{hinted(fmt.Errorf("%s %s is not a method and a URL with a host", printable(method), printable(target)),
			"for instance: quotagate explain POST https://slack.com/api/chat.postMessage")}
	}
	if portOf(req.URL) == "" {
		return nil, usageError{hinted(fmt.Errorf("%s:// cannot be proxied", printable(req.URL.Scheme)), "http:// and https:// can")}
	}
	r := &admin.ExplainRequest{Method: strings.ToUpper(method), URL: target, Header: http.Header{}, ProxyUser: q.as}
	for _, h := range q.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usageError{hinted(fmt.Errorf("%q is no header", h), "write -H 'Name: value'")}
		}
		r.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	name, file := strings.CutPrefix(q.body, "@")
	switch {
	case !file:
		r.Body = []byte(q.body)
	case name == "-":
		r.Body, err = io.ReadAll(p.stdin)
	default:
		r.Body, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if q.at != "" {
		if r.At, err = parseWhen("at", q.at, time.Now().In(p.location()), 1); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// portOf is the port that a URL names, or that its scheme stands for; "" for a
// scheme that the proxy does not speak.
func portOf(u *url.URL) string {
	port, ok := map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443"}[u.Scheme]
	if ok && u.Port() != "" {
		return u.Port()
	}
	return port
}

// unreachable is the answer to a request for a port that clients may not name;
// no rule is asked then. nil is none.
func (c *config) unreachable(r *admin.ExplainRequest) *proxy.Explanation {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil
	}
	var allowed []string
	for _, p := range c.AllowPorts {
		allowed = append(allowed, strconv.Itoa(int(p)))
	}
	port := portOf(u)
	if slices.Contains(allowed, port) {
		return nil
	}
	return &proxy.Explanation{
		Decision: proxy.DecisionReject,
		Reason:   fmt.Sprintf("port %s is not allowed: %sALLOW_PORTS has %s", port, envPrefix, strings.Join(allowed, ",")),
		Answer:   &rules.Answer{Status: http.StatusForbidden, Header: http.Header{"Quotagate-Error": {"port"}}},
	}
}

// explain asks the running proxy, the ledger, or with --dry an empty one.
func (p program) explain(ctx context.Context, c *config, f *flags, r *admin.ExplainRequest, dry bool) (*proxy.Explanation, error) {
	if dry {
		return c.explainDry(ctx, r)
	}
	api, err := p.findProxy(ctx, c, f)
	if err != nil {
		return nil, err
	}
	if api != nil {
		p.warnBroken(api)
		set, err := c.otherRules(api, f)
		if err != nil {
			return nil, err
		}
		if set != nil {
			p.warn("a proxy is running with other rules (%s): this decides by %s, with an empty ledger",
				api.status.Revision, strings.Join(c.Rules, ", "))
			return c.explainDry(ctx, r)
		}
		if !r.At.IsZero() {
			return nil, usageError{hinted(errors.New("--at cannot be asked of the running proxy, whose ledger is at the present"),
				"add --dry to decide at that time on an empty ledger")}
		}
		x := &proxy.Explanation{}
		return x, api.call(ctx, http.MethodPost, "/api/v1/explain", r, x)
	}
	s, err := c.standstill(p.logger(c))
	if err != nil {
		return nil, err
	}
	defer s.ledger.Close()
	if r.At.IsZero() {
		return s.explain(ctx, r, time.Now())
	}
	then, err := s.ledgerAt(c, r.At)
	if err != nil {
		return nil, err
	}
	defer then.close()
	return then.explain(ctx, r, r.At)
}

// explainDry opens nothing but the rules.
func (c *config) explainDry(ctx context.Context, r *admin.ExplainRequest) (*proxy.Explanation, error) {
	set, err := c.loadForReading()
	if err != nil {
		return nil, err
	}
	at := r.At
	if at.IsZero() {
		at = time.Now()
	}
	s := &standstill{set, emptyLedger(at)}
	defer s.ledger.Close()
	return s.explain(ctx, r, at)
}

// explain asks the proxy's own code about the request.
func (s *standstill) explain(ctx context.Context, r *admin.ExplainRequest, at time.Time) (*proxy.Explanation, error) {
	e := &proxy.Enforcer{Rules: func() *rules.Set { return s.set }, Ledger: s.ledger}
	return admin.Explain(ctx, e, r, at)
}

// A past or future ledger is a copy of the real one, whose clock would
// otherwise be moved for good.
type copiedLedger struct {
	standstill
	dir string
}

// ledgerAt copies the ledger, which is open and so is nobody else's, and opens
// the copy at a time to come.
func (s *standstill) ledgerAt(c *config, at time.Time) (*copiedLedger, error) {
	if at.Before(time.Now()) {
		return nil, usageError{hinted(errors.New("--at has passed, and the ledger only knows what is used now"),
			"add --dry to decide at that time on an empty ledger")}
	}
	now := func() time.Time { return at }
	if _, ok := s.ledger.(*ratelimit.Memory); ok {
		return &copiedLedger{standstill{s.set, emptyLedger(at)}, ""}, nil
	}
	if c.shared() {
		return nil, usageError{hinted(errors.New("--at cannot be asked of a shared store, whose ledger is at the present"),
			"add --dry to decide at that time on an empty ledger")}
	}
	dir, err := os.MkdirTemp("", "quotagate-explain-")
	if err != nil {
		return nil, fmt.Errorf("copy the ledger: %w", err)
	}
	file := filepath.Join(dir, ledgerFile)
	from := filepath.Join(c.Data, ledgerFile)
	if err = errors.Join(copyFile(file, from), copyFile(file+ratelimit.JournalSuffix, from+ratelimit.JournalSuffix)); err == nil {
		var ledger ratelimit.Store
		if ledger, err = ratelimit.OpenEmbedded(file, ratelimit.Options{Now: now}); err == nil {
			return &copiedLedger{standstill{s.set, ledger}, dir}, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("copy the ledger: %w", err), os.RemoveAll(dir))
}

func (l *copiedLedger) close() {
	l.ledger.Close()
	if l.dir != "" {
		os.RemoveAll(l.dir)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
