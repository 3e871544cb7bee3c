package proxy

// The stack of a goroutine that governs a request.

// deepen has the stack grow at once to what governing takes, 16 KiB: called with
// false it only has a frame that large. net/http serves each stream of HTTP/2 on
// a new goroutine with a small stack; to double that step by step, each time
// with all the calls that are on it by then, was 5 % of a short request.
//
//go:noinline
func deepen(use bool) byte {
	if !use {
		return 0
	}
	var room [10 << 10]byte
	return last(&room)
}

//go:noinline
func last(b *[10 << 10]byte) byte { return b[len(b)-1] }
