package ratelimit

// Identities that turn out to be one account. What they had counted is added
// together, and from then on one stands for the other: a new cookie or token
// opens no new quota.

import (
	"fmt"
	"slices"
	"strings"
)

// maxHops is more than any chain of aliases; a longer one is a damaged file.
const maxHops = 1000

// canon returns the account that a name stands for, and its record (nil when
// nothing is known of it).
func (g *engine) canon(name string) (string, *record, error) {
	for range maxHops {
		rec, err := g.shelf.load(name, "")
		if err != nil {
			return "", nil, err
		}
		if rec == nil || rec.aliasOf == "" {
			return name, rec, nil
		}
		name = rec.aliasOf
	}
	return "", nil, fmt.Errorf("resolve %q: its aliases go round in a circle: %w", name, ErrCorrupt)
}

func (g *engine) resolve(identities []string) (string, error) {
	for _, id := range identities {
		name, rec, err := g.canon(id)
		if err != nil {
			return "", err
		}
		if rec != nil {
			return name, nil
		}
	}
	if len(identities) == 0 {
		return "", nil
	}
	return identities[0], nil
}

// strangers are the accounts that aliases stand for besides account; news tells
// that one of them is new to the ledger or a stranger.
func (g *engine) strangers(account string, aliases []string) (others []*record, news bool, err error) {
	for _, alias := range aliases {
		if alias == "" {
			continue
		}
		name, rec, err := g.canon(alias)
		if err != nil {
			return nil, false, err
		}
		if name == account {
			continue
		}
		news = true
		if rec != nil && !slices.Contains(others, rec) {
			others = append(others, rec)
		}
	}
	return others, news, nil
}

// together decides a request as if account and the others were one already,
// and changes nothing: who is refused must not have moved a counter.
func (g *engine) together(account string, wide *record, others []*record, r *Request, place uint64, now int64) (Decision, error) {
	trial := g.sketch(account, others)
	sum, err := trial.shelf.load(account, "")
	if err != nil {
		return Decision{}, err
	}
	ours := []string{account}
	trial.follow(account, g.queues[account])
	for _, o := range others {
		ours = append(ours, o.account)
		trial.follow(account, g.queues[o.account])
	}
	for name, list := range g.leases {
		if slices.Contains(ours, name.home) {
			name.home = account
		}
		trial.leases[name] = append(trial.leases[name], list...)
	}
	// Others that wait for a scope's counters do so still.
	for i := range r.Claims {
		scope := r.Claims[i].Scope
		if q := g.queues[scope]; scope != "" && q != nil && trial.visited(scope) {
			for _, list := range [][]*reservation{q.list, q.guests} {
				for _, res := range list {
					if !slices.Contains(ours, res.account) {
						c := *res
						trial.queueOf(scope).add(&c)
					}
				}
			}
		}
	}
	dry := *r
	dry.Dry = true
	d, _, _, err := trial.admit(account, sum, &dry, place, now)
	return d, err
}

// visited reports a scope the first time that it is asked about.
func (g *engine) visited(scope string) bool {
	if slices.Contains(g.scopes, scope) {
		return false
	}
	g.scopes = append(g.scopes, scope)
	return true
}

// follow brings copies of a queue's bookings to account.
func (g *engine) follow(account string, q *queue) {
	if q == nil {
		return
	}
	for _, res := range q.list {
		c := *res
		c.account = account
		g.live[c.id] = &c
		g.enqueue(&c)
	}
}

// unionShelf has an account's records with those of others added to them, as
// copies. What happens on it stays on it.
type unionShelf struct {
	shelf
	account string
	others  []*record
	sums    map[recordName]*record
}

func (u *unionShelf) load(account, key string) (*record, error) {
	name := recordName{account, key}
	if sum, ok := u.sums[name]; ok {
		return sum, nil
	}
	rec, err := u.shelf.load(account, key)
	if err != nil {
		return nil, err
	}
	if account != u.account {
		if rec != nil {
			rec = rec.clone(account, key)
		}
		u.sums[name] = rec
		return rec, nil
	}
	sum := rec.clone(account, key)
	for _, o := range u.others {
		other, err := u.shelf.load(o.account, key)
		if err != nil {
			return nil, err
		}
		if other != nil {
			sum.absorb(other.clone(o.account, key))
		}
	}
	u.sums[name] = sum
	return sum, nil
}

// create is asked for what has no record: the trial books again what it withdrew.
func (u *unionShelf) create(account, key string) *record {
	rec := &record{account: account, key: key}
	u.sums[recordName{account, key}] = rec
	return rec
}

func (u *unionShelf) remove(rec *record) { u.sums[recordName{rec.account, rec.key}] = nil }

func (u *unionShelf) touch(*record)       {}
func (u *unionShelf) book(*reservation)   {}
func (u *unionShelf) unbook(*reservation) {}

// adopt makes the aliases stand for account, whose record it returns.
func (g *engine) adopt(account string, wide *record, aliases []string, now int64) (*record, error) {
	for _, alias := range aliases {
		if alias == "" {
			continue
		}
		name, rec, err := g.canon(alias)
		if err != nil {
			return nil, err
		}
		if name == account {
			continue
		}
		if wide == nil {
			wide = g.shelf.create(account, "")
			g.shelf.touch(wide)
		}
		if rec == nil {
			rec = g.shelf.create(name, "")
		} else if err := g.mergeAccount(wide, rec, now); err != nil {
			return nil, err
		}
		rec.empty()
		rec.aliasOf = account
		g.adopted = true
		g.shelf.touch(rec)
	}
	return wide, nil
}

// mergeAccount moves everything that from has counted to wide's account.
func (g *engine) mergeAccount(wide, from *record, now int64) error {
	if err := g.joining(wide.account, from.account); err != nil {
		return err
	}
	wide.absorb(from)
	wide.tidyHolds(now)
	g.shelf.touch(wide)
	keys, err := g.shelf.keys(from.account)
	if err != nil {
		return err
	}
	for _, key := range keys {
		old, err := g.shelf.load(from.account, key)
		if err != nil {
			return err
		}
		rec, err := g.shelf.load(wide.account, key)
		if err != nil {
			return err
		}
		if old == nil {
			continue
		}
		if rec == nil {
			rec = g.shelf.create(wide.account, key)
		}
		if rec.aliasOf == "" && old.aliasOf != "" {
			// Two may stand for each other, one in each account.
			is, _, err := g.canonKey(wide.account, old.aliasOf)
			if err != nil {
				return err
			}
			if is != key {
				rec.aliasOf = is
			}
		}
		rec.absorb(old)
		g.shelf.touch(rec)
		g.shelf.remove(old)
	}
	if err := g.mergeThreads(wide, keys); err != nil {
		return err
	}
	// The open reservations follow, so that giving back finds the counters.
	for id, res := range g.live {
		if res.account == from.account {
			g.remember(id)
			g.dequeue(res)
			res.account = wide.account
			if res.state == booked {
				g.enqueue(res)
			}
		}
	}
	g.countLeases()
	return nil
}

// mergeThreads brings what a thread has counted in one account, and was known
// to be somebody's in the other, to that recipient.
func (g *engine) mergeThreads(wide *record, keys []string) error {
	for _, key := range keys {
		rec, err := g.shelf.load(wide.account, key)
		if err != nil {
			return err
		}
		if rec == nil {
			continue
		}
		if alias := rec.aliasOf; alias != "" && rec.weighs() > 1 {
			is, to, err := g.canonKey(wide.account, alias)
			if err != nil {
				return err
			}
			if to == nil {
				to = g.create(wide.account, is)
			}
			to.absorb(rec)
			rec.empty()
			g.shelf.touch(rec)
			g.shelf.touch(to)
			if err := g.rename(wide.account, key, is, wide.account); err != nil {
				return err
			}
			rec = to
		}
		if !strings.HasPrefix(key, "~") {
			if err := g.answered(wide.account, rec); err != nil {
				return err
			}
		}
	}
	return nil
}
