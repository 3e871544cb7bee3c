package proxy

import "net/http"

// panicAbort ends a handler so that net/http closes the connection (or resets
// the stream) without pretending that the answer was complete. It is the way
// net/http gives for that.
func panicAbort() { panic(http.ErrAbortHandler) }
