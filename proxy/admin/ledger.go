package admin

import (
	"errors"
	"net/http"
	"time"
)

// export writes the whole ledger as lines of JSON. An answer that is cut short
// is not whole: the connection is broken off, so that nobody takes it for one.
func (h *handler) export(w http.ResponseWriter, r *http.Request) {
	if h.Export == nil {
		problem(w, http.StatusNotFound, "this ledger cannot be exported")
		return
	}
	out := &lazyWriter{w: w, control: http.NewResponseController(w)}
	if err := h.Export(r.Context(), out); err != nil {
		if !out.begun {
			ledgerFailed(w, err)
			return
		}
		panic(http.ErrAbortHandler)
	}
}

// exportPause is how long who exports may take to accept a piece: one that nobody
// reads would be on its way for ever, and the ledger keeps for it what it has to
// know of accounts that become one.
const exportPause = 5 * time.Second

// A lazyWriter sends the head of the answer with its first byte, and waits for
// no piece longer than exportPause.
type lazyWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (l *lazyWriter) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	// A writer that knows no deadlines is a test's.
	if err := l.control.SetWriteDeadline(time.Now().Add(exportPause)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return l.w.Write(p)
}

func (h *handler) accept(w http.ResponseWriter, r *http.Request) {
	if h.Accept == nil {
		problem(w, http.StatusNotFound, "there is nothing to accept")
		return
	}
	if err := h.Accept(r.Context()); err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	reply(w, http.StatusOK, map[string]string{"store": "accepted"})
}
