package main

// This file starts quotagate as it is measured: every request governed by
// three limits, the decision log on, nothing tuned.

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// rules never refuse anything here; they are asked all the same.
const rules = `version: 1
use: [slack]
defaults: {timezone: Europe/Berlin}
limits:
  - {name: bench.day, on: slack.message, allow: 1000000000, per: day}
  - {name: bench.week, on: slack.message, allow: 1000000000, per: week}
  - {name: bench.month, on: slack.message, allow: 1000000000, per: month}
`

// A quotagate is a running one.
type quotagate struct {
	*process
	addr, admin, data string
	store             string
}

// startQuotagate starts program with the given store; its data lies in
// dir/NAME, and upstreams are where CONNECT leads in truth.
func startQuotagate(ctx context.Context, program, dir, name, store, upstream, source string) (*quotagate, error) {
	return startQuotagateWith(ctx, program, dir, name, store, upstream, source, rules)
}

// startQuotagateWith starts it with other rules, and with variables.
func startQuotagateWith(ctx context.Context, program, dir, name, store, upstream, source, rules string, variables ...string) (*quotagate, error) {
	q := &quotagate{data: filepath.Join(dir, name), store: store}
	rulesFile := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(rulesFile, []byte(rules), 0o600); err != nil {
		return nil, err
	}
	var err error
	if q.addr, err = freeAddr(); err != nil {
		return nil, err
	}
	if q.admin, err = freeAddr(); err != nil {
		return nil, err
	}
	q.process, err = start(dir, name, program,
		[]string{"run", "--rules", rulesFile, "--listen", q.addr, "--admin", q.admin, "--data", q.data, "--store", store},
		append([]string{
			fmt.Sprintf("QUOTAGATE_CONNECT_TO=%s:443=%s,%s:443=%s", serviceHost, upstream, freeHost, source),
			"QUOTAGATE_UPSTREAM_CA=" + certFile(dir, "ca"),
			"QUOTAGATE_ALLOW_ADDRESSES=127.0.0.0/8",
		}, variables...), nil)
	if err != nil {
		return nil, err
	}
	if err := q.answering(ctx, q.addr); err != nil {
		q.stop()
		return nil, err
	}
	return q, nil
}

// logged counts the lines of the decision log, those of rotated files too.
func (q *quotagate) logged() (int, error) {
	files, err := filepath.Glob(filepath.Join(q.data, "log", "decisions*.jsonl"))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		n += bytes.Count(data, []byte{'\n'})
	}
	return n, nil
}
