package proxy

// How an answer reaches the client.

import (
	"io"
	"maps"
	"net/http"
	"sync"
)

var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// writeResponse sends resp to the client: as it comes where its length is not
// known, so that streams arrive at once.
func writeResponse(w http.ResponseWriter, resp *http.Response) {
	if resp.StatusCode < 200 || resp.StatusCode > 999 { // net/http cannot write it
		resp.Body.Close()
		resp = failed(resp.Request, errBadStatus, resp.Header.Get(headerID))
	}
	h := w.Header()
	maps.Copy(h, resp.Header)
	if _, ok := resp.Header["Content-Type"]; !ok {
		h["Content-Type"] = nil // none came, so none is guessed
	}
	announced := len(resp.Trailer)
	for name := range resp.Trailer {
		h.Add("Trailer", name)
	}
	if announced > 0 && resp.Request != nil && resp.Request.Method != http.MethodHead {
		delete(h, "Content-Length") // HTTP/2 has both, HTTP/1.1 trailers only without (RFC 9112, 7.1.2)
	}
	if resp.Close && resp.StatusCode == http.StatusProxyAuthRequired {
		h.Set("Connection", "close")
	}
	if resp.StatusCode == http.StatusNotModified {
		lengthOfNothing(h)
	}
	w.WriteHeader(resp.StatusCode)
	if resp.ContentLength != 0 {
		if err := copyBody(w, resp); err != nil {
			// The status is out: only a broken connection says that the
			// answer is not whole.
			panicAbort()
		}
	}
	dropOurs(resp.Trailer)
	if len(resp.Trailer) == 0 {
		return
	}
	if len(resp.Trailer) == announced {
		for name, values := range resp.Trailer {
			h[name] = values
		}
		return
	}
	for name, values := range resp.Trailer {
		h[http.TrailerPrefix+name] = values
	}
}

// lengthOfNothing keeps what a 304 says of the answer that it stands for (RFC
// 9110, 15.4.5). net/http's server drops both fields by their usual spelling.
func lengthOfNothing(h http.Header) {
	for usual, kept := range map[string]string{"Content-Length": "content-length", "Content-Type": "content-type"} {
		if values := h[usual]; len(values) > 0 {
			h[kept] = values
		}
		delete(h, usual)
	}
}

func copyBody(w http.ResponseWriter, resp *http.Response) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	flush := func() error { return nil }
	if resp.ContentLength < 0 || streams(resp) {
		flush = http.NewResponseController(w).Flush
		if err := flush(); err != nil {
			return err
		}
	}
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			if _, err := w.Write((*buf)[:n]); err != nil {
				return err
			}
			if err := flush(); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
