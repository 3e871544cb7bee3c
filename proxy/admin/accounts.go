package admin

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// AccountNames is every account that is listed or has counted anything.
func AccountNames(ctx context.Context, set *rules.Set, ledger ratelimit.Store) ([]string, error) {
	names, err := ledger.Accounts(ctx)
	if err != nil {
		return nil, err
	}
	names = append(slices.Clone(names), set.AccountNames()...)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// AccountOf is what an account has used of every limit that binds it as a
// whole. Asking counts nothing.
func AccountOf(ctx context.Context, set *rules.Set, ledger ratelimit.Store, name string, now time.Time) (*Account, error) {
	claims := set.AccountClaims(name, now)
	if strings.HasPrefix(name, "service:") { // what all accounts of a service have used together
		claims = slices.DeleteFunc(claims, func(c ratelimit.Claim) bool { return c.Scope != name })
	}
	d, err := ledger.Reserve(ctx, ratelimit.Request{ID: "peek", Account: name, Claims: claims, Dry: true})
	if err != nil {
		return nil, err
	}
	a := &Account{Name: name, Limits: proxy.LimitUses(&d, claims, set.Warns), Holds: proxy.HoldUses(&d)}
	if d.Limit == ratelimit.PausedLimit {
		a.Paused, a.Why = true, d.Why
		if d.At > 0 {
			a.Until = time.UnixMilli(d.At).UTC()
		}
	}
	return a, nil
}

func contains(names []string, name string) bool {
	_, ok := slices.BinarySearch(names, name)
	return ok
}

func portOf(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

func sameToken(r *http.Request, token string) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}
