package ratelimit

// The store's methods as calls of the script.

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Reserve implements Store.
func (s *Redis) Reserve(ctx context.Context, r Request) (Decision, error) {
	if err := ctx.Err(); err != nil {
		return Decision{}, err
	}
	if err := r.sound(); err != nil {
		return Decision{}, err
	}
	g := group(r.Claims)
	t := &ticket{token: s.token()}
	c := &redisCall{verb: "reserve", names: []string{r.Account}, id: r.ID, body: appendDemands(nil, &g)}
	if name, ok := s.names.Get(r.Account); ok {
		c.names[0] = name
	}
	if !r.Dry {
		for _, alias := range r.Aliases {
			name, ok := s.names.Get(alias)
			if alias != "" && !(ok && name == c.names[0]) && !slices.Contains(c.names, alias) {
				c.names = append(c.names, alias)
			}
		}
	}
	c.rest = appendText([]byte{','}, r.ID)
	c.rest = appendText(append(c.rest, ','), t.token)
	c.rest = appendInts(c.rest, r.Arrived, flag(r.Dry), flag(r.Replace), int64(fraction(r.ID)), int64(c.more))
	if !r.Dry {
		s.mu.Lock()
		if was := s.open[r.ID]; was != nil && r.Replace {
			c.home = was.home
		}
		s.mu.Unlock()
	}
	reply, err := s.run(ctx, c)
	if err != nil {
		if !r.Dry { // nobody knows: what is known of it lets a Cancel find it
			t.account, t.home = c.names[0], c.names[0]
			s.keepTicket(r.ID, t, false)
		}
		return Decision{}, err
	}
	var d Decision
	switch reply.what {
	case 'd':
		d, err = readDecision(reply.body, g.fields, g.claims)
	case 'r':
		token, body, _ := strings.Cut(reply.body, "\n")
		t.token = token
		d, err = known(body, &g)
		d.Repeated = true
	case 's':
		n := numbers{s: reply.body}
		i := n.next()
		if n.bad || i < 1 || i > int64(len(g.claims)) {
			return d, fmt.Errorf("read the script's answer: %.20q", reply.body)
		}
		return d, fmt.Errorf("reserve %s: limit %q: %w", r.ID, g.claims[i-1][0].Limit, ErrSkew)
	default: // x: it was closed before this call of it arrived
		d = Decision{Verdict: Gone, Now: reply.now, At: reply.now, Fits: -1}
	}
	if err != nil {
		return d, err
	}
	d.Account = c.names[0]
	if r.Dry {
		return d, nil
	}
	if d.Verdict <= Booked {
		for _, alias := range r.Aliases {
			if alias != d.Account {
				s.names.Add(alias, d.Account)
			}
		}
		t.account, t.home, t.booked = d.Account, c.homeOf(), d.Verdict == Booked
		s.keepTicket(r.ID, t, true)
	} else {
		s.forget(r.ID)
	}
	return d, nil
}

func (c *redisCall) homeOf() string {
	if c.home != "" {
		return c.home
	}
	return c.names[0]
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (s *Redis) keepTicket(id string, t *ticket, sure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[id] == nil || sure {
		s.open[id] = t
	}
}

func (s *Redis) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, id)
}

// about makes a call about a reservation that this process has made; nil if it
// has not.
func (s *Redis) about(verb, id string) (*redisCall, *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[id]
	if t == nil {
		return nil, nil
	}
	c := &redisCall{verb: verb, names: []string{t.account}, home: t.home, id: id}
	c.rest = appendText([]byte{','}, id)
	c.rest = appendText(append(c.rest, ','), t.token)
	known := *t
	return c, &known
}

// Fire implements Store.
func (s *Redis) Fire(ctx context.Context, id string) (Decision, error) {
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	c, _ := s.about("fire", id)
	if c == nil {
		now := s.wall().UnixMilli()
		return Decision{Verdict: Gone, Now: now, At: now, Fits: -1}, nil
	}
	reply, err := s.run(ctx, c)
	if err != nil {
		return Decision{}, err
	}
	if reply.what != 'f' {
		s.forget(id)
		return Decision{Verdict: Gone, Now: reply.now, At: reply.now, Fits: -1}, nil
	}
	d, err := known(reply.body, nil)
	if err != nil {
		return d, err
	}
	d.Now, d.Account = reply.now, c.names[0]
	switch d.Verdict {
	case Go:
		s.mu.Lock()
		if t := s.open[id]; t != nil {
			t.booked, t.account = false, c.names[0]
		}
		s.mu.Unlock()
	case Refused:
		s.forget(id)
	}
	return d, nil
}

func (s *Redis) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Keep implements Store. What is on its way is spent unless it is cancelled,
// so that only a booking needs a call.
func (s *Redis) Keep(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	c, t := s.about("keep", id)
	if c == nil {
		return nil
	}
	if t.booked {
		if _, err := s.run(ctx, c); err != nil {
			return err
		}
	}
	s.forget(id)
	return nil
}

// Cancel implements Store.
func (s *Redis) Cancel(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	c, _ := s.about("cancel", id)
	if c == nil {
		return nil
	}
	if _, err := s.run(ctx, c); err != nil {
		return err
	}
	s.forget(id)
	return nil
}

// CancelItems implements Store.
func (s *Redis) CancelItems(ctx context.Context, id string, items []int) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	c, _ := s.about("cancelItems", id)
	if c == nil || len(items) == 0 {
		return nil
	}
	c.rest = append(c.rest, ",["...)
	for i, n := range items {
		b := appendInts(nil, int64(n))
		if i == 0 {
			b = b[1:]
		}
		c.rest = append(c.rest, b...)
	}
	c.rest = append(c.rest, ']')
	_, err := s.run(ctx, c)
	return err
}

// Resolve implements Store.
func (s *Redis) Resolve(ctx context.Context, identities []string) (string, error) {
	if err := s.enter(ctx); err != nil || len(identities) == 0 {
		return "", err
	}
	if name, ok := s.names.Get(identities[0]); ok {
		identities = []string{name} // it may have come to stand for another since
	}
	for _, id := range identities {
		name, known := id, false
		for range maxHops {
			got, err := s.client.HMGet(ctx, s.prefix+":"+tag(name)+":a", "n", "l").Result()
			if err != nil {
				return "", fmt.Errorf("resolve in redis: %w", err)
			}
			if got[0] == nil {
				break
			}
			known = true
			next, alias := got[1].(string)
			if !alias {
				break
			}
			name = next
		}
		if known {
			if name != id {
				s.names.Add(id, name)
			}
			return name, nil
		}
	}
	return identities[0], nil
}

// Pause implements Store.
func (s *Redis) Pause(ctx context.Context, account string, h *Hold) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if account == "" {
		return fmt.Errorf("pause: %w: it has no account", ErrInvalid)
	}
	text, until := "", int64(0)
	if h != nil {
		until = min(max(h.Until, 0), exact)
		text = fmt.Sprintf("%d,%d,%s\t%s", until, min(max(h.Ramp, 0), exact), escape(h.Name), escape(h.Why))
	}
	c := &redisCall{verb: "pause", names: []string{account}}
	c.rest = appendText([]byte{','}, text)
	c.rest = appendInts(c.rest, until)
	_, err := s.run(ctx, c)
	return err
}

// Accounts implements Store. It walks through all keys, a thousand at a time.
func (s *Redis) Accounts(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	var names []string
	err := s.eachAccount(ctx, func(name string) error {
		names = append(names, name)
		return nil
	})
	slices.Sort(names)
	return slices.Compact(names), err
}

// eachAccount calls f for every account, without aliases.
func (s *Redis) eachAccount(ctx context.Context, f func(name string) error) error {
	walk := func(ctx context.Context, c redis.Cmdable) error {
		var cursor uint64
		for {
			keys, next, err := c.Scan(ctx, cursor, globbed(s.prefix)+":{*}:a", 1000).Result()
			if err != nil {
				return fmt.Errorf("list the accounts in redis: %w", err)
			}
			var aliases []*redis.BoolCmd
			_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, k := range keys {
					aliases = append(aliases, p.HExists(ctx, k, "l"))
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("list the accounts in redis: %w", err)
			}
			for i, k := range keys {
				if aliases[i].Val() {
					continue
				}
				name := k[len(s.prefix)+2 : len(k)-len("}:a")]
				if err := f(strings.NewReplacer("%25", "%", "%7b", "{", "%7d", "}").Replace(name)); err != nil {
					return err
				}
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if c, ok := s.client.(*redis.ClusterClient); ok {
		turn := make(chan struct{}, 1) // one master at a time
		return c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error {
			turn <- struct{}{}
			defer func() { <-turn }()
			return walk(ctx, m)
		})
	}
	return walk(ctx, s.client)
}

func globbed(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`).Replace(s)
}

// sound finds what a caller may not ask, but for the clock: the script looks at
// the windows by the server's.
func (r *Request) sound() error {
	bare := *r
	bare.Claims = nil
	if err := bare.check(0); err != nil {
		return err
	}
	for i := range r.Claims {
		if what := r.Claims[i].wrong(); what != "" {
			return fmt.Errorf("reserve %s: limit %q: %w: %s", r.ID, r.Claims[i].Limit, ErrInvalid, what)
		}
	}
	return nil
}

// Cool implements Store.
func (s *Redis) Cool(context.Context, Cooling) (Hold, error) { return Hold{}, errPending }

// Observe implements Store.
func (s *Redis) Observe(context.Context, Event) error { return errPending }

// Give implements Store.
func (s *Redis) Give(context.Context, string, Gift) error { return errPending }
