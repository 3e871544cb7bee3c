//go:build !unix

package ratelimit

import "os"

// No process can be frozen here: a test that tries fails, as no server is.
var stopSignal, continueSignal = os.Interrupt, os.Interrupt
