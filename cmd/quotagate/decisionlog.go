package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"gopkg.in/natefinch/lumberjack.v2"

	"quotagate/proxy"
	"quotagate/proxy/admin"
)

// A decisionLog is DATA/log/decisions.jsonl: one line per message, written
// before the answer's last byte, rotated.
type decisionLog struct {
	mu  sync.Mutex
	out *lumberjack.Logger
	buf []byte
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
	return &decisionLog{out: &lumberjack.Logger{Filename: name, MaxSize: logMegabytes, MaxBackups: logBackups}}, nil
}

// write appends the record's lines and shows them to whoever follows.
func (l *decisionLog) write(r *proxy.Record, recent *admin.Recent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = r.AppendJSON(l.buf[:0])
	// The ledger, not the log, is what must not be lost: a full disk must
	// not turn an answer that is already decided into an error.
	_, _ = l.out.Write(l.buf)
	recent.Add(r, l.buf)
}

func (l *decisionLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Close()
}
