// Package ruletest runs the tests that people write for their rules.
//
// A test plays on the proxy's own code: the Enforcer that decides for real
// requests, the matcher, and a ledger in memory. Only the clock and the
// service are not real: the clock jumps from one send to the next, so that a
// simulated year takes less than a second, and the service answers as the
// test says. Nothing leaves the machine.
package ruletest
