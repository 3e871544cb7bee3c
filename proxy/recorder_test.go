package proxy_test

// An origin that reads bytes itself. net/http would forgive what another server
// does not: this one takes nothing that the grammar of RFC 9112 does not have,
// and what it counts is the judge of what a client got through.

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A recorder counts the requests that reach it.
type recorder struct {
	addr   string
	answer string // what it says to each
	// last, if set, ends the connection after so many requests, without a word.
	last int

	mu    sync.Mutex
	seen  []recordedRequest
	wrong []string // what was no HTTP
	conns int
}

type recordedRequest struct {
	line   string
	header []string // as they came
	body   string
	parts  int // chunks, 0 where the length was told

	trailer []string
}

// value is a header's value, and whether there is exactly one.
func (r *recordedRequest) value(name string) (string, bool) {
	var found []string
	for _, line := range r.header {
		if k, v, _ := strings.Cut(line, ":"); strings.EqualFold(k, name) {
			found = append(found, strings.TrimSpace(v))
		}
	}
	return strings.Join(found, " | "), len(found) == 1
}

// newRecorder listens, under a certificate or in the clear.
func newRecorder(t *testing.T, cert *tls.Certificate) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{addr: l.Addr().String(), answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}
	if cert != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{"http/1.1"}})
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				r.serve(c)
				c.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return r
}

// requests are those that came whole.
func (r *recorder) requests() []recordedRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]recordedRequest(nil), r.seen...)
}

// faults are what came that no strict server takes. A request that breaks off
// is none: nobody acts on half of one.
func (r *recorder) faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.wrong...)
}

func (r *recorder) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns
}

func (r *recorder) serve(c net.Conn) {
	r.mu.Lock()
	r.conns++
	r.mu.Unlock()
	br := bufio.NewReader(c)
	for n := 1; ; n++ {
		q, err := readStrictly(br)
		var fault faultError
		if errors.As(err, &fault) {
			r.mu.Lock()
			r.wrong = append(r.wrong, string(fault))
			r.mu.Unlock()
		}
		if err != nil {
			return
		}
		r.mu.Lock()
		r.seen = append(r.seen, *q)
		r.mu.Unlock()
		if r.last > 0 && n >= r.last {
			return
		}
		if _, err := io.WriteString(c, r.answer); err != nil {
			return
		}
	}
}

type faultError string

func (e faultError) Error() string { return string(e) }

const tchar = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func token(s string) bool { return s != "" && strings.Trim(s, tchar) == "" }

// crlfLine reads one line that ends as lines must.
func crlfLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadString('\n')
	if err != nil {
		return "", err
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(line, "\r\n\x00") {
		return "", faultError(fmt.Sprintf("a line %q", line))
	}
	return line, nil
}

func readStrictly(br *bufio.Reader) (*recordedRequest, error) {
	line, err := crlfLine(br)
	if err != nil {
		return nil, err
	}
	q := &recordedRequest{line: line}
	words := strings.Split(line, " ")
	if len(words) != 3 || !token(words[0]) || words[1] == "" || words[2] != "HTTP/1.1" {
		return nil, faultError(fmt.Sprintf("a request line %q", line))
	}
	if q.header, err = readFields(br); err != nil {
		return nil, err
	}
	if _, ok := q.value("Host"); !ok {
		return nil, faultError(fmt.Sprintf("not one Host in %q", q.header))
	}
	length, lengthOnce := q.value("Content-Length")
	coding, codingOnce := q.value("Transfer-Encoding")
	var body bytes.Buffer
	switch {
	case length != "" && coding != "":
		return nil, faultError("both Content-Length and Transfer-Encoding")
	case coding != "":
		if !codingOnce || coding != "chunked" {
			return nil, faultError(fmt.Sprintf("Transfer-Encoding %q", coding))
		}
		q.parts, q.trailer, err = readChunks(br, &body)
	case length != "":
		n, bad := strconv.ParseUint(length, 10, 40)
		if bad != nil || !lengthOnce || strings.Trim(length, "0123456789") != "" {
			return nil, faultError(fmt.Sprintf("Content-Length %q", length))
		}
		_, err = io.CopyN(&body, br, int64(n))
	}
	q.body = body.String()
	return q, err
}

func readFields(br *bufio.Reader) (lines []string, err error) {
	for {
		line, err := crlfLine(br)
		if err != nil || line == "" {
			return lines, err
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !token(name) {
			return nil, faultError(fmt.Sprintf("a field %q", line))
		}
		for i := range len(value) {
			if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
				return nil, faultError(fmt.Sprintf("a value %q", line))
			}
		}
		lines = append(lines, line)
	}
}

func readChunks(br *bufio.Reader, into io.Writer) (parts int, trailer []string, err error) {
	for {
		line, err := crlfLine(br)
		if err != nil {
			return parts, nil, err
		}
		size, bad := strconv.ParseUint(line, 16, 40)
		if bad != nil || strings.Trim(line, "0123456789abcdefABCDEF") != "" {
			return parts, nil, faultError(fmt.Sprintf("a chunk's size %q", line))
		}
		if size == 0 {
			trailer, err := readFields(br)
			return parts, trailer, err
		}
		if _, err := io.CopyN(into, br, int64(size)); err != nil {
			return parts, nil, err
		}
		if end, err := crlfLine(br); err != nil || end != "" {
			return parts, nil, errors.Join(err, faultError(fmt.Sprintf("%q behind a chunk", end)))
		}
		parts++
	}
}
