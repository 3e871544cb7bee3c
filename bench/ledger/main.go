// Command ledger measures the ledger: the Redis store beside redis_rate,
// envoyproxy/ratelimit's limiter and an empty script on one redis-server, the
// embedded store beside the file system below it, and how late held messages
// leave. It prints tables, each figure with its bar.
//
//	go run ./ledger                 all parts, some minutes
//	go run ./ledger -part redis     one of: redis, embedded, holds
//
// Each part is a process of its own, so that none pays for another's memory.
// It needs Linux (/proc) and, for the first part, redis-server.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

type plan struct {
	dir      string
	rounds   int
	each     time.Duration
	accounts int
	many     int
	holds    int
	profile  string
}

// parts are measured in this order; each reports whether its bars were met.
var parts = []struct {
	name string
	run  func(ctx context.Context, p *plan, out io.Writer) (met bool, err error)
}{
	{"redis", runRedis},
	{"embedded", runEmbedded},
	{"holds", runHolds},
}

func main() {
	var p plan
	part := flag.String("part", "", "measure only this `part`")
	flag.StringVar(&p.dir, "dir", "../.cache", "where the files lie: on a real disk, for the stores to sync to")
	flag.IntVar(&p.rounds, "rounds", 5, "rounds; each measures everybody once")
	flag.DurationVar(&p.each, "each", time.Second, "time for one of them in one round")
	flag.IntVar(&p.accounts, "accounts", 1000, "accounts in Redis")
	flag.IntVar(&p.many, "many", 1_000_000, "accounts in the embedded store")
	flag.IntVar(&p.holds, "holds", 10_000, "messages held at once")
	flag.StringVar(&p.profile, "profile", "", "write a CPU profile of the embedded store's callers to this `file`")
	strict := flag.Bool("strict", false, "end with 1 if a bar is missed")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	met, err := p.run(ctx, *part)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ledger: error: %v\n", err)
		os.Exit(1)
	}
	if *strict && !met {
		os.Exit(3)
	}
}

func (p *plan) run(ctx context.Context, part string) (met bool, err error) {
	met = true
	known := false
	for _, this := range parts {
		switch part {
		case this.name:
			if err := os.MkdirAll(p.dir, 0o755); err != nil {
				return false, err
			}
			return this.run(ctx, p, os.Stdout)
		case "":
			known = true
			ok, err := again(ctx, this.name)
			if err != nil {
				return false, fmt.Errorf("%s: %w", this.name, err)
			}
			met = met && ok
		}
	}
	if !known {
		return false, fmt.Errorf("there is no part %q", part)
	}
	return met, nil
}

// again runs one part in a process of its own.
func again(ctx context.Context, part string) (met bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	cmd := exec.CommandContext(ctx, self, append(os.Args[1:], "-part", part, "-strict")...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err = cmd.Run()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 3 {
		return false, nil
	}
	return err == nil, err
}
