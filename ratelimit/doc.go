// Package ratelimit is the ledger: it answers whether a message fits into all
// the limits of its account, takes the place if it does, and gives it back
// when nothing was sent.
//
// It knows accounts, limits and times, and nothing of HTTP or YAML. A Claim
// asks one limit for room; a Request takes from all its claims or from none;
// a Decision says go, wait until, or no, with what is used of every limit.
// All times are milliseconds since the Unix epoch, by the store's clock.
//
// A message goes through three steps:
//
//	d, err := store.Reserve(ctx, request) // Go, Booked, Later, Refused or Twin
//	d, err = store.Fire(ctx, id)          // if it was Booked: at d.At
//	err = store.Keep(ctx, id)             // it was sent, or may have been
//	err = store.Cancel(ctx, id)           // or certainly not
//
// What is reserved is spent unless it is cancelled: a message on its way when
// the process dies counts, a booking that was not yet fired does not.
//
// There are three stores. One engine decides in two of them: Memory forgets
// everything on Close; Embedded keeps it in a file and answers after it is
// on disk. Redis shares it among any number of processes, and decides by the
// same laws in a script; Guarded is what stands in front of it while it fails.
package ratelimit
