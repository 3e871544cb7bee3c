package ruletest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"quotagate/proxy"
	"quotagate/rules"
)

// A shot is a request as a test writes it. What is the same for every send is
// made once: a test may send it a hundred thousand times.
type shot struct {
	send  *rules.Send
	ready *http.Request // all but the body
	body  template
	fixed []byte // the body, if it has no number
	// varies: the number stands outside of the body, so that the whole
	// request has to be made anew.
	varies bool
	last   int // the number of the last send
}

func newShot(send *rules.Send) (*shot, error) {
	s := &shot{send: send, varies: mentions(send)}
	text, err := bodyOf(send)
	if err != nil {
		return nil, err
	}
	if s.body = newTemplate(text); s.body.fixed() {
		s.fixed = []byte(text)
	}
	first := send.At(1)
	s.ready, err = headOf(&first)
	return s, err
}

// request is the request of the n-th send.
func (s *shot) request(n int) (*http.Request, error) {
	s.last = n
	head := s.ready
	if s.varies {
		send := s.send.At(n)
		var err error
		if head, err = headOf(&send); err != nil {
			return nil, err
		}
	}
	req := new(http.Request)
	*req = *head
	b := s.fixed
	if !s.body.fixed() {
		b = s.body.fill(n)
	}
	req.Body, req.ContentLength = newBody(b), int64(len(b))
	return req, nil
}

// mentions reports whether the number stands anywhere but in the body.
func mentions(s *rules.Send) bool {
	texts := []string{s.Request, s.Bearer, s.ProxyUser}
	for _, m := range []map[string]string{s.Header, s.Cookie} {
		for k, v := range m {
			texts = append(texts, k, v)
		}
	}
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, number) })
}

// headOf is the request without its body.
func headOf(s *rules.Send) (*http.Request, error) {
	ctx := proxy.WithClient(context.Background(), &proxy.Client{
		Addr: "127.0.0.1:1", User: s.ProxyUser, Authenticated: s.ProxyUser != "" && !s.Unverified,
	})
	req, err := http.NewRequestWithContext(ctx, s.Method(), s.URL(), nil)
	if err != nil {
		return nil, err
	}
	switch {
	case s.JSON != nil:
		req.Header.Set("Content-Type", "application/json")
	case s.Form != nil:
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if s.Bearer != "" {
		req.Header.Set("Authorization", "Bearer "+s.Bearer)
	}
	var cookies []string
	for k, v := range s.Cookie {
		cookies = append(cookies, k+"="+v)
	}
	if len(cookies) > 0 {
		slices.Sort(cookies)
		req.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	for k, v := range s.Header {
		req.Header.Set(k, v)
	}
	return req, nil
}

// bodyOf is the body as it goes over the wire, with the places of the number
// kept: its digits need no escape in JSON and in a form.
func bodyOf(s *rules.Send) (string, error) {
	switch {
	case s.JSON != nil:
		return encodeJSON(s.JSON)
	case s.Form != nil:
		values := url.Values{}
		for k, v := range s.Form {
			values.Set(k, v)
		}
		return strings.ReplaceAll(values.Encode(), url.QueryEscape(number), number), nil
	}
	return s.Body, nil
}

func encodeJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", fmt.Errorf("write the body as JSON: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
