package ratelimit

// What the store does with reservations, as calls of the script.

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Reserve implements Store.
func (s *Redis) Reserve(ctx context.Context, r Request) (Decision, error) {
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	if err := r.valid(); err != nil {
		return Decision{}, err
	}
	if err := r.fits(); err != nil {
		return Decision{}, err
	}
	if s.cluster {
		return s.reserveOnCluster(ctx, &r)
	}
	return s.reserve(ctx, r, 0)
}

// reserve decides a request on one server, for a slot not before from.
func (s *Redis) reserve(ctx context.Context, r Request, from int64) (Decision, error) {
	g := group(r.Claims)
	t := &ticket{token: s.token()}
	generation := s.watch.generation()
	c := s.reservation(&r, &g, t.token, from)
	reply, err := s.run(ctx, c)
	if err != nil {
		if !r.Dry { // nobody knows: what is known of it lets a Cancel find it
			t.account, t.home, t.scopes = c.names[0], c.homeOf(), c.names[1:1+c.more]
			s.keepDoubt(&r, t)
		}
		return Decision{}, err
	}
	d, err := s.decided(&r, &g, &reply, t)
	if err != nil {
		return d, err
	}
	d.Account = c.names[0]
	if r.Dry || reply.what == 'x' {
		return d, nil
	}
	if d.Verdict > Booked {
		if d.Verdict != Twin && !d.Repeated {
			s.forget(r.ID)
		}
		return d, nil
	}
	if r.Replace && r.Sooner && d.Repeated && s.knows(r.ID, t.token) {
		return d, nil // as it was
	}
	for _, alias := range append(slices.Clone(r.Aliases), r.Account) {
		if alias != d.Account && alias != "" {
			s.learn(alias, d.Account, generation)
		}
	}
	t.account, t.home, t.booked, t.scopes = d.Account, c.homeOf(), d.Verdict == Booked, c.names[1:1+c.more]
	t.leased = r.Same != "" || slices.ContainsFunc(r.Claims, func(cl Claim) bool { return cl.Measure == Concurrent })
	t.same, t.places = r.Same, placesOf(r.Claims, t.account)
	s.keepTicket(r.ID, t, true)
	return d, nil
}

// reservation is the call for a request.
func (s *Redis) reservation(r *Request, g *grouped, token string, from int64) *redisCall {
	c := &redisCall{verb: "reserve", names: []string{r.Account}, id: r.ID}
	if name, ok := s.names.Get(r.Account); ok {
		c.names[0] = name
	}
	if !s.cluster {
		for i := range r.Claims {
			c.beside(r.Claims[i].Scope)
		}
		for _, service := range r.Services {
			c.beside(service)
		}
	}
	if (!r.Dry || r.Same != "" || r.Sooner) && !s.cluster {
		for _, alias := range r.Aliases {
			name, ok := s.names.Get(alias)
			if alias != "" && !(ok && name == c.names[0]) && !slices.Contains(c.names, alias) {
				c.names = append(c.names, alias)
			}
		}
		s.mu.Lock()
		if was := s.open[r.ID]; was != nil {
			c.home = was.home
		}
		s.mu.Unlock()
	}
	c.body = appendDemands(nil, g, c.names[0], c.names[1:1+c.more])
	keys, fields := reads(r)
	if from == 0 && len(c.names) == 1 {
		c.quick = quick(r, g, token, keys)
	}
	c.rest = func(c *redisCall, b []byte) []byte {
		b = appendText(append(b, ','), escape(r.ID))
		b = appendText(append(b, ','), token)
		b = appendInts(b, r.Arrived, flag(r.Dry), replaces(r), int64(fraction(r.ID)), int64(c.more))
		b = appendTexts(append(b, ','), escaped(r.Services))
		b = appendTexts(append(b, ','), escaped(r.Recipients))
		b = appendText(append(b, ','), escape(r.Same))
		b = appendInts(b, flag(r.Dedupes))
		b = appendTexts(append(b, ','), fields)
		b = appendTexts(append(b, ','), keys)
		return appendInts(b, from)
	}
	return c
}

// beside adds an account whose counters or holds the call looks at.
func (c *redisCall) beside(name string) {
	if name != "" && !slices.Contains(c.names, name) {
		c.names = slices.Insert(c.names, 1+c.more, name)
		c.more++
	}
}

func escaped(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = escape(s)
	}
	return out
}

// decided reads the answer to a request.
func (s *Redis) decided(r *Request, g *grouped, reply *scriptReply, t *ticket) (d Decision, err error) {
	switch reply.what {
	case 'd':
		return readDecision(reply.body, g.fields, g.claims)
	case 'D':
		var holds string
		if d, holds, err = known(reply.body, g); err == nil {
			d.Holds, err = readHolds(holds)
		}
		return d, err
	case 'r':
		token, body, _ := strings.Cut(reply.body, "\n")
		t.token = token
		d, _, err = known(body, g)
		d.Repeated = true
		return d, err
	case 's':
		n := numbers{s: reply.body}
		i := n.next()
		if n.bad || i < 1 || i > int64(len(g.claims)) {
			return d, fmt.Errorf("read the script's answer: %.20q", reply.body)
		}
		return d, fmt.Errorf("reserve %s: limit %q: %w", r.ID, g.claims[i-1][0].Limit, ErrSkew)
	}
	// x: it was closed before this call of it arrived.
	return Decision{Verdict: Gone, Now: reply.now, At: reply.now, Fits: -1}, nil
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

// keepDoubt remembers a reservation of which nobody knows whether it was made.
// Where there is one of that id, it is that, or was replaced by it.
func (s *Redis) keepDoubt(r *Request, t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch was := s.open[r.ID]; {
	case was == nil:
		s.open[r.ID] = t
	case r.Replace:
		was.replace = t.token
		for _, name := range t.scopes {
			if !slices.Contains(was.scopes, name) {
				was.scopes = append(was.scopes, name)
			}
		}
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
	known := *t
	c := &redisCall{verb: verb, names: append([]string{t.account}, t.scopes...), more: len(t.scopes), home: t.home, id: id}
	c.rest = tokened(id, known.token)
	return c, &known
}

// tokened is a header that names a reservation and its token.
func tokened(id, token string) func(*redisCall, []byte) []byte {
	return func(_ *redisCall, b []byte) []byte {
		b = appendText(append(b, ','), escape(id))
		return appendText(append(b, ','), token)
	}
}

// Fire implements Store.
func (s *Redis) Fire(ctx context.Context, id string) (Decision, error) {
	if err := s.enter(ctx); err != nil {
		return Decision{}, err
	}
	names := s.parts(id)
	d, err := s.fireOne(ctx, id, 0)
	for _, part := range names[1:] {
		if err != nil || d.Verdict != Go {
			break
		}
		var e Decision
		if e, err = s.fireOne(ctx, part, d.Now); err == nil && e.Verdict != Go {
			d.Verdict, d.At, d.Limit, d.Key, d.Why = Gone, d.Now, e.Limit, e.Key, e.Why
		}
		d.Uses = append(d.Uses, e.Uses...)
	}
	if err == nil && d.Verdict == Gone {
		err = s.cancelAll(ctx, names)
	}
	return d, err
}

// fireOne fires a part of a reservation. It is at least now: on the server of
// another part it is already.
func (s *Redis) fireOne(ctx context.Context, id string, now int64) (Decision, error) {
	c, _ := s.about("fire", id)
	if c == nil {
		now := s.wall().UnixMilli()
		return Decision{Verdict: Gone, Now: now, At: now, Fits: -1}, nil
	}
	names := c.rest
	c.rest = func(c *redisCall, b []byte) []byte { return appendInts(names(c, b), now) }
	reply, err := s.run(ctx, c)
	if err != nil {
		return Decision{}, err
	}
	if reply.what != 'f' {
		s.forget(id)
		return Decision{Verdict: Gone, Now: reply.now, At: reply.now, Fits: -1}, nil
	}
	d, _, err := known(reply.body, nil)
	if err != nil {
		return d, err
	}
	d.Now, d.Account = reply.now, c.names[0]
	switch d.Verdict {
	case Gone:
		d.At = reply.now
		s.forget(id)
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

// Keep implements Store. What is on its way is spent unless it is cancelled, so
// that only a booking needs a call, a lease, and a message with a number.
func (s *Redis) Keep(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	for _, part := range slices.Backward(s.parts(id)) { // the first knows the others
		c, t := s.about("keep", part)
		if c != nil && (t.booked || t.leased) {
			c.body = s.ending(t)
			if _, err := s.run(ctx, c); err != nil {
				return err
			}
		}
		s.forget(part)
	}
	return nil
}

// Cancel implements Store.
func (s *Redis) Cancel(ctx context.Context, id string) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	return s.cancelAll(ctx, s.parts(id))
}

func (s *Redis) cancelOne(ctx context.Context, id string) error {
	known, err := s.tryCancel(ctx, id)
	if known && err == nil {
		s.forget(id)
	}
	return err
}

// tryCancel gives a reservation back, and the one that may have replaced it.
func (s *Redis) tryCancel(ctx context.Context, id string) (known bool, err error) {
	c, t := s.about("cancel", id)
	if c == nil {
		return false, nil
	}
	c.body = s.ending(t)
	if _, err = s.run(ctx, c); err == nil && t.replace != "" {
		c.rest = tokened(id, t.replace)
		_, err = s.run(ctx, c)
	}
	return true, err
}

// CancelItems implements Store.
func (s *Redis) CancelItems(ctx context.Context, id string, items []int) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	if len(items) == 0 {
		return nil
	}
	for _, part := range s.parts(id) {
		if err := s.cancelItemsOf(ctx, part, items); err != nil {
			return err
		}
	}
	return nil
}

func (s *Redis) cancelItemsOf(ctx context.Context, id string, items []int) error {
	c, t := s.about("cancelItems", id)
	if c == nil {
		return nil
	}
	c.body = s.ending(t)
	c.rest = withItems(c.rest, items)
	_, err := s.run(ctx, c)
	return err
}

// withItems is a header with items behind it.
func withItems(header func(*redisCall, []byte) []byte, items []int) func(*redisCall, []byte) []byte {
	return func(c *redisCall, b []byte) []byte {
		b = append(header(c, b), ",["...)
		for i, n := range items {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(n), 10)
		}
		return append(b, ']')
	}
}
