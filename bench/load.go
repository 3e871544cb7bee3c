package main

// This file is the client: a number of connections, each with one request in
// flight, kept open over all rounds.

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A load sends messages over its connections.
type load struct {
	clients  []*http.Client
	governed bool // every answer has to say that quotagate let it pass
}

// newLoad makes n clients of the service, each of which keeps one connection:
// through the proxy at addr, or, if that is "", to the upstream itself.
func newLoad(n int, h2 bool, proxy, upstream string, roots *x509.CertPool, governed bool) *load {
	l := &load{governed: governed}
	for range n {
		tr := &http.Transport{
			TLSClientConfig:    &tls.Config{RootCAs: roots},
			ForceAttemptHTTP2:  h2,
			DisableCompression: true,
			MaxConnsPerHost:    1,
		}
		if proxy != "" {
			tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
		} else {
			tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "tcp", upstream)
			}
		}
		l.clients = append(l.clients, &http.Client{Transport: tr})
	}
	return l
}

func (l *load) close() {
	for _, c := range l.clients {
		c.CloseIdleConnections()
	}
}

// A sample is what one round of a load showed.
type sample struct {
	requests int
	perSec   float64
	p50, p99 time.Duration
}

var messages atomic.Int64 // numbers the texts, so that no two are the same

// run sends for d and measures what was answered.
func (l *load) run(ctx context.Context, d time.Duration) (sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([][]time.Duration, len(l.clients))
	began := time.Now()
	end := began.Add(d)
	var wg sync.WaitGroup
	for i, c := range l.clients {
		wg.Go(func() {
			for {
				t := time.Now()
				if !t.Before(end) {
					return
				}
				if err := l.send(ctx, c, i); err != nil {
					cancel(err)
					return
				}
				took[i] = append(took[i], time.Since(t))
			}
		})
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	if err := context.Cause(ctx); err != nil {
		return sample{}, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) == 0 {
		return sample{}, fmt.Errorf("nothing was answered in %v", d)
	}
	return sample{
		requests: len(all),
		perSec:   float64(len(all)) / seconds,
		p50:      all[len(all)/2],
		p99:      all[len(all)*99/100],
	}, nil
}

// send posts one message for the account of client i.
func (l *load) send(ctx context.Context, c *http.Client, i int) error {
	body := fmt.Appendf(nil, `{"channel":"C0%09d","text":"Build %d of the nightly branch is green again, 1,204 tests in 3 minutes.","unfurl_links":false}`,
		i, messages.Add(1))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+serviceHost+"/api/chat.postMessage", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Authorization", fmt.Sprintf("Bearer xoxb-000000000000-%012d-benchbenchbenchbench", i))
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK || string(got) != answer:
		return fmt.Errorf("answered %s: %.300s", resp.Status, got)
	case l.governed && resp.Header.Get("Quotagate-Decision") != "forward":
		return fmt.Errorf("not governed: Quotagate-Decision is %q", resp.Header.Get("Quotagate-Decision"))
	}
	return nil
}
