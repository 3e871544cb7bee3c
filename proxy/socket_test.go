package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"quotagate/proxy"
)

const askForSocket = "GET /ws HTTP/1.1\r\nHost: chat.example\r\nAuthorization: Bearer anna\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

// sockets makes the service answer every request with a WebSocket, whose
// connection the test gets.
func sockets(t *testing.T, w *world) <-chan net.Conn {
	t.Helper()
	conns := make(chan net.Conn, 10)
	w.service.respond(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "Upgrade")
		rw.Header().Set("Upgrade", "websocket")
		rw.WriteHeader(http.StatusSwitchingProtocols)
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		conns <- conn
	})
	return conns
}

// socket opens a WebSocket and returns both of its ends.
func (w *world) socket(t *testing.T, service <-chan net.Conn) (client doorway, from *bufio.Reader, end net.Conn) {
	t.Helper()
	conn := w.connect(t, "chat.example")
	io.WriteString(conn, askForSocket)
	br := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	return conn, br, <-service
}

func idleAfter(d time.Duration) option {
	return func(_ *world, c *proxy.Config, _ *proxy.Enforcer) { c.WebSocketIdle = d }
}

func TestWebSocketsOfTheFrontAreBoundedAsTunnels(t *testing.T) {
	w := newWorld(t, five, http1Upstream, limited(proxy.Limits{Tunnels: 1}))
	ends := sockets(t, w)
	atFront := strings.Replace(askForSocket, "/ws", "https://chat.example/ws", 1)
	first, second := w.dialFront(), w.dialFront()
	io.WriteString(first, atFront)
	if resp, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	io.WriteString(second, atFront)
	told(t, second, http.StatusServiceUnavailable, "busy")
	w.wantRefused(proxy.BoundTunnels, 1)
	first.Close()
	(<-ends).Close()
	eventually(t, "a WebSocket keeps its place", func() bool { _, n := w.server.Open(); return n == 0 })
}

func TestASilentWebSocketIsClosedAndBothSidesAreTold(t *testing.T) {
	w := newWorld(t, five, http1Upstream, idleAfter(200*time.Millisecond))
	_, client, service := w.socket(t, sockets(t, w))
	for side, tc := range map[string]struct {
		from io.Reader
		want string
	}{
		"client": {client, "\x88\x06\x03\xe9idle"}, "service": {service, "\x88\x86\x00\x00\x00\x00\x03\xe9idle"},
	} {
		if got, err := io.ReadAll(tc.from); string(got) != tc.want || err != nil {
			t.Errorf("the %s read %q %v", side, got, err)
		}
	}
}

func TestWhenOneSideOfAWebSocketEndsTheOtherMayFinish(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	client, from, service := w.socket(t, sockets(t, w))
	io.WriteString(client, "last")
	client.CloseWrite()
	if got, err := io.ReadAll(service); string(got) != "last" || err != nil {
		t.Errorf("the service read %q %v", got, err)
	}
	io.WriteString(service, "answer")
	service.Close()
	if got, err := io.ReadAll(from); string(got) != "answer" || err != nil {
		t.Errorf("the client read %q %v", got, err)
	}
	client.Close()

	client, from, service = w.socket(t, sockets(t, w))
	service.(interface{ CloseWrite() error }).CloseWrite()
	if got, err := io.ReadAll(from); len(got) != 0 || err != nil {
		t.Errorf("the client read %q %v", got, err)
	}
	io.WriteString(client, "answer")
	client.CloseWrite()
	if got, err := io.ReadAll(service); string(got) != "answer" || err != nil {
		t.Errorf("the service read %q %v", got, err)
	}
}

func TestASideThatIsGoneEndsTheOther(t *testing.T) {
	for _, gone := range []string{"client", "service"} {
		w := newWorld(t, five, http1Upstream)
		client, from, service := w.socket(t, sockets(t, w))
		left := io.Reader(from)
		if gone == "client" {
			client.Close()
			left = service
		} else {
			service.Close()
		}
		if _, err := io.Copy(io.Discard, left); err != nil && isTimeout(err) {
			t.Errorf("the %s has gone, and the other side stays: %v", gone, err)
		}
	}
}

func TestAnUpgradeIsOneRequest(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	w.set.Store(mustLoad(t, chat+"limits: [{name: chat.calls, on: chat.request, allow: 2, per: day}]\n"))
	service := sockets(t, w)
	for range 2 {
		client, from, end := w.socket(t, service)
		for range 3 { // what passes in it is none
			io.WriteString(client, "word")
			io.ReadFull(end, make([]byte, 4))
		}
		end.Close()
		io.Copy(io.Discard, from)
	}
	if resp := w.exchange(t, askForSocket); resp.StatusCode != 429 {
		t.Errorf("the third: %s", resp.Status)
	}
}

// Where WebSockets are refused, shadow mode lets one through that is a message
// as well: as a message it counts.
func TestInShadowModeAMessageThatOpensASocketCounts(t *testing.T) {
	w := newWorld(t, five, http1Upstream)
	w.set.Store(mustLoad(t, strings.Replace(strict("websockets: reject"), "{wait: 0s}", "{wait: 0s, mode: shadow}", 1)+five))
	service := sockets(t, w)
	conn := w.connect(t, "chat.example")
	io.WriteString(conn, strings.Replace(askForSocket, "GET /ws", "POST /send", 1))
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	(<-service).Close()
	r := w.next()
	if r.Decision != proxy.DecisionForward || len(r.Messages) != 1 || r.Messages[0].Kind != "message" || !strings.Contains(strings.Join(r.Shadowed, " "), "unmatched") {
		t.Errorf("%+v", r)
	}
	if n := w.used("chat.day"); n != 1 {
		t.Errorf("%d counted, want 1", n)
	}
}
