package main

// This file reads what a running quotagate tells of itself: its memory, how many
// requests it holds, and when each was due.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// memory is in bytes.
type memory struct{ rss, heap, stacks, held int64 }

func (p *heldPlan) memory() (m memory, err error) {
	resp, err := http.Get("http://" + p.q.admin + "/metrics")
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	wanted := map[string]*int64{
		"process_resident_memory_bytes": &m.rss,
		"go_memstats_heap_inuse_bytes":  &m.heap,
		"go_memstats_stack_inuse_bytes": &m.stacks,
		"quotagate_held":                &m.held,
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := wanted[name]; to != nil {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return m, fmt.Errorf("read %s: %w", name, err)
			}
			*to = int64(n)
			delete(wanted, name)
		}
	}
	if len(wanted) > 0 {
		return m, fmt.Errorf("the metrics lack %v", wanted)
	}
	return m, nil
}

// slots are when each request that was held was due, by its id.
func (q *quotagate) slots() (map[string]time.Time, error) {
	files, err := filepath.Glob(filepath.Join(q.data, "log", "decisions*.jsonl"))
	if err != nil {
		return nil, err
	}
	slots := map[string]time.Time{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var r struct {
				ID, Decision string
				RetryAt      time.Time `json:"retry_at"`
			}
			if json.Unmarshal(lines.Bytes(), &r) == nil && r.Decision == "hold" {
				slots[r.ID] = r.RetryAt
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return slots, nil
}
