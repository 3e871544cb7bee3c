package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func (r *Recent) following() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.followers)
}

func TestAFollowerThatLeavesIsForgotten(t *testing.T) {
	r := &Recent{}
	s := httptest.NewUnstartedServer(nil)
	s.Config.Handler = New(Config{Recent: r, Addr: netip.MustParseAddrPort(s.Listener.Addr().String())})
	s.Start()
	defer s.Close()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/api/v1/decisions", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n := r.following(); n != 1 {
		t.Errorf("%d follow", n)
	}
	leave()
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); r.following() > 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("one that has left is still told")
		}
	}
}
