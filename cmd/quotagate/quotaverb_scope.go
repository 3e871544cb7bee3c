package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"quotagate/proxy"
)

// Which limits are worth showing of an account: those that its services can
// reach.

// A limitScope is what a limit says of itself.
type limitScope struct {
	Name     string   `json:"name"`
	Measure  string   `json:"measure"`
	Scope    string   `json:"scope"`
	On       []string `json:"on"`
	By       string   `json:"by"`
	Allow    any      `json:"allow"` // a number, or one for each plan
	Per      string   `json:"per"`
	Pace     string   `json:"pace"`
	Plans    []string `json:"plans"`
	Accounts []string `json:"accounts"`
}

func (a *proxyAPI) limits(ctx context.Context) ([]limitScope, error) {
	var out struct{ Limits []limitScope }
	err := a.call(ctx, http.MethodGet, "/api/v1/limits", nil, &out)
	return out.Limits, err
}

func (a ledgerAccounts) limits(context.Context) ([]limitScope, error) {
	b, err := json.Marshal(a.set.Limits())
	if err != nil {
		return nil, err
	}
	var all []limitScope
	return all, json.Unmarshal(b, &all)
}

// services are those whose messages the limit counts.
func (l *limitScope) services() []string {
	var all []string
	for _, name := range l.On {
		service, _, _ := strings.Cut(name, ".")
		if !slices.Contains(all, service) {
			all = append(all, service)
		}
	}
	return all
}

// services are those that an account sends by, as far as that is known: the
// name of one that is not listed says so, and limits of one service alone that
// were used. None means that nothing is known.
func services(account string, uses []proxy.LimitUse, limits []limitScope) []string {
	if service, _, ok := strings.Cut(account, "~"); ok {
		return []string{service}
	}
	if service, ok := strings.CutPrefix(account, "service:"); ok {
		return []string{service}
	}
	var known []string
	for i := range limits {
		of := limits[i].services()
		if len(of) == 1 && !slices.Contains(known, of[0]) && slices.ContainsFunc(uses, func(u proxy.LimitUse) bool {
			return u.Limit == limits[i].Name && used(&u)
		}) {
			known = append(known, of[0])
		}
	}
	return known
}

// used reports whether the account has used a limit, as far as its counter is
// its own.
func used(u *proxy.LimitUse) bool {
	return u.Scope == "" && (u.Used > 0 || strings.HasPrefix(u.Measure, "pace") && !u.Resets.IsZero())
}

// reaching are the limits that an account with these services can meet.
func reaching(services []string, limits []limitScope) map[string]bool {
	reach := map[string]bool{}
	for i := range limits {
		reach[limits[i].Name] = len(services) == 0 || slices.ContainsFunc(limits[i].services(), func(s string) bool {
			return slices.Contains(services, s)
		})
	}
	return reach
}

// each says what a limit by recipient allows every one of them: 2 each.
func (l *limitScope) each() string {
	switch allow := l.Allow.(type) {
	case float64:
		return fmt.Sprintf("%.0f each", allow)
	case map[string]any:
		return "by plan, each"
	}
	if d, err := time.ParseDuration(l.Pace); err == nil {
		return "every " + asWritten(d) + " each"
	}
	return "each"
}

// rate is so many in such a time.
func (l *limitScope) rate() string {
	if n, ok := l.Allow.(float64); ok {
		return fmt.Sprintf("%.0f per %s", n, l.Per)
	}
	return "by plan"
}

// binds reports whether the limit is not another account's alone.
func (l *limitScope) binds(account string) bool {
	return len(l.Accounts) == 0 || slices.Contains(l.Accounts, account)
}
