// Package rules reads the YAML rules files and answers three questions about
// a request: which messages does it send, for which account, and what do the
// limits of that account ask of the ledger.
//
// Load turns files into a Set, which is immutable and indexed: looking a
// request up costs the same for ten rules and for ten thousand. The Set knows
// nothing of sockets and never waits.
//
//	set, err := rules.Load([]string{"quotagate.yaml"}, rules.Options{Hash: h})
//	sight := set.Look(&call)               // by host, method, path, query, headers
//	if sight.Message() {
//	    sending, err := sight.Read(body)   // nil: it was no message after all
//	    claims := set.Claims(sending, account, now)
//	}
package rules
