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
	c := &config{Data: ts.Getenv("QUOTAGATE_DATA"), Store: "embedded"}
	ts.Check(c.makeDataDir())
	hash, err := openHashKey(filepath.Join(c.Data, "hash.key"))
	ts.Check(err)
	set, err := loadRules([]string{ts.MkAbs("quotagate.yaml")}, rules.Options{Hash: hash.sum})
	ts.Check(err)
	ledger, err := openLedger(c, slog.New(slog.DiscardHandler), nil)
	ts.Check(err)
	defer ledger.Close()
	decided, err := openDecisionLog(c.Data)
	ts.Check(err)
	defer decided.close()
	e := &proxy.Enforcer{
		Rules:  func() *rules.Set { return set },
		Ledger: ledger,
		Next:   taken{},
		Record: func(r *proxy.Record) { decided.write(r, &admin.Recent{}) },
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
