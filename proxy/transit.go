package proxy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"quotagate/ratelimit"
	"quotagate/rules"
)

// A transit is one governed request on its way: one that sends messages, or a
// call that a limit counts as such.
type transit struct {
	e       *Enforcer
	req     *http.Request
	client  *Client
	set     *rules.Set
	sight   *rules.Sighting
	id      string
	now     time.Time // when it arrived
	body    []byte    // of messages; a mere call's streams through
	sending *rules.Sending

	account  string // the ledger's name for it
	claims   []ratelimit.Claim
	request  ratelimit.Request // as the ledger was last asked
	decision ratelimit.Decision
	reserved bool     // the ledger holds a reservation under id
	flight   string   // what it is known by while it is reserved, if it has an id
	landing  *landing // of the message that it repeats
	awaits   string   // that message
	landings uint64   // how often it was told to be through when the ledger was asked
	lease    *lease
	rates    []ratelimit.Rate // that it was asked to pass
	passed   []ratelimit.Rate // that it has
	rating   int              // the one that it waits for
	recalled error            // why new rules had it leave the line of one
	waiter   *waiter          // its place among those who wait; nil: it has none
	seats    []seat           // in the lines for places
	heard    uint64           // how many changes there were when the ledger was asked
	held     time.Duration
	noted    bool // that it is held
	looks    bool // it is decided anew before its time
	older    bool // what it has booked is what older rules asked
	dry      bool // only asks: nothing is taken

	shadowed []string        // limits outside the ledger that would have refused it
	warned   []string        // those that only warn
	slotted  bool            // waited for the slot of the same message
	unasked  bool            // forwarded, because the ledger did not answer
	local    int             // how often this replica's share was asked instead
	byShare  bool            // the decision is this replica's share's
	coolings []RecordCooling // that the answer brought
}

// run asks the ledger, waits if it must, and sends or refuses.
func (t *transit) run() (*http.Response, error) {
	ctx := t.req.Context()
	var err error
	if t.e.draining() {
		err = ErrDraining
	} else {
		err = t.ask(ctx)
	}
	defer t.leave()
	for {
		if err != nil {
			if err = t.fallBack(ctx, err); err != nil {
				return t.undecided(ctx, err)
			}
		}
		t.looked()
		switch t.decision.Verdict {
		case ratelimit.Go:
			t.leave()
			return t.send()
		case ratelimit.Refused:
			t.leave()
			return t.refuse(), nil
		case ratelimit.Twin:
			if t.overdue() {
				t.leave()
				return t.refuse(), nil
			}
			if !t.await() {
				err = t.again(ctx)
				continue
			}
			if err = t.hold(ctx, t.nextLook()); err == nil {
				err = t.again(ctx)
			}
		default:
			if err = t.hold(ctx, t.nextAsk()); err == nil {
				err = t.again(ctx)
			}
		}
	}
}

// undecided ends a transit that got no verdict: the client left, the proxy is
// stopping, or the ledger did not answer.
func (t *transit) undecided(ctx context.Context, err error) (*http.Response, error) {
	t.giveBack()
	t.leave() // whoever reads the record finds the place free
	var unread barredError
	if errors.As(err, &unread) {
		return t.bar(t.untouched(), t.sending.Service, *unread.barrier)
	}
	if t.mere() { // its body was not read
		closeBody(t.req)
	}
	var store storeError
	if errors.As(err, &store) && ctx.Err() == nil {
		t.record(DecisionError, http.StatusServiceUnavailable, "the ledger did not answer: "+store.err.Error())
		return failed(t.req, err, t.id), nil
	}
	if ctx.Err() != nil || errors.Is(err, errClientGone) {
		t.record(DecisionCancel, 0, "the client left before "+t.what()+" was sent")
		return nil, err
	}
	t.record(DecisionReject, failureOf(err).Status, err.Error())
	return failed(t.req, err, t.id), nil
}

// mere reports a call that sends no message.
func (t *transit) mere() bool { return t.lead().Kind == callKind }

// sends is how many messages the request sends; a mere call counts as one.
func (t *transit) sends() int {
	n := len(t.sending.Messages)
	for n > 1 && t.sending.Messages[n-1].Kind == callKind {
		n--
	}
	return n
}

// callKind is the kind of what stands for a call among messages.
const callKind = "request"

// untouched is the request with all of its body.
func (t *transit) untouched() *http.Request {
	if t.mere() {
		return t.req
	}
	return withBody(t.req, t.body)
}

func (t *transit) what() string {
	if t.mere() {
		return "the request"
	}
	return "the message"
}

// lead is the message, or the call, in whose words the request is refused.
func (t *transit) lead() *rules.Message { return &t.sending.Messages[0] }

// ask finds out who sends, lets the rates have their say, once for a request
// however often the ledger is asked after it, and reserves.
//
//go:noinline
func (t *transit) ask(ctx context.Context) error {
	if err := t.who(ctx); err != nil {
		return err
	}
	through, err := t.rate(ctx)
	for errors.Is(err, errLook) { // new rules have other rates
		through, err = t.rate(ctx)
	}
	switch {
	case errors.Is(err, errNoMessage):
		t.decision = t.through()
		return nil
	case err != nil || !through:
		return err
	}
	if set := t.e.Rules(); set != t.set && t.waiter != nil { // it waited for its rate
		return t.reread(ctx, set, false)
	}
	return t.reserve(ctx, false)
}

// reserve asks for room in every limit that binds the sending.
func (t *transit) reserve(ctx context.Context, replace bool) error {
	return t.reserveOr(ctx, replace, nil)
}

// reserveOr does so in place of what was booked, where that is not nil, only for
// the better.
func (t *transit) reserveOr(ctx context.Context, replace bool, booked *ratelimit.Request) error {
	t.prepare()
	if t.account == "" { // all of nobody, and the rules let it be
		t.decision = t.through()
		return nil
	}
	if t.contentRefuses() {
		return nil
	}
	behind := !t.dry && t.takeSeats() && !replace
	t.request.Replace, t.request.Dry, t.request.Sooner = replace, t.dry || behind, booked != nil
	t.heard = t.e.room.changes.Load()
	t.listens()
	d, err := t.e.Ledger.Reserve(ctx, t.request)
	if err != nil {
		return storeError{err}
	}
	if t.byShare = false; behind {
		d = t.lineUp(d)
	}
	if booked != nil && d.Repeated {
		t.request, t.claims = *booked, booked.Claims
	} else {
		t.older = false
	}
	t.took(d)
	return nil
}

// prepare makes the request to the ledger.
func (t *transit) prepare() {
	now := t.e.clock().Now()
	if t.dry {
		now = t.now
	}
	t.claims = t.set.Claims(t.sending, t.account, now)
	t.request = ratelimit.Request{
		ID:      t.id,
		Account: t.account,
		Aliases: t.sending.Identities,
		Claims:  t.claims,
		Arrived: t.now.UnixMilli(),
	}
	t.request.Services, t.request.Recipients = t.set.Watches(t.sending)
	if t.request.Recipients == nil {
		t.request.Recipients = counted(t.claims) // a person may have put them on hold
	}
	if decides(t.claims) {
		t.request.Same, t.request.Dedupes = t.sending.Same()
	}
}

// counted are the recipients whose records the claims look at in any case.
func counted(claims []ratelimit.Claim) []string {
	var keys []string
	for i := range claims {
		if key := claims[i].Key; key != "" && claims[i].Scope == "" && !slices.Contains(keys[max(0, len(keys)-mostRepeats):], key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// mostRepeats is how far back a recipient is looked for: the claims of one
// message stand together.
const mostRepeats = 16

// decides reports whether a claim can hold or refuse.
func decides(claims []ratelimit.Claim) bool {
	for i := range claims {
		if !claims[i].Shadow {
			return true
		}
	}
	return false
}

// through is the decision of a request that asks nothing of the ledger.
func (t *transit) through() ratelimit.Decision {
	return ratelimit.Decision{Verdict: ratelimit.Go, Now: t.now.UnixMilli(), Account: t.account, Fits: -1}
}

// who finds the account: the listed one that the request names, or that any of
// its identities has come to stand for; else the one that the first known
// identity stands for. Two listed accounts are nobody.
func (t *transit) who(ctx context.Context) error {
	t.account = t.sending.Account
	for _, id := range t.sending.Identities {
		name, err := t.e.Ledger.Resolve(ctx, []string{id})
		if err != nil {
			return storeError{err}
		}
		if !t.set.Listed(name) || name == t.account {
			continue
		}
		if t.account != "" {
			return barredError{unread(&rules.AccountError{Err: rules.ErrAmbiguous, Message: *t.lead()})}
		}
		t.account = name
	}
	if t.account != "" || len(t.sending.Identities) == 0 {
		return nil
	}
	var err error
	if t.account, err = t.e.Ledger.Resolve(ctx, t.sending.Identities); err != nil {
		return storeError{err}
	}
	return nil
}

// took notes the ledger's answer.
func (t *transit) took(d ratelimit.Decision) {
	t.decision = d
	t.account = d.Account
	t.reserved = !t.dry && (d.Verdict == ratelimit.Go || d.Verdict == ratelimit.Booked)
	t.takeOff()
	t.standAside()
}

// giveBack cancels the reservation, also after the client's context ended.
func (t *transit) giveBack() {
	if !t.reserved {
		return
	}
	ctx, cancel := t.settling()
	defer cancel()
	t.lease.end()
	// If the ledger cannot take it back, it stays counted: never over.
	_ = t.e.Ledger.Cancel(ctx, t.id)
	t.settled()
}

// giveBackItems gives back what some of the messages took.
func (t *transit) giveBackItems(items []int) {
	if !t.reserved || len(items) == 0 {
		return
	}
	ctx, cancel := t.settling()
	defer cancel()
	_ = t.e.Ledger.CancelItems(ctx, t.id, items)
	t.freed()
}

// settling is a context for what has to be told to the ledger, whether the
// client is still there or not.
func (t *transit) settling() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(t.req.Context()), settleTimeout)
}

// keep closes the reservation as spent.
func (t *transit) keep() {
	if !t.reserved {
		return
	}
	t.lease.end()
	// Keeping is not the client's to cancel. A failure leaves it open, which
	// counts as well.
	_ = t.e.Ledger.Keep(context.Background(), t.id)
	t.settled()
}

// settled notes that the reservation is closed.
func (t *transit) settled() {
	t.reserved = false
	t.freed()
	t.land()
}
