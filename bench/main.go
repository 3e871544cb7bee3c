// Command bench puts quotagate beside goproxy's bare MITM loop and beside no
// proxy at all, on loopback, each in a process of its own, and prints what a
// request costs. It needs Linux, for the processes' CPU times in /proc.
//
//	go run . -quotagate ../bin/quotagate          HTTP/1.1 on both sides
//	go run . -quotagate ../bin/quotagate -h2      HTTP/2 on both sides
//	go run . held -quotagate ../bin/quotagate     10,000 idle connections, and as many held messages
//
// It starts itself again as the upstream, as goproxy and as a bare TCP relay.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// roles are what a process of ours is when its first argument names it. Each
// listens on loopback, says where on standard output, and serves until its
// standard input ends.
var roles = map[string]func(args []string) (addr string, err error){
	"upstream": runUpstream,
	"goproxy":  runGoproxy,
	"relay":    runRelay,
}

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			addr, err := role(os.Args[2:])
			if err != nil {
				fmt.Fprintf(os.Stderr, "bench %s: %v\n", os.Args[1], err)
				os.Exit(1)
			}
			fmt.Println(addr)
			io.Copy(io.Discard, bufio.NewReader(os.Stdin))
			return
		}
	}

	if len(os.Args) > 1 && os.Args[1] == "held" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
		status := runHeld(ctx, os.Args[2:], os.Stdout)
		stop()
		os.Exit(status)
	}

	var p plan
	flag.StringVar(&p.quotagate, "quotagate", "", "the `program` to measure; without it only direct and goproxy are")
	flag.StringVar(&p.dir, "dir", "../.cache", "where the data directories lie: on a real disk, for the embedded store to sync to")
	flag.IntVar(&p.rounds, "rounds", 5, "rounds; each measures every proxy once")
	flag.DurationVar(&p.each, "each", 4*time.Second, "time for one proxy in one round")
	flag.IntVar(&p.connections, "connections", 32, "connections, each with one request in flight and an account of its own")
	flag.BoolVar(&p.h2, "h2", false, "HTTP/2 from the client and to the upstream")
	flag.StringVar(&p.profile, "profile", "", "write CPU profiles of quotagate, one for each store, to this `directory`; the figures then include the profiling")
	strict := flag.Bool("strict", false, "end with 1 if a bar is missed")
	flag.Parse()

	// SIGPIPE, too, ends it in order: `go run . | head` must leave no process.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	met, err := p.run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
	if *strict && !met {
		os.Exit(1)
	}
}
