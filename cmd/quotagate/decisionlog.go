package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"

	"quotagate/proxy"
	"quotagate/proxy/admin"
)

// A decisionLog is DATA/log/decisions.jsonl: one line per message, written
// before the answer's last byte, rotated. Lines that come while others are
// being written leave together.
type decisionLog struct {
	out *lumberjack.Logger

	mu      sync.Mutex
	lines   []byte // to be written
	spare   []byte
	added   uint64 // records
	done    uint64 // of them, those that are written
	writing bool
	written sync.Cond // done has grown
}

// The decision log's rotation: a line is about 500 bytes, so a file holds some
// 200,000 messages.
const (
	logMegabytes = 100
	logBackups   = 10
)

func decisionLogFile(data string) string { return filepath.Join(data, "log", "decisions.jsonl") }

func openDecisionLog(data string) (*decisionLog, error) {
	name := decisionLogFile(data)
	// Opened once here so that a log that cannot be written stops the start
	// and not the first message.
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the decision log: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the decision log: %w", err)
	}
	l := &decisionLog{out: &lumberjack.Logger{Filename: name, MaxSize: logMegabytes, MaxBackups: logBackups}}
	l.written.L = &l.mu
	return l, nil
}

// add takes the record's lines, to be written at once, and shows them to
// whoever follows.
func (l *decisionLog) add(r *proxy.Record, recent *admin.Recent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.lines)
	l.lines = r.AppendJSON(l.lines)
	recent.Add(r, l.lines[before:])
	l.added++
	if !l.writing {
		l.writing = true
		go l.write()
	}
}

// write writes until there is nothing more.
func (l *decisionLog) write() {
	runtime.Gosched() // whoever is about to add a line does
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.lines) > 0 {
		lines, added := l.lines, l.added
		l.lines = l.spare[:0]
		l.mu.Unlock()
		// The ledger, not the log, is what must not be lost: a full disk must
		// not turn an answer that is already decided into an error.
		_, _ = l.out.Write(lines)
		l.mu.Lock()
		if l.spare = lines; cap(lines) > mostSpare {
			l.spare = nil
		}
		l.done = added
		l.written.Broadcast()
	}
	l.writing = false
}

// mostSpare is the largest buffer that is kept for the next lines.
const mostSpare = 64 << 10

// wait returns when all that was added is written.
func (l *decisionLog) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for mine := l.added; l.done < mine; {
		l.written.Wait()
	}
}

func (l *decisionLog) close() error {
	l.wait()
	return l.out.Close()
}
