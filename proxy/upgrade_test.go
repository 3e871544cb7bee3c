package proxy

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Ten words, each within the idle time of the last, and all of them beyond it;
// and then silence.
func TestABusyWebSocketStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const idle = time.Minute
		client, inner := net.Pipe()
		outer, service := net.Pipe()
		w := &webSocket{client: inner, early: strings.NewReader(""), service: outer, idle: idle}
		began := time.Now()
		ended := make(chan bool)
		go func() { ended <- w.run() }()
		word := make([]byte, 4)
		from, to := client, service
		for i := range 10 {
			<-time.After(idle - time.Second)
			go io.WriteString(from, "word")
			if _, err := io.ReadFull(to, word); err != nil || string(word) != "word" {
				t.Fatalf("word %d: %q %v", i, word, err)
			}
			from, to = to, from
		}
		go io.Copy(io.Discard, client)
		go io.Copy(io.Discard, service)
		if idled := <-ended; !idled {
			t.Error("it did not end for idleness")
		}
		if took, want := time.Since(began), 11*idle-10*time.Second; took != want {
			t.Errorf("it ended after %v, want %v", took, want)
		}
		client.Close()
		service.Close()
	})
}
