package proxy_test

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// A Go program can govern its own http.Client, with no proxy at all.
func ExampleEnforcer() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "delivered")
	}))
	defer service.Close()

	set, err := rules.LoadFS(fstest.MapFS{"quotagate.yaml": {Data: []byte(`
version: 1
defaults: {unknown_account: shared, wait: 0s}
services: {chat: {hosts: [127.0.0.1]}}
messages:
  - {name: chat.message, match: {host: 127.0.0.1, method: POST, path: /send}}
limits:
  - {name: chat.day, on: chat.message, allow: 2, per: day}
`)}}, []string{"quotagate.yaml"}, rules.Options{Hash: func(kind, value string) string { return kind + value }})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: &proxy.Enforcer{
		Rules:  func() *rules.Set { return set },
		Ledger: ratelimit.NewMemory(ratelimit.Options{}),
	}}
	for range 3 {
		resp, err := client.Post(service.URL+"/send", "text/plain", strings.NewReader("hello"))
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("Quotagate-Decision"), "by", cmp.Or(resp.Header.Get("Quotagate-Limit"), "nobody"))
	}
	// Output:
	// 200 forward by nobody
	// 200 forward by nobody
	// 429 reject by chat.day
}
