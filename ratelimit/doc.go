// Package ratelimit is the ledger: it answers whether a message fits into all
// the limits of its account, takes the place if it does, and gives it back
// when nothing was sent.
//
// It knows accounts, limits and times, and nothing of HTTP or YAML. A Claim
// asks one limit for room; a Request takes from all its claims or from none;
// a Decision says go, wait until, or no, with what is used of every limit.
package ratelimit
