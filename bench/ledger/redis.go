package main

// This file puts the Redis store beside what else counts in Redis: everybody
// on the same server, with the same limits and accounts, in turn, round after
// round.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"quotagate/ratelimit"
)

// The bars: ours against each of the others, in reservations a second, and the
// time that the server spends on one of ours.
const (
	barRate   = 2.0  // redis_rate, once for each of 8 limits
	barEnvoy  = 0.4  // envoyproxy/ratelimit at 4: a pipeline of counters, neither atomic nor refundable
	barEmpty  = 0.25 // an empty script at 4
	barScript = 60 * time.Microsecond
)

// A contestant takes from the first n limits of an account.
type contestant struct {
	name string
	take func(ctx context.Context, account string, n int) error
}

const (
	ours  = "quotagate, Redis store"
	rate  = "redis_rate, once a limit"
	peer  = "envoyproxy/ratelimit"
	empty = "an empty script"
)

func runRedis(ctx context.Context, p *plan, out io.Writer) (met bool, err error) {
	met = true
	dir, err := os.MkdirTemp(p.dir, "ledger-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, aof := range []bool{true, false} {
		if err := compare(ctx, p, out, dir, aof, &met); err != nil {
			return false, err
		}
	}
	return met, nil
}

func contestants(ctx context.Context, addr string, callers int) (all []contestant, closeAll func(), err error) {
	store, err := ratelimit.OpenRedis(ctx, "redis://"+addr, ratelimit.RedisOptions{KeyID: "bench"})
	if err != nil {
		return nil, nil, err
	}
	client := redis.NewClient(&redis.Options{Addr: addr})
	limiter := redis_rate.NewLimiter(client)
	script := redis.NewScript("return 1")
	if err := script.Load(ctx, client).Err(); err != nil {
		return nil, nil, err
	}
	// Its default of 10 connections was slower than one for each caller.
	gate, err := newEnvoy(addr, callers)
	if err != nil {
		return nil, nil, err
	}
	w := &writer{store: store}
	now := time.Now()
	return []contestant{
			{ours, func(ctx context.Context, account string, n int) error {
				return w.sendTo(ctx, account, claims(n, now))
			}},
			{rate, func(ctx context.Context, account string, n int) error {
				for i := range n {
					r, err := limiter.Allow(ctx, account+":"+limitNames[i], redis_rate.Limit{Rate: 1_000_000, Burst: 1_000_000, Period: time.Hour})
					if err != nil {
						return err
					}
					if r.Allowed == 0 {
						return errors.New("redis_rate refused")
					}
				}
				return nil
			}},
			{peer, gate.take},
			{empty, func(ctx context.Context, account string, _ int) error {
				return script.EvalSha(ctx, client, []string{"{" + account + "}"}).Err()
			}},
		}, func() {
			store.Close()
			client.Close()
			gate.Close()
		}, nil
}

// A cell is one number of callers and limits.
type cell struct{ callers, limits int }

type figures struct {
	rounds []sample
	server []float64 // seconds of the server for one reservation
}

func (f *figures) rates() []float64 {
	v := make([]float64, len(f.rounds))
	for i := range v {
		v[i] = f.rounds[i].perSec
	}
	return v
}

func compare(ctx context.Context, p *plan, out io.Writer, dir string, aof bool, met *bool) error {
	s, err := startServer(ctx, dir, aof)
	if err != nil {
		return err
	}
	defer s.stop()
	log := "appendonly yes, everysec"
	if !aof {
		log = "no append-only file"
	}
	fmt.Fprintf(out, "\nredis-server %s on loopback, %s, %d accounts in turn, %d rounds of %v, %d CPUs\n\n",
		s.version(ctx), log, p.accounts, p.rounds, p.each, runtime.NumCPU())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "medians of the rounds\tcallers\tlimits\treservations/s\tp50\tp99\tserver\tours to it\tbar\t")
	cells := []cell{{1, 8}, {32, 1}, {32, 4}, {32, 8}, {64, 1}, {64, 4}, {64, 8}}
	for _, c := range cells {
		if err := p.compareAt(ctx, w, s, c, met); err != nil {
			return fmt.Errorf("%d callers, %d limits: %w", c.callers, c.limits, err)
		}
	}
	return w.Flush()
}

func (p *plan) compareAt(ctx context.Context, w io.Writer, s *server, c cell, met *bool) error {
	all, closeAll, err := contestants(ctx, s.addr, c.callers)
	if err != nil {
		return err
	}
	defer closeAll()
	found := make(map[string]*figures, len(all))
	for round := range p.rounds + 1 {
		for i := range all {
			who := all[(i+round)%len(all)] // nobody is always first
			if _, err := s.spent(ctx); err != nil {
				return err
			}
			r, err := load(ctx, c.callers, p.each, func(ctx context.Context, n int) error {
				return who.take(ctx, "account-"+strconv.Itoa(n%p.accounts), c.limits)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", who.name, err)
			}
			spent, err := s.spent(ctx)
			if err != nil {
				return err
			}
			if round == 0 { // connections, scripts, the accounts' records
				found[who.name] = &figures{}
				continue
			}
			f := found[who.name]
			f.rounds = append(f.rounds, r)
			f.server = append(f.server, spent.Seconds()/(r.perSec*p.each.Seconds()))
		}
	}
	mine := found[ours].rates()
	for _, who := range all {
		f := found[who.name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%s\t%s\t%.0f µs\t", who.name, c.callers, c.limits, percentile(f.rates(), 50),
			micros(time.Duration(median(f.rounds, func(s sample) float64 { return float64(s.p50) }))),
			micros(time.Duration(median(f.rounds, func(s sample) float64 { return float64(s.p99) }))),
			1e6*median(f.server, self))
		if who.name != ours {
			fmt.Fprintf(w, "%.2f", ratios(mine, f.rates()))
		}
		fmt.Fprintf(w, "\t%s\t\n", p.verdict(who.name, c, mine, f, met))
	}
	return nil
}

// verdict names the bar that holds for a line, if there is one.
func (p *plan) verdict(name string, c cell, mine []float64, f *figures, met *bool) string {
	against := func(least float64) string {
		return bar(ratios(mine, f.rates()) >= least, fmt.Sprintf(">= %.2f", least), met)
	}
	switch {
	case name == ours && c.callers == 1:
		// Beside many callers the server shares its CPU with them, and the
		// clock runs on while it waits for its turn.
		return bar(time.Duration(1e9*median(f.server, self)) <= barScript, "server <= "+micros(barScript), met)
	case c.callers == 1:
		return ""
	case name == rate && c.limits == 8:
		return against(barRate)
	case name == peer && c.limits == 4:
		return against(barEnvoy)
	case name == empty && c.limits == 4:
		return against(barEmpty)
	}
	return ""
}
