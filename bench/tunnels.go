package main

// This file compares tunnels of an untouched host with a bare relay.

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// tunnels measures an untouched host through quotagate and through a relay.
func (p *plan) tunnels(ctx context.Context, out io.Writer, dir, source string, q *quotagate) (met bool) {
	met = true
	fail := func(err error) bool {
		fmt.Fprintf(out, "\ntunnel: error: %v\n", err)
		return false
	}
	relay, relayAddr, err := role(dir, "relay", source)
	if err != nil {
		return fail(err)
	}
	defer relay.stop()
	type way struct {
		name    string
		process *process
		addr    string
		proxy   bool
		speed   map[byte][]float64 // bytes a second
		cpu     map[byte][]float64 // seconds a byte
	}
	ways := []*way{
		{name: "bare relay", process: relay, addr: relayAddr},
		{name: "quotagate, untouched host", process: q.process, addr: q.addr, proxy: true},
	}
	directions := []struct {
		what byte
		name string
	}{{'D', "down"}, {'U', "up"}}
	// More and shorter rounds than for requests: nothing has to warm up.
	rounds, each := 2*p.rounds, min(p.each, 1500*time.Millisecond)
	for round := range rounds {
		for i := range ways {
			t := ways[(i+round)%len(ways)] // nobody is always first
			if t.speed == nil {
				t.speed, t.cpu = map[byte][]float64{}, map[byte][]float64{}
			}
			for _, d := range directions {
				s, err := openStream(t.addr, t.proxy)
				if err != nil {
					return fail(err)
				}
				before, err := t.process.cpu()
				if err != nil {
					return fail(err)
				}
				n, took, err := s.move(ctx, d.what, each)
				s.Close()
				if err != nil {
					return fail(err)
				}
				after, err := t.process.cpu()
				if err != nil {
					return fail(err)
				}
				t.speed[d.what] = append(t.speed[d.what], float64(n)/took.Seconds())
				t.cpu[d.what] = append(t.cpu[d.what], (after-before).Seconds()/float64(n))
			}
		}
	}
	fmt.Fprintf(out, "\none tunnel, %d rounds of %v each\n\n", rounds, each)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "medians of the rounds\tMB/s\tCPU/GB\tof the relay's MB/s\tbar\t")
	for _, d := range directions {
		for _, t := range ways {
			ratio := medianOfRatios(t.speed[d.what], ways[0].speed[d.what])
			fmt.Fprintf(w, "%s, %s\t%.0f\t%.0f ms\t%.2f\t", t.name, d.name,
				median(t.speed[d.what], self)/1e6, median(t.cpu[d.what], self)*1e9*1e3, ratio)
			if t.proxy {
				fmt.Fprintf(w, ">= %.2f %s", barTunnel, verdict(ratio >= barTunnel, &met))
			}
			fmt.Fprint(w, "\t\n")
		}
	}
	w.Flush()
	return met
}
