package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// Accounts that nobody listed are opened by whatever token a request shows, so
// the bound of each of them bounds no client.
func TestOneClientDoesNotTakeEveryPlace(t *testing.T) {
	far, near := &Client{Addr: "192.0.2.1:1"}, &Client{Addr: "127.0.0.1:1"}
	six := &Client{Addr: "[2001:db8:1:2::1]:1"}
	user := &Client{Addr: "127.0.0.1:1", User: "anna", Authenticated: true}
	for _, c := range []struct {
		name   string
		client *Client
		bound  int64
		most   int64
	}{
		{"an address", far, 0, 5},
		{"a customer's network", six, 0, 5},
		{"a user", user, 0, 5},
		{"this machine's programs", near, 0, 10},
		{"this machine's programs, by IPv6", &Client{Addr: "[::1]:1"}, 0, 10},
		{"a name that anybody may claim", &Client{Addr: "192.0.2.1:1", User: "anna"}, 0, 5},
		{"a Go program's own", &Client{}, 0, 10},
		{"as it is said", far, 3, 3},
		{"as it is said, on this machine", near, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &Enforcer{MaxHeld: 10, MaxHeldPerAccount: 1, MaxHeldPerClient: c.bound}
			enter := func(who *Client, account string) (*transit, error) {
				tr := &transit{e: e, client: who, account: account}
				return tr, tr.enter()
			}
			var in []*transit
			for i := range 10 {
				who := *c.client // each time by another connection
				if host, ok := strings.CutSuffix(who.Addr, ":1"); ok {
					who.Addr = fmt.Sprint(host, ":", i+1)
				}
				tr, err := enter(&who, fmt.Sprint("made up ", i))
				if err != nil {
					if f := failureOf(err); int64(i) != c.most || f.Status != 503 || f.Word != "busy" {
						t.Errorf("refused after %d, want %d: %+v", i, c.most, f)
					}
					break
				}
				in = append(in, tr)
			}
			if n := e.HeldRefusedOfClient(); int64(len(in)) != c.most || (n == 1) != (c.most < 10) {
				t.Fatalf("%d wait, want %d; %d were refused", len(in), c.most, n)
			}
			if c.most == 10 {
				return
			}
			if _, err := enter(&Client{Addr: "198.51.100.7:1"}, "another's"); err != nil {
				t.Errorf("another client: %v", err)
			}
			in[0].leave() // gives its place back
			if _, err := enter(c.client, "one more"); err != nil {
				t.Errorf("after one has left: %v", err)
			}
		})
	}
}
