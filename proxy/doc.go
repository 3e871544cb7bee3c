// Package proxy is the way of a request: from a client's CONNECT, through the
// rules and the ledger, to the service and back.
//
// A Server is the forward proxy. Hosts that no rule names it tunnels byte for
// byte; hosts that rules name it intercepts, so that their requests enter one
// handler whatever protocol they came by.
//
// An Enforcer is the part that decides, and it is an [http.RoundTripper]: a Go
// program can put it into its own http.Client and needs no proxy at all.
package proxy
