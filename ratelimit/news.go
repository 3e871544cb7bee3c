package ratelimit

// News: what a process tells the others that share its store when something
// changes for which messages may wait with them, so that none of them has to
// ask again and again.

import (
	"context"
	"errors"
)

// News is one thing that another process changed.
type News struct {
	// All: anything may have changed. It comes when a listener begins to hear,
	// and again when it hears after it did not.
	All bool `json:"all,omitempty"`
	// Deaf: nothing is heard from now on, until All comes.
	Deaf bool `json:"-"`
	// Account, or scope, that a person resumed, paused or gave quota.
	Account string `json:"account,omitempty"`
	// Same is the Request.Same of a message that is through, or was given back.
	Same string `json:"same,omitempty"`
	// Places have become free.
	Places []Place `json:"places,omitempty"`
}

// A Place is a counter of what is on its way; see Concurrent.
type Place struct {
	Home  string `json:"home"` // the account, or scope, that has it
	Limit string `json:"limit"`
	Key   string `json:"key,omitempty"`
}

// A Newsroom is a store that other processes share, and that tells what they
// changed.
type Newsroom interface {
	// Listen calls hear with every news until the context ends or the store is
	// closed. It is called by one goroutine, or two at most, and must not wait.
	// What was told while nobody listened is not told again: All stands for it.
	// It returns ErrNoNews at once where the store has none to tell.
	Listen(ctx context.Context, hear func(News)) error
}

// ErrNoNews says that a store tells nobody what others changed.
var ErrNoNews = errors.New("this store has no news of other processes")

// placesOf are the places that a request takes and for which others may wait.
func placesOf(claims []Claim, account string) (places []Place) {
	for i := range claims {
		if cl := &claims[i]; cl.Measure == Concurrent && !cl.Shadow && cl.Cost > 0 && cl.Wait > 0 {
			places = append(places, Place{homeOf(account, cl.Scope), cl.Limit, cl.Key})
		}
	}
	return places
}

// Abandoned is how long after its slot a booking is given back that nobody
// fired (ms).
const Abandoned = abandoned

// Remembered is how long a message on its way, of which nobody is heard, is
// taken for open by those that repeat it (ms): longer than a proxy waits for an
// answer.
const Remembered int64 = 15 * 60 * 1000
