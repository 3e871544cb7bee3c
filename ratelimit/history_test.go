package ratelimit

// Random histories of operations, as data: the same one can be played on the
// model, on every store, and on a real server.

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"pgregory.net/rapid"
)

// Dice choose: one of n, from 0 on.
type dice interface{ roll(n int) int }

type seeded struct{ *rand.Rand }

func (s seeded) roll(n int) int { return s.IntN(n) }

// newSeeded gives the same history for the same seed.
func newSeeded(seed uint64) dice { return seeded{rand.New(rand.NewPCG(seed, 1))} }

// drawn lets rapid shrink the history.
type drawn struct{ *rapid.T }

func (d drawn) roll(n int) int { return rapid.IntRange(0, n-1).Draw(d.T, "") }

type opKind string

const (
	opReserve opKind = "reserve"
	opLook    opKind = "look"   // a dry request
	opAgain   opKind = "again"  // the request of an earlier step, as it was
	opBack    opKind = "back"   // a request, given back at once
	opSooner  opKind = "sooner" // an earlier request again, without some limits, only for the better
	opCancel  opKind = "cancel"
	opItems   opKind = "items"
	opKeep    opKind = "keep"
	opPause   opKind = "pause"
	opCool    opKind = "cool"
	opObserve opKind = "observe"
	opGive    opKind = "give"
	opTick    opKind = "tick" // and fire what is due
)

// A turn is one operation of a history.
type turn struct {
	Op      opKind
	Request Request // reserve, look, back
	ID      string  // again, cancel, items, keep: of a request before
	Items   []int
	Account string
	Hold    *Hold
	Cooling Cooling
	Event   Event
	Gift    Gift
	Ms      int64
}

// A world is what may occur in a history. The zero value is everything.
type world struct {
	// limits names those that may occur; nil is all.
	limits []string
	// quiet leaves out what the model does not follow: holds, aliases,
	// threads, gifts, the same message again.
	quiet bool
	// short leaves out the steps of hours.
	short bool
}

var (
	worldAccounts   = []string{"anna", "bert", "anna2"}
	worldRecipients = []string{"r0", "r1", "r2", "r3", "r4"}
)

// A historian writes a history.
type historian struct {
	dice
	world
	now  int64
	made []string // ids
	last map[string]Request
	n    int
}

// randomHistory makes n steps that begin at t0.
func randomHistory(d dice, w world, n int) []turn {
	h := newHistorian(d, w)
	steps := make([]turn, n)
	for i := range steps {
		steps[i] = h.next()
	}
	return steps
}

func newHistorian(d dice, w world) *historian {
	return &historian{dice: d, world: w, now: t0, last: map[string]Request{}}
}

func pick[T any](d dice, list ...T) T { return list[d.roll(len(list))] }

// next makes the next step.
func (h *historian) next() turn {
	switch n := h.roll(100); {
	case n < 46:
		return h.request(opReserve)
	case n < 50:
		return h.request(opLook)
	case n < 55:
		return h.request(opBack)
	case n < 63 && len(h.made) > 0:
		s := turn{ID: h.made[max(0, len(h.made)-1-h.roll(8))]}
		switch h.roll(8) {
		case 6, 7:
			s.Op, s.Request = opSooner, h.again(s.ID)
			s.Request.Replace, s.Request.Sooner, s.Request.Dry = true, true, h.roll(4) == 0
			left := pick(h, 0, 0, 1+h.roll(len(worldLimits)))
			s.Request.Claims = slices.DeleteFunc(s.Request.Claims, func(cl Claim) bool {
				return left > 0 && slices.IndexFunc(worldLimits, func(l Claim) bool { return l.Limit == cl.Limit })%left == 0
			})
		case 0:
			s.Op = opItems
			s.Items = []int{h.roll(2)}
		case 1:
			s.Op = opKeep
		case 2, 3:
			s.Op = opAgain
			s.Request = h.again(s.ID)
		default:
			s.Op = opCancel
		}
		return s
	case n < 72:
		return turn{Op: opObserve, Event: h.event()}
	case n < 77 && !h.quiet:
		return h.odd()
	}
	s := turn{Op: opTick, Ms: pick[int64](h, 1, 7, 40, 90, 333, 1000, 2500)}
	if !h.short && h.roll(25) == 0 {
		s.Ms = pick[int64](h, 5*hour, 11*hour, 24*hour-1, 31*hour)
	}
	h.now += s.Ms
	return s
}

// again is an earlier request, with the times that its caller would compute now.
func (h *historian) again(id string) Request {
	r := h.last[id]
	r.Claims = slices.Clone(r.Claims)
	for i := range r.Claims {
		r.Claims[i].renew(h.now)
	}
	return r
}

// renew gives a claim the windows, open times and pots around a time.
func (cl *Claim) renew(now int64) {
	switch cl.Measure {
	case Calendar:
		cl.Windows = modelWindows(now)
	case Hours:
		cl.Open = worldHours(now)
	}
	if cl.Pots != nil {
		cl.Pots = worldPots(now)
	}
}

// odd is an operation that the model does not follow.
func (h *historian) odd() turn {
	account := pick(h, worldAccounts...)
	switch h.roll(4) {
	case 0:
		s := turn{Op: opPause, Account: account}
		if h.roll(3) > 0 {
			s.Hold = &Hold{Until: h.now + int64(1+h.roll(700)), Why: "looked at"}
		}
		return s
	case 1:
		h.n++
		return turn{Op: opCool, Cooling: Cooling{
			ID: fmt.Sprint("c", h.n), Account: account, Key: pick(h, "", "", "r0"), Name: pick(h, "throttled", "challenged"),
			Why: "slow down", For: int64(50 + h.roll(500)), Least: int64(h.roll(300)), Grow: pick[int64](h, 0, 2000), Max: 2000,
			Ramp: pick[int64](h, 0, 0, 1500), Resumed: h.roll(8) == 0,
		}}
	case 2:
		h.n++
		s := turn{Op: opGive, Account: account, Gift: Gift{ID: fmt.Sprint("g", h.n), Limit: pick(h, "credits", "calendar"), Units: int64(1 + h.roll(3))}}
		if h.roll(2) == 0 {
			s.Gift.End = h.now + int64(1+h.roll(4000))
		}
		return s
	default:
		return turn{Op: opObserve, Event: Event{Account: account, Recipient: fmt.Sprint("thread", h.roll(2)), Kind: SameAs, Is: pick(h, worldRecipients...)}}
	}
}

func (h *historian) event() Event {
	e := Event{Account: h.account(), Recipient: h.recipient(), Kind: pick(h, Replied, Replied, Connected)}
	if h.roll(2) == 0 {
		e.At = max(1, h.now-int64(h.roll(2000)))
	}
	return e
}

func (h *historian) account() string {
	if h.quiet {
		return worldAccounts[h.roll(2)]
	}
	return pick(h, worldAccounts...)
}

func (h *historian) recipient() string {
	if !h.quiet && h.roll(8) == 0 {
		return fmt.Sprint("thread", h.roll(2))
	}
	return pick(h, worldRecipients...)
}

func (h *historian) request(op opKind) turn {
	h.n++
	r := Request{ID: fmt.Sprint("m", h.n), Account: h.account(), Dry: op == opLook}
	for item := range pick(h, 1, 1, 1, 1, 2) {
		to := []string{h.recipient()}
		if h.roll(5) == 0 {
			if other := h.recipient(); other != to[0] {
				to = append(to, other)
			}
		}
		r.Claims = append(r.Claims, h.claims(item, to)...)
	}
	if !h.quiet {
		if r.Account == "anna" && h.roll(30) == 0 {
			r.Aliases = []string{"anna2"}
		}
		if h.roll(12) == 0 {
			r.Same, r.Dedupes = fmt.Sprint("same", h.roll(3)), h.roll(2) == 0
		}
		if h.roll(6) == 0 {
			r.Recipients = []string{"r0"}
		}
		if h.roll(6) == 0 {
			r.Services = []string{"service:x"}
		}
	}
	if op == opReserve {
		h.made = append(h.made, r.ID)
		h.last[r.ID] = r
	}
	return turn{Op: op, Request: r, ID: r.ID}
}

// claims are those of one message: some of the world's limits, which always
// ask the same.
func (h *historian) claims(item int, to []string) (claims []Claim) {
	text := likenessPool[h.roll(len(likenessPool))]
	wait := pick[int64](h, 0, 200, 500, 900)
	cost := pick[int64](h, 1, 1, 1, 1, 2, 0)
	// One in three messages is asked about by most limits, the others by few.
	share := pick(h, 2, 6, 6)
	for i := range worldLimits {
		l := &worldLimits[i]
		if h.limits != nil && !slices.Contains(h.limits, l.Limit) {
			continue
		}
		if h.limits == nil && h.roll(share) > 0 {
			continue
		}
		cl := *l
		cl.Item, cl.Wait, cl.Cost = item, wait, 1
		cl.renew(h.now)
		if cl.Measure == Similar {
			cl.Likeness = text
		}
		switch {
		case cl.Key != "":
			for _, r := range to {
				cl.Key, cl.Recipient = r, r
				claims = append(claims, cl)
			}
		case cl.Distinct || cl.Measure == Similar || cl.Measure == Ratio || cl.Returned > 0:
			for _, r := range to {
				cl.Recipient = r
				claims = append(claims, cl)
			}
		case cl.Measure == Concurrent || cl.Measure == Hours:
			if item == 0 {
				claims = append(claims, cl)
			}
		default:
			cl.Cost = cost
			claims = append(claims, cl)
		}
	}
	return claims
}

const byRecipient = "by recipient"

// worldLimits is at least one limit of each measure. Their windows are a
// second or so, so that a short history crosses many.
var worldLimits = []Claim{
	{Limit: "calendar", Measure: Calendar, Unit: "second", Allow: 4},
	{Limit: "rolling", Measure: Rolling, Allow: 5, Span: 700, WarnAt: 4},
	{Limit: "pace", Measure: Pace, Span: 90},
	{Limit: "jittered", Measure: Pace, Span: 60, Jitter: 40},
	{Limit: "pair", Measure: Rolling, Allow: 2, Span: 1500, Key: byRecipient},
	{Limit: "life", Measure: Lifetime, Allow: 20},
	{Limit: "shadow", Measure: Calendar, Unit: "second", Allow: 1, Shadow: true},
	{Limit: "reach", Measure: Calendar, Unit: "second", Distinct: true, Allow: 2},
	{Limit: "reach-rolling", Measure: Rolling, Distinct: true, Allow: 3, Span: 1100},
	{Limit: "reach-life", Measure: Lifetime, Distinct: true, Allow: 4},
	{Limit: "credits", Measure: Credits, Pots: []Pot{}, Returned: 3000},
	{Limit: "calendar-pots", Measure: Calendar, Unit: "second", Allow: 2, Pots: []Pot{}},
	{Limit: "returned", Measure: Calendar, Unit: "second", Allow: 2, Returned: 3000},
	{Limit: "ramp", Measure: Rolling, Allow: 6, Span: 900, Ramp: Ramp{From: 1, Over: 6000}},
	{Limit: "hours", Measure: Hours},
	{Limit: "concurrent", Measure: Concurrent, Allow: 3},
	{Limit: "service", Measure: Rolling, Allow: 7, Span: 800, Scope: "service:x"},
	{Limit: "unanswered", Measure: Unanswered, Allow: 2, Gap: 150, Key: byRecipient},
	{Limit: "settling", Measure: Settling, Allow: 1, Span: 3000, Key: byRecipient},
	{Limit: "settling-long", Measure: Settling, Allow: 2, Key: byRecipient},
	{Limit: "similar", Measure: Similar, Allow: 3, Rate: 800_000, Gap: 30 * hour},
	{Limit: "exact", Measure: Similar, Allow: 2, Rate: 1_000_000, Gap: 40 * hour},
	{Limit: "answered", Measure: Ratio, Good: Replied, Rate: 300_000, Sample: 4, Span: 5000},
	{Limit: "close", Measure: Ratio, Good: Connected, Rate: 500_000, Sample: 4, Span: 4000},
}

// worldHours are open 700 ms of every second.
func worldHours(now int64) (open []Interval) {
	start := now - now%modelWindow
	for i := range int64(4) {
		s := start + (i-1)*modelWindow
		open = append(open, Interval{s + 200, s + 900})
	}
	return open
}

// worldPots accrue two units every two seconds, carried for three.
func worldPots(now int64) (pots []Pot) {
	start := now - now%2000
	for i := range int64(3) {
		s := start + (i-1)*2000
		pots = append(pots, Pot{Label: fmt.Sprintf("%015d", s), Start: s, End: s + 3000, Units: 2, Accrued: true})
	}
	return append(pots, Pot{Label: "add-on", Start: t0 + 1000, End: t0 + 9000, Units: 3})
}

// likenessPool has texts of which some are alike at 0.8, some are not quite, and
// two that differ in nothing that the signature shows.
var likenessPool = func() (pool []*Likeness) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 2 {
		base := make([]byte, 96)
		for j := range base {
			base[j] = byte(r.IntN(256))
		}
		for j, changed := range []int{0, 0, 9, 15, 30} {
			sig := slices.Clone(base)
			for k := range changed {
				sig[(11*k+j)%96] ^= 0x55
			}
			l := &Likeness{Exact: fmt.Sprintf("x%d%d", i, j), Signature: string(sig)}
			for b := range 16 {
				l.Bands = append(l.Bands, fmt.Sprintf("%x%s", b, hex.EncodeToString(sig[3*b:3*b+3])))
			}
			pool = append(pool, l)
		}
	}
	return append(pool, nil)
}()

// An answer is what a store said to one call of a step.
type answer struct {
	Call     string
	Decision Decision
	Hold     Hold
	Err      string
}

// A player carries out steps on a store, and fires what is due after each tick.
type player struct {
	Store
	advance func(ms int64)
	now     int64
	booked  map[string]int64 // slots of what waits
}

func newPlayer(s Store, advance func(ms int64)) *player {
	return &player{Store: s, advance: advance, now: t0, booked: map[string]int64{}}
}

func kindOfError(err error) string {
	for _, known := range []error{ErrInvalid, ErrSkew, ErrClosed, ErrStopped} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return ""
}

// play carries out a step and returns every answer that it brought.
func (p *player) play(ctx context.Context, s turn) (answers []answer) {
	said := func(call string, d Decision, err error) {
		answers = append(answers, answer{Call: call, Decision: d, Err: kindOfError(err)})
	}
	reserve := func(r Request) {
		d, err := p.Reserve(ctx, r)
		switch {
		case r.Dry || err != nil:
		case d.Verdict == Booked:
			p.booked[r.ID] = d.At
		case r.Replace:
			delete(p.booked, r.ID)
		}
		said("reserve "+r.ID, d, err)
	}
	switch s.Op {
	case opReserve, opLook, opAgain, opSooner:
		reserve(s.Request)
	case opBack:
		reserve(s.Request)
		delete(p.booked, s.ID)
		said("cancel "+s.ID, Decision{}, p.Cancel(ctx, s.ID))
	case opCancel:
		delete(p.booked, s.ID)
		said("cancel "+s.ID, Decision{}, p.Cancel(ctx, s.ID))
	case opItems:
		said("cancel items of "+s.ID, Decision{}, p.CancelItems(ctx, s.ID, s.Items))
	case opKeep:
		if _, waits := p.booked[s.ID]; !waits {
			said("keep "+s.ID, Decision{}, p.Keep(ctx, s.ID))
		}
	case opPause:
		said("pause", Decision{}, p.Pause(ctx, s.Account, s.Hold))
	case opCool:
		h, err := p.Cool(ctx, s.Cooling)
		answers = append(answers, answer{Call: "cool", Hold: h, Err: kindOfError(err)})
	case opObserve:
		said("observe", Decision{}, p.Observe(ctx, s.Event))
	case opGive:
		said("give", Decision{}, p.Give(ctx, s.Account, s.Gift))
	case opTick:
		p.now += s.Ms
		p.advance(s.Ms)
		for _, id := range p.due() {
			d, err := p.Fire(ctx, id)
			if p.booked[id] = d.At; d.Verdict != Booked || err != nil {
				delete(p.booked, id)
			}
			said("fire "+id, d, err)
		}
	}
	return answers
}

// due are the bookings whose time has come, in the order of their slots.
func (p *player) due() (ids []string) {
	for id, at := range p.booked {
		if at <= p.now {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		if d := p.booked[a] - p.booked[b]; d != 0 {
			return int(d)
		}
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	return ids
}
