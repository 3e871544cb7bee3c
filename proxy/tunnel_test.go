package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// tcpPair returns the two ends of a loopback connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

type ended struct {
	up, down int64
	err      error
}

// through starts a tunnel and returns what the client and the upstream hold
// of it, and how it ended.
func through(t testing.TB, ctx context.Context, set func(*tunnel)) (client, upstream *net.TCPConn, end <-chan ended) {
	t.Helper()
	client, inner := tcpPair(t)
	outer, upstream := tcpPair(t)
	t.Cleanup(func() { client.Close(); upstream.Close() })
	tun := &tunnel{client: inner, upstream: outer}
	if set != nil {
		set(tun)
	}
	done := make(chan ended, 1)
	go func() {
		up, down, err := tun.run(ctx)
		done <- ended{up, down, err}
	}()
	return client, upstream, done
}

func noise(n int) []byte {
	p := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(p)
	return p
}

func TestBytesPassBothWaysAndEachWayEndsByItself(t *testing.T) {
	client, upstream, end := through(t, t.Context(), nil)
	up, down := noise(3<<20), noise(5<<20)
	go func() {
		client.Write(up)
		client.CloseWrite()
	}()
	got, err := io.ReadAll(upstream)
	if err != nil || !bytes.Equal(got, up) {
		t.Fatalf("upstream got %d bytes of %d, %v", len(got), len(up), err)
	}
	// The client has ended its way; the upstream's is still open.
	go func() {
		upstream.Write(down)
		upstream.CloseWrite()
	}()
	got, err = io.ReadAll(client)
	if err != nil || !bytes.Equal(got, down) {
		t.Fatalf("client got %d bytes of %d, %v", len(got), len(down), err)
	}
	if e := <-end; e != (ended{int64(len(up)), int64(len(down)), nil}) {
		t.Errorf("ended %+v", e)
	}
}

func TestNoByteIsLostWhereTheWatchLooks(t *testing.T) {
	// The copying is interrupted as the deadlines of the watch do it, only
	// all the time, while the client reads in small bites, so that the
	// sockets are full and the splices are cut anywhere.
	data := noise(32 << 20)
	var outer net.Conn
	client, upstream, end := through(t, t.Context(), func(tun *tunnel) {
		tun.idle = time.Hour
		outer = tun.upstream
	})
	go func() {
		upstream.Write(data)
		upstream.Close()
	}()
	over := make(chan struct{})
	var cuts int
	go func() {
		defer close(over)
		for outer.SetReadDeadline(time.Now()) == nil {
			cuts++
			runtime.Gosched()
		}
	}()
	sum := sha256.New()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{client}, make([]byte, 7777))
	if err != nil || int(n) != len(data) || !bytes.Equal(sum.Sum(nil), sha256Of(data)) {
		t.Fatalf("got %d bytes of %d, %v", n, len(data), err)
	}
	client.Close()
	if e := <-end; e.down != n {
		t.Errorf("ended %+v", e)
	}
	<-over
	if cuts < 100 {
		t.Errorf("cut %d times only", cuts)
	}
}

func sha256Of(p []byte) []byte {
	s := sha256.Sum256(p)
	return s[:]
}

func TestAServerMaySpeakFirst(t *testing.T) {
	var seen hello
	client, upstream, end := through(t, t.Context(), func(tun *tunnel) {
		tun.allow = func(h hello) error { seen = h; return nil }
	})
	banner := []byte("220 mail.example ready\r\n")
	if _, err := upstream.Write(banner); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(banner))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, banner) {
		t.Fatalf("client got %q, %v", got, err)
	}
	if _, err := client.Write([]byte("EHLO client\r\n")); err != nil {
		t.Fatal(err)
	}
	got = make([]byte, 13)
	if _, err := io.ReadFull(upstream, got); err != nil || string(got) != "EHLO client\r\n" {
		t.Fatalf("upstream got %q, %v", got, err)
	}
	client.Close()
	upstream.Close()
	<-end
	if seen.tls || string(seen.raw) != "EHLO client\r\n" {
		t.Errorf("allow saw %+v", seen)
	}
}

func TestAnAllowedHelloReachesTheUpstreamUnchanged(t *testing.T) {
	sent := clientHello(t, &tls.Config{ServerName: "free.example"})
	for _, early := range []int{0, 3, len(sent)} {
		var name string
		client, upstream, end := through(t, t.Context(), func(tun *tunnel) {
			tun.early = sent[:early:early]
			tun.allow = func(h hello) error { name = h.name; return nil }
		})
		if _, err := client.Write(append(bytes.Clone(sent[early:]), "and more"...)); err != nil {
			t.Fatal(err)
		}
		client.CloseWrite()
		got, err := io.ReadAll(upstream)
		if err != nil || !bytes.Equal(got, append(bytes.Clone(sent), "and more"...)) {
			t.Errorf("%d early: upstream got %d bytes, %v", early, len(got), err)
		}
		upstream.Close()
		if e := <-end; e.up != int64(len(got)) || name != "free.example" {
			t.Errorf("%d early: ended %+v, name %q", early, e, name)
		}
	}
}

func TestADeniedClientDoesNotReachTheUpstream(t *testing.T) {
	named := errors.New("a rule names this host")
	for what, sent := range map[string][]byte{
		"denied by name": clientHello(t, &tls.Config{ServerName: "slack.com"}),
		"not readable":   []byte("\x16 is no TLS"),
	} {
		client, upstream, end := through(t, t.Context(), func(tun *tunnel) {
			tun.allow = func(hello) error { return named }
		})
		if _, err := client.Write(sent); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(upstream); len(got) != 0 {
			t.Errorf("%s: upstream got %d bytes", what, len(got))
		}
		if got, _ := io.ReadAll(client); len(got) != 0 {
			t.Errorf("%s: client got %d bytes", what, len(got))
		}
		e := <-end
		if e.up != 0 || e.err == nil || what == "denied by name" && !errors.Is(e.err, named) {
			t.Errorf("%s: ended %+v", what, e)
		}
	}
}

func TestAClientThatOnlyListensIsNotDenied(t *testing.T) {
	client, upstream, end := through(t, t.Context(), func(tun *tunnel) {
		tun.allow = func(hello) error { return errors.New("there is nothing to look at") }
	})
	client.CloseWrite()
	if got, err := io.ReadAll(upstream); len(got) != 0 || err != nil {
		t.Errorf("upstream got %q, %v", got, err)
	}
	upstream.Write([]byte("news"))
	upstream.Close()
	if got, err := io.ReadAll(client); string(got) != "news" || err != nil {
		t.Errorf("client got %q, %v", got, err)
	}
	if e := <-end; e != (ended{0, 4, nil}) {
		t.Errorf("ended %+v", e)
	}
}

func TestTheEndOfTheContextClosesBothSides(t *testing.T) {
	why := errors.New("draining")
	ctx, cancel := context.WithCancelCause(t.Context())
	client, upstream, end := through(t, ctx, func(tun *tunnel) { tun.idle = time.Hour })
	client.Write([]byte("x"))
	io.ReadFull(upstream, make([]byte, 1))
	cancel(why)
	if e := <-end; !errors.Is(e.err, why) || e.up != 1 {
		t.Errorf("ended %+v", e)
	}
	for _, c := range []net.Conn{client, upstream} {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a side is open")
		}
	}
}

func TestAResetOnOneSideEndsTheOther(t *testing.T) {
	client, upstream, end := through(t, t.Context(), nil)
	upstream.SetLinger(0)
	upstream.Close()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client's side is open")
	}
	client.Close()
	<-end
}

func TestASilentTunnelEndsAndABusyOneDoesNot(t *testing.T) {
	for _, c := range []struct {
		name  string
		idle  time.Duration
		every time.Duration // a byte is sent; 0: never
		from  string
		least time.Duration
		most  time.Duration
	}{
		{"nothing moves", time.Minute, 0, "", time.Minute, 90 * time.Second},
		{"the client sends", time.Minute, 59 * time.Second, "client", 11 * time.Minute, 12 * time.Minute},
		{"the upstream sends", time.Minute, 59 * time.Second, "upstream", 11 * time.Minute, 12 * time.Minute},
		{"for ever", 0, 10 * time.Hour, "client", 110 * time.Hour, 110 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, inner := net.Pipe()
				outer, upstream := net.Pipe()
				tun := &tunnel{client: inner, upstream: outer, idle: c.idle}
				from, to := client, upstream
				if c.from == "upstream" {
					from, to = upstream, client
				}
				began := time.Now()
				var sent int64
				over := make(chan struct{})
				go func() {
					defer close(over)
					for range 10 {
						if c.every == 0 {
							return
						}
						time.Sleep(c.every)
						if _, err := from.Write([]byte{1}); err != nil {
							return
						}
						sent++
					}
					if c.idle == 0 {
						time.Sleep(c.every)
						from.Close()
					}
				}()
				go io.Copy(io.Discard, to)
				up, down, err := tun.run(t.Context())
				took := time.Since(began)
				<-over
				if c.idle > 0 && !errors.Is(err, errTunnelIdle) {
					t.Errorf("ended with %v", err)
				}
				if c.every > 0 && (sent != 10 || up+down != 10) {
					t.Errorf("sent %d, up %d, down %d", sent, up, down)
				}
				if took < c.least || took > c.most {
					t.Errorf("took %v, want %v to %v", took, c.least, c.most)
				}
				client.Close()
				upstream.Close()
			})
		})
	}
}

func TestASilentSplicedTunnelEnds(t *testing.T) {
	client, upstream, end := through(t, t.Context(), func(tun *tunnel) { tun.idle = 100 * time.Millisecond })
	client.Write([]byte("ping"))
	io.ReadFull(upstream, make([]byte, 4))
	began := time.Now()
	if e := <-end; !errors.Is(e.err, errTunnelIdle) || e.up != 4 {
		t.Errorf("ended %+v", e)
	}
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("took only %v", took)
	}
}

func TestTunnelsLeaveNothingBehind(t *testing.T) {
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for n := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		client, inner := tcpPair(t)
		outer, upstream := tcpPair(t)
		tun := &tunnel{client: inner, upstream: outer, idle: time.Hour, allow: func(hello) error { return nil }}
		end := make(chan struct{})
		go func() { tun.run(ctx); close(end) }()
		client.Write([]byte("x"))
		io.ReadFull(upstream, make([]byte, 1))
		switch n % 3 { // the ways a tunnel ends
		case 0:
			cancel()
		case 1:
			client.Close()
			upstream.Close()
		case 2:
			upstream.SetLinger(0)
			upstream.Close()
			client.Close()
		}
		<-end
		client.Close()
		upstream.Close()
		cancel()
	}
	// A goroutine that has sent its last word may need a moment to be gone.
	for wait := time.Now(); runtime.NumGoroutine() > goroutines && time.Since(wait) < 5*time.Second; {
		runtime.Gosched()
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
	// The pipes of splice are kept in a pool until the next collection or two.
	for range 3 {
		runtime.GC()
	}
	if now := openFiles(t); now > files+8 {
		t.Errorf("%d open files, %d before", now, files)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0 // not Linux: only the goroutines are counted
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// BenchmarkTunnel is a tunnel's throughput beside that of two bare io.Copy.
func BenchmarkTunnel(b *testing.B) {
	chunk := noise(1 << 20)
	for _, c := range []struct {
		name string
		idle time.Duration
		run  func(t *tunnel)
	}{
		{"bare", 0, func(t *tunnel) {
			done := make(chan struct{})
			go func() { io.Copy(t.upstream, t.client); close(done) }()
			io.Copy(t.client, t.upstream)
			t.client.Close()
			t.upstream.Close()
			<-done
		}},
		{"tunnel", 10 * time.Minute, func(t *tunnel) { t.run(context.Background()) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			client, inner := tcpPair(b)
			outer, upstream := tcpPair(b)
			done := make(chan struct{})
			go func() {
				c.run(&tunnel{client: inner, upstream: outer, idle: c.idle})
				close(done)
			}()
			go io.Copy(io.Discard, client)
			b.SetBytes(int64(len(chunk)))
			for b.Loop() {
				if _, err := upstream.Write(chunk); err != nil {
					b.Fatal(err)
				}
			}
			upstream.Close()
			client.Close()
			<-done
		})
	}
}
