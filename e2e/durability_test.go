package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestNoRequestLeavesBeforeItsReservationIsOnDisk shows it by system calls.
// A client sends one message after the other; between the first byte of a
// request that the proxy reads and the first byte that it writes to the
// service, the ledger's journal is written and synced, and the sync has
// returned. What goes to the database is written behind the request's back and
// proves nothing.
func TestNoRequestLeavesBeforeItsReservationIsOnDisk(t *testing.T) {
	t.Parallel()
	need(t, "strace")
	const messages = 10
	s := newService(t)
	trace := filepath.Join(t.TempDir(), "trace")
	g := start(t, s, setup{
		rules: rulesWith(listed("anna"), limits(`{name: many, on: linkedin.message, allow: 1000, per: day}`)),
		// With -D the process that this test started is quotagate itself,
		// and strace its grandchild: signals go to the right one.
		watched: []string{"strace", "-D", "-f", "-q", "-yy", "-s", "16", "-o", trace, "-e", "signal=none",
			"-e", "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync"},
	})
	client := g.byHand().client(t, false)
	for n := range messages {
		if a := do(client, encode(t, viaVoyager.nth("anna", n+1))); a.Status != http.StatusOK {
			t.Fatalf("message %d: %+v", n+1, a)
		}
		settled(t, trace)
	}
	g.stop(t)

	lines := readLines(t, trace)
	steps, err := steps(lines, g.listen, s.secure, g.data)
	if err != nil {
		t.Fatal(err)
	}
	if got := covered(steps); got.sent != messages || len(got.faults) > 0 {
		t.Errorf("%d requests left, want %d; %q", got.sent, messages, got.faults)
	}

	// The check would see it: without the syncs, and with the last of them
	// after the request, the same trace is found wanting.
	without := slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return s.what == synced })
	if got := covered(without); len(got.faults) != messages {
		t.Errorf("without any sync, %d of %d requests are found fault with", len(got.faults), messages)
	}
	late := slices.Clone(steps)
	for i := 1; i < len(late); i++ {
		if late[i].what == sent && late[i-1].what == synced {
			late[i], late[i-1] = late[i-1], late[i]
		}
	}
	if got := covered(late); len(got.faults) == 0 {
		t.Error("with the syncs after the requests, nothing is found fault with")
	}
}

// settled waits until the proxy has nothing more to write down: what follows
// in the trace then belongs to the next message.
func settled(t *testing.T, trace string) {
	t.Helper()
	size, since := int64(-1), time.Now()
	eventually(t, 20*time.Second, "the trace comes to rest", func() bool {
		info, err := os.Stat(trace)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() != size {
			size, since = info.Size(), time.Now()
		}
		return time.Since(since) > 250*time.Millisecond
	})
}

func readLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
}

// what happened at a step.
type what int

const (
	received what = iota + 1 // bytes of a client were read
	written                  // the ledger's journal was written
	synced                   // a sync of the ledger's journal has returned
	sent                     // bytes for the service are about to be written
	answered                 // bytes of the service were read
)

type step struct {
	what what
	line string
}

// steps are the system calls of a trace that matter here, each at the time at
// which it counts: a read or a sync when it has returned, a write to the
// service when it begins.
//
// A call that another thread interrupts in the trace has two lines,
// `… <unfinished ...>` and `<... name resumed> … = result`.
func steps(lines []string, proxy, service, data string) ([]step, error) {
	_, listenPort, err := net.SplitHostPort(proxy)
	if err != nil {
		return nil, err
	}
	var all []step
	open := make(map[string]string) // by thread: the beginning of its unfinished call
	for _, line := range lines {
		thread, rest, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		call, begins, ends := rest, true, true
		if head, unfinished := strings.CutSuffix(rest, " <unfinished ...>"); unfinished {
			open[thread] = head
			call, ends = head, false
		} else if strings.HasPrefix(rest, "<... ") {
			_, tail, _ := strings.Cut(rest, " resumed>")
			call, begins = open[thread]+tail, false
			delete(open, thread)
		}
		name, args, ok := strings.Cut(call, "(")
		if !ok {
			continue
		}
		// The descriptor, as -yy prints it: 7<TCP:[127.0.0.1:40000->127.0.0.1:50000]>.
		_, on, _ := strings.Cut(args, "<")
		on, _, _ = strings.Cut(on, ">,")
		local, peer, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(on, "TCP:["), "]"), "->")
		succeeded := ends && !strings.Contains(call, " = -1 ") && !strings.HasSuffix(call, "= ?")
		nothing := strings.HasSuffix(call, " = 0")
		// A call with this one argument has no comma behind the descriptor.
		file, _, _ := strings.Cut(on, ">)")
		ledger := file == data+"/ledger.db.journal"
		switch name {
		case "read", "readv", "recvfrom", "recvmsg":
			if !succeeded || nothing {
				continue
			}
			if strings.HasSuffix(local, ":"+listenPort) {
				all = append(all, step{received, line})
			} else if peer == service {
				all = append(all, step{answered, line})
			}
		case "write", "writev", "sendto", "sendmsg":
			if begins && peer == service {
				all = append(all, step{sent, line})
			}
			if succeeded && ledger {
				all = append(all, step{written, line})
			}
		case "pwrite64", "pwritev":
			if succeeded && ledger {
				all = append(all, step{written, line})
			}
		case "fsync", "fdatasync":
			if succeeded && ledger {
				all = append(all, step{synced, line})
			}
		}
	}
	return all, nil
}

// coverage is what covered found.
type coverage struct {
	sent   int      // requests that left
	faults []string // one for each that left too early
}

// covered goes through the steps of a sequential client. A request begins
// with the first bytes from the client after an answer of the service, and
// leaves with the first bytes for the service after that. In between, the
// journal must have been written, and synced after that.
func covered(steps []step) coverage {
	var c coverage
	var writes, syncs int
	waiting := false // a request has begun and has not left
	quiet := true    // no bytes of a client since the last answer
	dirty := false   // written since the last sync
	for _, s := range steps {
		switch s.what {
		case received:
			if quiet {
				quiet, waiting = false, true
				writes, syncs, dirty = 0, 0, false
			}
		case written:
			writes++
			dirty = true
		case synced:
			if dirty {
				syncs++
			}
			dirty = false
		case sent:
			if !waiting {
				continue
			}
			waiting = false
			c.sent++
			if dirty || syncs < 1 {
				c.faults = append(c.faults, fmt.Sprintf("request %d left after %d writes and %d syncs of the journal: %s", c.sent, writes, syncs, s.line))
			}
		case answered:
			quiet = true
		}
	}
	return c
}

func TestATraceIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	const listen, service, data = "127.0.0.1:8080", "127.0.0.1:9443", "/tmp/data"
	client := `7<TCP:[127.0.0.1:8080->127.0.0.1:40000]>`
	up := `9<TCP:[127.0.0.1:50000->127.0.0.1:9443]>`
	journal, database := `5</tmp/data/ledger.db.journal>`, `4</tmp/data/ledger.db>`
	good := []string{
		`100 read(` + client + `, "GET"..., 4096) = 300`,
		`101 pwrite64(` + journal + `, "\1\2"..., 300, 4096) = 300`,
		`101 fdatasync(` + journal + ` <unfinished ...>`,
		`100 read(` + client + `, 0xc000, 4096) = -1 EAGAIN (Resource temporarily unavailable)`,
		`101 <... fdatasync resumed>)            = 0`,
		`102 write(6</tmp/data/log/decisions.jsonl>, "{}"..., 10) = 10`,
		`100 write(` + up + `, "\27\3\3"..., 400) = 400`,
		`100 read(` + up + `, "\27\3\3"..., 4096) = 200`,
	}
	whole := replaced(slices.Delete(slices.Clone(good), 4, 5), 2, `101 fdatasync(`+journal+`)           = 0`)
	inDatabase := []string{
		`103 pwrite64(` + database + `, "\1\2"..., 4096, 8192) = 4096`,
		`103 fdatasync(` + database + `)           = 0`,
	}
	for _, c := range []struct {
		name         string
		lines        []string
		sent, faults int
	}{
		{"as it must be", good, 1, 0},
		{"as it must be, in one line", whole, 1, 0},
		{"nothing written", slices.Delete(slices.Clone(whole), 1, 2), 1, 1},
		{"written after the sync", slices.Insert(slices.Delete(slices.Clone(whole), 1, 2), 2, whole[1]), 1, 1},
		{"written again after the sync", slices.Insert(slices.Clone(whole), 3, whole[1]), 1, 1},
		{"the sync is still under way", slices.Insert(slices.Delete(slices.Clone(good), 4, 5), 6, good[4]), 1, 1},
		{"a sync that failed", replaced(whole, 2, `101 fdatasync(`+journal+`) = -1 EIO (Input/output error)`), 1, 1},
		{"a sync that had not returned", replaced(good, 4, `100 read(`+client+`, "x"..., 4096) = 1`), 1, 1},
		{"a sync of another file", replaced(whole, 2, `101 fdatasync(6</tmp/data/log/decisions.jsonl>) = 0`), 1, 1},
		{"a sync of the database", slices.Concat(whole[:1], inDatabase, whole[3:]), 1, 1},
		{"the database beside the journal", slices.Concat(whole[:1], inDatabase, whole[1:]), 1, 0},
		{"two requests, one record", slices.Concat(good, good[:1], good[6:]), 2, 1},
		{"two requests, two records", slices.Concat(good, good), 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := steps(c.lines, listen, service, data)
			if err != nil {
				t.Fatal(err)
			}
			if got := covered(s); got.sent != c.sent || len(got.faults) != c.faults {
				t.Errorf("%d left, faults %q; want %d, %d", got.sent, got.faults, c.sent, c.faults)
			}
		})
	}
}

func replaced(lines []string, i int, line string) []string {
	lines = slices.Clone(lines)
	lines[i] = line
	return lines
}
