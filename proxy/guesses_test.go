package proxy_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"quotagate/proxy"
)

// A lock is a proxy that asks for passwords, and counts how often it looks at
// one; its clock stands still until it is moved.
type lock struct {
	*world
	looked atomic.Int64
	past   atomic.Int64 // of the clock
}

func newLock(t *testing.T, n int64, per time.Duration) *lock {
	l := &lock{}
	begin := time.Now()
	l.world = newWorld(t, five, func(_ *world, c *proxy.Config, _ *proxy.Enforcer) {
		c.Authenticate = func(user, password string) bool {
			l.looked.Add(1)
			return user == "anna" && password == "s3cret"
		}
		c.Remembers = func(user, password string) bool { return user == "bert" && password == "known" }
		c.Guesses = proxy.NewGuesses(n, per, func() time.Time { return begin.Add(time.Duration(l.past.Load())) })
	})
	return l
}

func (l *lock) try(t *testing.T, credentials string) (status int, retryAfter string) {
	t.Helper()
	if credentials != "" {
		credentials = "Proxy-Authorization: " + basic(credentials) + "\r\n"
	}
	resp := l.raw(t, "GET https://chat.example/ HTTP/1.1\r\nHost: chat.example\r\n"+credentials+"\r\n")
	return resp.StatusCode, resp.Header.Get("Retry-After")
}

func TestWhoGuessesPasswordsHasToWait(t *testing.T) {
	l := newLock(t, 3, time.Minute)
	for i := range 3 {
		if status, _ := l.try(t, "anna:guess"); status != 407 {
			t.Errorf("guess %d: %d", i, status)
		}
	}
	// Nothing is looked at any more, not even what would be right.
	for _, credentials := range []string{"anna:guess", "anna:s3cret", "carl:guess"} {
		if status, after := l.try(t, credentials); status != 429 || after != "20" {
			t.Errorf("%s: %d, Retry-After %q", credentials, status, after)
		}
	}
	if n := l.looked.Load(); n != 3 {
		t.Errorf("%d passwords were looked at", n)
	}
	// Who was found right before goes on, and who gives no password is asked for one.
	if status, _ := l.try(t, "bert:known"); status != 200 {
		t.Errorf("who is known: %d", status)
	}
	if status, _ := l.try(t, ""); status != 407 {
		t.Errorf("without credentials: %d", status)
	}
	l.past.Add(int64(20 * time.Second))
	if status, _ := l.try(t, "anna:s3cret"); status != 200 {
		t.Errorf("after the wait: %d", status)
	}
}

func TestRightPasswordsCostNoTurn(t *testing.T) {
	l := newLock(t, 2, time.Minute)
	for i := range 10 {
		if status, _ := l.try(t, "anna:s3cret"); status != 200 {
			t.Errorf("request %d: %d", i, status)
		}
	}
}

func TestManyGuessesAtOnceAreNoWayRound(t *testing.T) {
	l := newLock(t, 3, time.Hour)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() { l.try(t, "anna:guess") })
	}
	wg.Wait()
	if n := l.looked.Load(); n != 3 {
		t.Errorf("%d passwords were looked at", n)
	}
}

func TestAConnectOfAGuesserIsTold(t *testing.T) {
	l := newLock(t, 1, time.Minute)
	connect := "CONNECT chat.example:443 HTTP/1.1\r\nHost: chat.example:443\r\nProxy-Authorization: " + basic("anna:guess") + "\r\n\r\n"
	if resp := l.raw(t, connect); resp.StatusCode != 407 {
		t.Errorf("the first: %s", resp.Status)
	}
	if resp := l.raw(t, connect); resp.StatusCode != 429 || resp.Header.Get("Quotagate-Error") != "guesses" {
		t.Errorf("the second: %s, %q", resp.Status, resp.Header.Get("Quotagate-Error"))
	}
	if log := l.log.String(); strings.Contains(log, "guess") || strings.Contains(log, "anna") {
		t.Errorf("the log has credentials: %s", log)
	}
}
