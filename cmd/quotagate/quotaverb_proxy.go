package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"quotagate/proxy/admin"
)

// A proxyAPI is the admin interface of a proxy that runs.
type proxyAPI struct {
	base   string
	token  string
	client *http.Client
	status admin.Status
}

// proxyTimeout bounds one question to a proxy on this machine.
const proxyTimeout = 5 * time.Second

// findProxy asks the admin address whether a proxy runs there; nil is none.
// One with other data than the caller named is not the one that is meant.
func (p program) findProxy(ctx context.Context, c *config, f *flags) (*proxyAPI, error) {
	a := &proxyAPI{
		base:  "http://" + c.Admin,
		token: c.AdminToken,
		// Without a proxy from the environment: that would be ourselves.
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: proxyTimeout},
	}
	err := a.call(ctx, http.MethodGet, "/api/v1/status", nil, &a.status)
	var refused apiError
	switch {
	case errors.As(err, &refused) && refused.status == http.StatusUnauthorized:
		return nil, hinted(fmt.Errorf("what listens on %s wants an admin token", c.Admin), "set %sADMIN_TOKEN to the one the proxy was started with, or name another address with --admin", envPrefix)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil || a.status.Product != "quotagate":
		return nil, nil
	}
	usual, _ := dataDir(env.ToMap(p.env)) // none is no data directory either
	if a.status.Data != c.Data && c.Data != usual && f.admin == "" {
		return nil, nil
	}
	return a, nil
}

// warnBroken says that the running proxy could not read the rules files as
// they are now.
func (p program) warnBroken(a *proxyAPI) {
	if a.status.RulesError != "" {
		first, _, _ := strings.Cut(a.status.RulesError, "\n")
		p.warn("the rules files on disk do not load, and the proxy goes on with the old rules: %s", printable(first))
	}
}

// An apiError is the admin interface's refusal, in its own words.
type apiError struct {
	status int
	detail string
}

func (e apiError) Error() string { return e.detail }

// maxReply bounds what is read of an answer.
const maxReply = 64 << 20

// call sends in as JSON, if there is one, and reads the answer into out.
func (a *proxyAPI) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running proxy: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return fmt.Errorf("ask the running proxy: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusalIn(resp, b)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read the running proxy's answer: %w", err)
	}
	return nil
}

// refusal reads why the admin interface refuses.
func (a *proxyAPI) refusal(resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return fmt.Errorf("ask the running proxy: %w", err)
	}
	return refusalIn(resp, b)
}

func refusalIn(resp *http.Response, body []byte) error {
	var problem struct{ Detail string }
	if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
		problem.Detail = "the running proxy answered " + resp.Status
	}
	return apiError{resp.StatusCode, printable(problem.Detail)}
}
