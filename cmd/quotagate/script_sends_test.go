package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"quotagate/proxy"
	"quotagate/proxy/admin"
	"quotagate/rules"
)

// sends COUNT METHOD URL BODY: these many requests go through the script's
// rules and ledger to a service that takes everything.
func sends(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	data := ts.Getenv("QUOTAGATE_DATA")
	c := &config{Data: data, Store: "embedded", HashKeyFile: filepath.Join(data, "hash.key")}
	ts.Check(c.makeDataDir())
	hash, err := c.openHashKey()
	ts.Check(err)
	set, err := loadRules([]string{ts.MkAbs("quotagate.yaml")}, rules.Options{Hash: hash.sum})
	ts.Check(err)
	ledger, err := openLedger(c, hash, slog.New(slog.DiscardHandler))
	ts.Check(err)
	defer ledger.Close()
	decided, err := openDecisionLog(c.Data)
	ts.Check(err)
	defer decided.close()
	e := &proxy.Enforcer{
		Rules:    func() *rules.Set { return set },
		Ledger:   ledger,
		Next:     taken{},
		Record:   func(r *proxy.Record) { decided.add(r, &admin.Recent{}) },
		Recorded: decided.wait,
	}
	for range count {
		req, err := http.NewRequest(args[1], args[2], bytes.NewReader([]byte(args[3])))
		ts.Check(err)
		resp, err := e.RoundTrip(req)
		ts.Check(err)
		ts.Check(resp.Body.Close())
	}
}

// taken is a service that takes everything.
type taken struct{}

func (taken) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: req,
		Body: io.NopCloser(strings.NewReader(`{"ok":true}`)),
	}, nil
}
