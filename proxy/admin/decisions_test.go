package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
	"quotagate/proxy/admin"
)

// add puts a record of this many messages in.
func add(r *admin.Recent, id, decision string, messages int) {
	rec := &proxy.Record{ID: id, Decision: decision, Messages: make([]proxy.RecordMessage, messages)}
	r.Add(rec, rec.AppendJSON(nil))
}

func TestDecisionsAreALineForEveryMessage(t *testing.T) {
	d := newDesk(t)
	if w := d.ask("GET", "/api/v1/decisions", ""); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("none yet: %d %s", w.Code, w.Body)
	}
	add(d.config.Recent, "one", proxy.DecisionForward, 1)
	add(d.config.Recent, "two", proxy.DecisionReject, 3)
	w := d.ask("GET", "/api/v1/decisions", "")
	if ct := w.Header().Get("Content-Type"); ct != "application/x-ndjson" {
		t.Errorf("Content-Type %q", ct)
	}
	lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], `"id":"one"`) || !strings.Contains(lines[3], `"id":"two"`) || !strings.Contains(lines[3], `"item":2`) {
		t.Errorf("%q", lines)
	}
	totals := read[admin.Status](t, d.ask("GET", "/api/v1/status", "")).Decisions
	if totals["forward"] != 1 || totals["reject"] != 3 {
		t.Errorf("%v", totals)
	}
}

func TestOnlyTheLatestDecisionsAreKept(t *testing.T) {
	const least, most = 512 << 10, 1 << 20
	r := &admin.Recent{}
	for i := range 10000 {
		add(r, fmt.Sprint("r", i), proxy.DecisionForward, 1)
	}
	lines := r.Lines()
	if n := len(bytes.Join(lines, nil)); n < least || n > most {
		t.Errorf("%d bytes are kept", n)
	}
	for i, l := range lines {
		if want := fmt.Sprintf(`"id":"r%d"`, 10000-len(lines)+i); !strings.Contains(string(l), want) {
			t.Fatalf("line %d of %d is %.60s, want %s", i, len(lines), l, want)
		}
	}
	if n := r.Totals()["forward"]; n != 10000 {
		t.Errorf("%d in all", n)
	}
	r = &admin.Recent{}
	line := []byte(strings.Repeat("x", 80<<10) + "\n")
	for range 100 {
		r.Add(&proxy.Record{Decision: proxy.DecisionForward}, line)
	}
	if n := len(r.Lines()) * len(line); n < least || n > most {
		t.Errorf("%d bytes of large lines are kept", n)
	}
	// What is kept is not the caller's to change.
	line[0] = 'y'
	if r.Lines()[0][0] != 'x' {
		t.Error("a kept line changed with its writer's buffer")
	}
}

// served is the desk at an address of its own.
func served(t *testing.T) (*desk, string) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	d := newDesk(t, at(netip.MustParseAddrPort(s.Listener.Addr().String()).String()))
	s.Config.Handler = d
	s.Start()
	t.Cleanup(s.Close)
	return d, s.URL
}

// follow asks for the decisions as they come. They come from now on.
func follow(t *testing.T, url string) (*bufio.Reader, context.CancelFunc) {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(stop)
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/api/v1/decisions", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || ct != "text/event-stream" {
		t.Fatalf("%s, Content-Type %q", resp.Status, ct)
	}
	return bufio.NewReader(resp.Body), stop
}

// event reads one: a line of data and an empty one.
func event(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if end, err := r.ReadString('\n'); err != nil || end != "\n" {
		t.Fatalf("behind %q comes %q, %v", line, end, err)
	}
	data, ok := strings.CutPrefix(line, "data: ")
	if !ok {
		t.Fatalf("%q", line)
	}
	return data
}

func TestWhoFollowsSeesEveryMessageAsItComes(t *testing.T) {
	d, url := served(t)
	add(d.config.Recent, "before", proxy.DecisionForward, 1)
	one, leave := follow(t, url)
	two, _ := follow(t, url)
	add(d.config.Recent, "batch", proxy.DecisionForward, 2)
	for _, r := range []*bufio.Reader{one, two} {
		for item := range 2 {
			if e := event(t, r); !strings.Contains(e, `"id":"batch"`) || !strings.Contains(e, fmt.Sprintf(`"item":%d`, item)) {
				t.Errorf("event %d: %s", item, e)
			}
		}
	}
	leave()
	add(d.config.Recent, "after", proxy.DecisionReject, 1)
	if e := event(t, two); !strings.Contains(e, `"id":"after"`) {
		t.Errorf("when another has left: %s", e)
	}
}

func TestASlowFollowerLosesLinesAndBlocksNobody(t *testing.T) {
	r := &admin.Recent{}
	slow, stopSlow := r.Follow() // never reads until the end
	added := make(chan struct{})
	go func() {
		defer close(added)
		for i := range 1000 {
			add(r, fmt.Sprint("r", i), proxy.DecisionForward, 1)
		}
	}()
	select {
	case <-added:
	case <-time.After(10 * time.Second):
		t.Fatal("a follower that does not read holds everybody up")
	}
	var got []string
	for {
		select {
		case l := <-slow:
			got = append(got, string(l))
			continue
		default:
		}
		break
	}
	if len(got) == 0 || len(got) >= 1000 || !strings.Contains(got[0], `"id":"r0"`) {
		t.Errorf("%d lines kept for the slow one", len(got))
	}
	if n := len(r.Lines()); n != 1000 {
		t.Errorf("%d lines kept", n)
	}
	stopSlow()
	add(r, "late", proxy.DecisionForward, 1)
	select {
	case l := <-slow:
		t.Errorf("one that has left is still told: %s", l)
	default:
	}
}
