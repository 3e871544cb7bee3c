package ratelimit

// What a Cluster cannot do in one step, because it lies on several servers.
//
// A scope's counters are reserved after the account's: if the scope has no room
// then, the account's are given back. Both have room at the same slot, or the
// message is told to ask again later and nothing is booked; so order of arrival
// is kept within an account, and not between accounts.
//
// Two names of one account become one before the request is decided, also if it
// is refused: the second is frozen, what it had counted is added to the first,
// and cleared, each step once. Between the first two, for the time of two calls,
// what it had counted is not seen.

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// scoped is the name under which a process remembers a reservation of a scope.
func scoped(id, scope string) string { return id + "\x00" + scope }

// reserveOnCluster decides a request whose accounts lie on several servers.
func (s *Redis) reserveOnCluster(ctx context.Context, r *Request) (Decision, error) {
	if err := s.join(ctx, r); err != nil {
		return Decision{}, err
	}
	v := divided(r)
	own, scopes, parts := v.own, v.scopes, v.parts
	before := s.partsOf(r.ID)
	if r.Replace && r.Sooner {
		if kept, booked := s.booking(r.ID); booked {
			v.kept = kept
			return s.soonerOnCluster(ctx, r, &v)
		}
	}
	d, err := s.reserve(ctx, own, 0)
	if err != nil || d.Verdict == Twin || d.Verdict == Gone {
		return d, err
	}
	admitted := d.Verdict <= Booked
	if admitted && !r.Dry {
		s.divide(r.ID, scopes)
	}
	if r.Replace && !r.Dry { // scopes that the new rules do not ask
		for _, scope := range before {
			if !slices.Contains(scopes, scope) {
				err = errors.Join(err, s.cancelOne(ctx, scoped(r.ID, scope)))
			}
		}
		if err != nil {
			if back := s.giveBackParts(ctx, r, scopes, admitted); back != nil {
				err = &halfway{errors.Join(err, back)}
			}
			return d, err
		}
	}
	if len(scopes) == 0 {
		s.remember(r, &d)
		return d, nil
	}
	for _, scope := range scopes {
		part := *parts[scope]
		part.Dry = part.Dry || !admitted
		part.Arrived = r.Arrived
		from := int64(0)
		if d.Verdict == Booked {
			from = d.At
		}
		e, err := s.reserveScope(ctx, part, from)
		if err != nil {
			if back := s.giveBackParts(ctx, r, scopes, admitted); back != nil {
				err = &halfway{errors.Join(err, back)}
			}
			return d, err
		}
		d.Uses = append(d.Uses, e.Uses...)
		switch {
		// Now is not the same millisecond on both servers.
		case !admitted || e.Verdict == Go || e.Verdict == Booked && d.Verdict == Booked && e.At == d.At:
		case e.Verdict <= Booked: // room, but not at the account's slot
			d.Verdict, d.At, d.Limit, d.Key, d.Why = Later, e.At, e.Limit, e.Key, e.Why
			admitted = false
		default:
			d.Verdict, d.At, d.Limit, d.Key, d.Why, d.Fits = e.Verdict, e.At, e.Limit, e.Key, e.Why, e.Fits
			admitted = false
		}
	}
	if !admitted && !r.Dry {
		return d, s.giveBackParts(ctx, r, scopes, true)
	}
	d = inOrder(d, r.Claims)
	s.remember(r, &d)
	return d, nil
}

// A division is a request by its parts: the account's own, and the scopes'.
type division struct {
	own    Request
	scopes []string
	parts  map[string]*Request
	kept   Decision // what its booking was answered
}

func divided(r *Request) division {
	own, scopes, parts := *r, []string(nil), map[string]*Request{}
	own.Claims, own.Aliases = nil, nil
	for i := range r.Claims {
		cl := r.Claims[i]
		if cl.Scope == "" || cl.Scope == r.Account {
			own.Claims = append(own.Claims, cl)
			continue
		}
		part := parts[cl.Scope]
		if part == nil {
			part = &Request{ID: r.ID, Account: cl.Scope, Arrived: r.Arrived, Replace: r.Replace, Sooner: r.Sooner, Dry: r.Dry}
			parts[cl.Scope] = part
			scopes = append(scopes, cl.Scope)
		}
		cl.Scope = ""
		part.Claims = append(part.Claims, cl)
	}
	return division{own: own, scopes: scopes, parts: parts}
}

// divide remembers which scopes have a part of a reservation, before they are
// asked for it: what becomes of the answers, Cancel finds them.
func (s *Redis) divide(id string, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[id]; t != nil {
		t.parts = scopes
	}
}

// A halfway error came after something was charged and could not be given
// back at once.
type halfway struct{ error }

func (h *halfway) Unwrap() error { return h.error }

// reserveScope reserves a scope's part under a name of its own, so that one
// process's reservation of both is remembered.
func (s *Redis) reserveScope(ctx context.Context, part Request, from int64) (Decision, error) {
	part.ID = scoped(part.ID, part.Account)
	return s.reserve(ctx, part, from)
}

func (s *Redis) giveBackParts(ctx context.Context, r *Request, scopes []string, any bool) error {
	if !any || r.Dry {
		return nil
	}
	names := []string{r.ID}
	for _, scope := range scopes {
		names = append(names, scoped(r.ID, scope))
	}
	return s.cancelAll(ctx, names)
}

// cancelAll gives back the parts of a reservation. The first of them knows the
// others: it is remembered until they are given back too.
func (s *Redis) cancelAll(ctx context.Context, names []string) (err error) {
	for _, part := range names[1:] {
		err = errors.Join(err, s.cancelOne(ctx, part))
	}
	if err != nil {
		_, own := s.tryCancel(ctx, names[0])
		return errors.Join(err, own)
	}
	return s.cancelOne(ctx, names[0])
}

// inOrder brings the uses into the order of the claims.
func inOrder(d Decision, claims []Claim) Decision {
	place := func(u Use) int {
		i := slices.IndexFunc(claims, func(cl Claim) bool { return cl.Limit == u.Limit && cl.Key == u.Key })
		return i
	}
	slices.SortStableFunc(d.Uses, func(a, b Use) int { return place(a) - place(b) })
	return d
}

// partsOf are the scopes that have a part of a reservation.
func (s *Redis) partsOf(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.open[id]; t != nil {
		return t.parts
	}
	return nil
}

// parts are the names of a reservation's parts, itself first.
func (s *Redis) parts(id string) []string {
	names := []string{id}
	for _, scope := range s.partsOf(id) {
		names = append(names, scoped(id, scope))
	}
	return names
}

// askHolds reads the holds of a service on another server.
func (s *Redis) askHolds(ctx context.Context, c *redisCall, service string) error {
	if _, ok := c.told[service]; ok {
		return fmt.Errorf("%s in redis: %q lies on another server of the Cluster", c.verb, service)
	}
	text, err := s.client.HGet(ctx, s.prefix+":"+tag(service)+":a", "h").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("read the holds of a service in redis: %w", err)
	}
	if c.told == nil {
		c.told = map[string]string{}
	}
	c.told[service] = text
	return nil
}

func toldOf(told map[string]string) []byte {
	if told == nil {
		return nil
	}
	b := []byte{'{'}
	for name, text := range told {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = appendText(b, escape(name))
		b = appendText(append(b, ':'), text)
	}
	return append(b, '}')
}

// join makes the aliases of a request stand for its account.
func (s *Redis) join(ctx context.Context, r *Request) error {
	if r.Dry || len(r.Aliases) == 0 {
		return nil
	}
	account, err := s.Resolve(ctx, []string{r.Account})
	if err != nil {
		return err
	}
	for _, alias := range r.Aliases {
		if name, ok := s.names.Get(alias); alias == "" || alias == account || ok && name == account {
			continue
		}
		if alias, err = s.Resolve(ctx, []string{alias}); err != nil {
			return err
		}
		if alias == account {
			continue
		}
		if err := s.joinOne(ctx, alias, account); err != nil {
			return err
		}
	}
	return nil
}

// joinOne has an alias stand for an account. Where that was begun, and ended
// halfway by an error or a crash, it is ended.
func (s *Redis) joinOne(ctx context.Context, alias, account string) error {
	named := func(name string) func(*redisCall, []byte) []byte {
		return func(_ *redisCall, b []byte) []byte { return appendText(append(b, ','), escape(name)) }
	}
	frozen, err := s.once(ctx, &redisCall{verb: "freeze", names: []string{alias}, rest: named(account)})
	if err != nil || frozen.what != 'z' || frozen.body == "" {
		return err
	}
	if _, err := s.run(ctx, &redisCall{verb: "absorb", names: []string{account}, rest: named(alias), body: []byte(frozen.body)}); err != nil {
		return err
	}
	_, err = s.once(ctx, &redisCall{verb: "thaw", names: []string{alias}, rest: named(account)})
	return err
}

// finishMove ends what joinOne of a process that is no more has begun. An alias
// whose account is remembered needs it no more.
func (s *Redis) finishMove(ctx context.Context, alias, account string) error {
	if !s.cluster {
		return nil
	}
	moving, err := s.client.HExists(ctx, s.prefix+":"+tag(alias)+":q", "moving").Result()
	if err != nil {
		return fmt.Errorf("look at an account in redis: %w", err)
	}
	if !moving {
		return nil
	}
	return s.joinOne(ctx, alias, account)
}
