package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// demoRules make one message wait and the sixth go too far.
const demoRules = `version: 1
use: [slack]
limits:
  - {name: five-a-minute, on: slack.message, allow: 5, per: 1m}
  - {name: take-a-breath, on: slack.message, pace: 1s, wait: 3s}
`

// demoMessages is how many the bot posts: two more than it may.
const demoMessages = 7

// demoTimeout ends a demo that hangs; it takes four breaths of a second.
const demoTimeout = 30 * time.Second

func (p program) demoCommand(*flags) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "see it forward, hold and refuse, with no account anywhere",
		Long: `demo starts a pretend Slack, the proxy and a bot, all on this machine, and
shows what becomes of the bot's messages. It takes five seconds and leaves nothing.`,
		Args: argCount(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			err := p.demo(ctx)
			if cmd.Context().Err() != nil {
				fmt.Fprintln(p.stderr, "quotagate: the demo was stopped")
				return exitError(exitFailure)
			}
			if err != nil {
				return fmt.Errorf("the demo broke off: %w", err)
			}
			return nil
		},
	}
}

// demo runs the whole story.
func (p program) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "quotagate-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	slack, err := startPretendSlack(filepath.Join(dir, "slack"))
	if err != nil {
		return err
	}
	defer slack.close()
	c, err := demoConfig(dir, slack)
	if err != nil {
		return err
	}
	s, err := p.open(c, version())
	if err != nil {
		return err
	}
	serving, end := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- s.serve(serving, version()) }()
	defer func() {
		end()
		err = errors.Join(err, <-served, s.close())
	}()
	return p.demoStory(ctx, s, slack)
}

// demoConfig is a proxy in dir that takes the pretend Slack for slack.com,
// whatever the environment says.
func demoConfig(dir string, slack *pretendSlack) (*config, error) {
	rules := filepath.Join(dir, "quotagate.yaml")
	if err := os.WriteFile(rules, []byte(demoRules), 0o600); err != nil {
		return nil, err
	}
	return &config{
		Listen:          "127.0.0.1:0",
		Admin:           "127.0.0.1:0",
		Rules:           []string{rules},
		Store:           "memory",
		Data:            filepath.Join(dir, "data"),
		HashKeyFile:     filepath.Join(dir, "data", "hash.key"),
		AllowAddresses:  []network{network(netip.MustParsePrefix("127.0.0.1/32"))},
		AllowPorts:      []uint16{443},
		ConnectTo:       []string{pretendHost + ":443=" + slack.addr()},
		UpstreamCA:      slack.caFile,
		NameConstraints: "on",
		Mode:            "enforce",
		LogFormat:       "text",
		LogLevel:        "error",
	}, nil
}

// A demoBot posts messages as any program does that is pointed at the proxy.
type demoBot struct{ client *http.Client }

func newDemoBot(s *service) *demoBot {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.ca.PEM())
	return &demoBot{&http.Client{Transport: &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: s.front.Addr().String()}),
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}}
}

// post sends one message and returns what came back, on one line.
func (b *demoBot) post(ctx context.Context, n int) (string, error) {
	form := url.Values{"channel": {"C0DEMO"}, "text": {fmt.Sprintf("Hello number %d", n)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+pretendHost+"/api/chat.postMessage", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "Bearer xoxb-demo")
	resp, err := b.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	got := fmt.Sprintf("%d  %s", resp.StatusCode, strings.TrimSpace(string(body)))
	if after := resp.Header.Get("Retry-After"); after != "" {
		got = fmt.Sprintf("%d  Retry-After: %s", resp.StatusCode, after)
	}
	return got, nil
}
