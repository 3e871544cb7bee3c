package main

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"
)

type redisKey struct{}

// A server is the Redis of a script.
type server struct{ *miniredis.Miniredis }

// redis PASSWORD starts a Redis and makes it the store; redis forget empties it,
// and redis stop ends it.
func redis(ts *testscript.TestScript, _ bool, args []string) {
	running := ts.Value(redisKey{}).(*server)
	switch args[0] {
	case "stop":
		running.Close()
		return
	case "forget":
		running.FlushAll()
		return
	}
	m := miniredis.NewMiniRedis()
	m.RequireAuth(args[0])
	ts.Check(m.Start())
	ts.Defer(m.Close)
	ts.Setenv("REDIS", m.Addr())
	ts.Setenv("QUOTAGATE_STORE", "redis://:"+args[0]+"@"+m.Addr()+"/0?read_timeout=10s") // this machine may be busy
	running.Miniredis = m
}

// curl PATH [TEXT] prints what the admin interface has there, once it has TEXT.
func curl(ts *testscript.TestScript, _ bool, args []string) {
	want := ""
	if len(args) > 1 {
		want = args[1]
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get("http://" + ts.Getenv("QUOTAGATE_ADMIN") + args[0])
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if strings.Contains(string(body), want) {
			_, err = ts.Stdout().Write(body)
			ts.Check(err)
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s has no %q: %s", args[0], want, body)
		}
	}
}

// secret WORD DIR... fails if a file has the word.
func secret(ts *testscript.TestScript, _ bool, args []string) {
	for _, dir := range args[1:] {
		ts.Check(filepath.WalkDir(ts.MkAbs(dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(args[0])) {
				ts.Fatalf("%s has %q", path, args[0])
			}
			return err
		}))
	}
}
