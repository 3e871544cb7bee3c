package main

// This file is the course of the benchmark: everything runs at once, each is
// measured in turn, round after round, so that what the machine does besides
// falls on all alike.

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// The bars, as ratios: CPU per request against goproxy's bare loop of the same
// protocol, and the throughput of a tunnel against a bare relay.
const (
	barMemory   = 1.25
	barEmbedded = 2.3
	barMemoryH2 = 0.8
	barTunnel   = 0.95
)

type plan struct {
	quotagate, dir      string
	rounds, connections int
	each                time.Duration
	h2                  bool
	profile             string // directory for CPU profiles of quotagate; "" takes none
}

// A contestant is measured in every round.
type contestant struct {
	name    string
	load    *load
	process *process // whose CPU time counts; nil: nobody's

	samples []sample
	cpu     []float64 // seconds per request, one for each round
	sent    int
}

// run measures and prints; it reports whether all bars were met.
func (p *plan) run(ctx context.Context, out io.Writer) (met bool, err error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp(p.dir, "bench-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return false, err
	}
	protocol := "h1"
	if p.h2 {
		protocol = "h2"
	}

	ca, err := makeCA(dir, "ca")
	if err != nil {
		return false, err
	}
	if _, err := makeLeaf(dir, "upstream", ca, serviceHost); err != nil {
		return false, err
	}
	if _, err := makeCA(dir, "goproxy"); err != nil {
		return false, err
	}
	up, addrs, err := role(dir, "upstream", dir, protocol)
	if err != nil {
		return false, err
	}
	defer up.stop()
	upstream, source, _ := strings.Cut(addrs, " ")
	gp, gpAddr, err := role(dir, "goproxy", dir, upstream, protocol)
	if err != nil {
		return false, err
	}
	defer gp.stop()

	roots, err := pool(certFile(dir, "ca"), certFile(dir, "goproxy"))
	if err != nil {
		return false, err
	}
	all := []*contestant{
		{name: "direct", load: newLoad(p.connections, p.h2, "", upstream, roots, false)},
		{name: "goproxy, bare MITM loop", process: gp, load: newLoad(p.connections, p.h2, gpAddr, "", roots, false)},
	}
	var gates []*quotagate
	if p.quotagate != "" {
		// A name without a slash would be looked for in PATH.
		program, err := exec.LookPath(p.quotagate)
		if err == nil {
			program, err = filepath.Abs(program)
		}
		if err != nil {
			return false, fmt.Errorf("find quotagate: %w (make build makes it)", err)
		}
		for _, store := range []string{"memory", "embedded"} {
			q, err := startQuotagate(ctx, program, dir, "quotagate-"+store, store, upstream, source)
			if err != nil {
				return false, err
			}
			defer q.stop()
			gates = append(gates, q)
			trusted, err := pool(filepath.Join(q.data, "ca.pem"))
			if err != nil {
				return false, err
			}
			all = append(all, &contestant{
				name: "quotagate, " + store + " store", process: q.process,
				load: newLoad(p.connections, p.h2, q.addr, "", trusted, true),
			})
		}
	}

	fmt.Fprintf(out, "%d connections, one request in flight on each; %s on both sides; %d rounds of %v each; %d CPUs shared by all; %s\n",
		p.connections, map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[p.h2], p.rounds, p.each, runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(out, "data in %s (%s)\n\n", dir, filesystem(dir))
	if filesystem(dir) == "tmpfs" {
		fmt.Fprint(out, "NOTE: tmpfs syncs to nothing: the embedded store looks better here than it is. Use -dir.\n\n")
	}
	profiled := p.takeProfiles(ctx, gates)
	if err := p.requests(ctx, all); err != nil {
		return false, err
	}
	if err := profiled(); err != nil {
		return false, err
	}
	met = p.report(out, all)
	if len(gates) == 0 {
		return met, nil
	}
	for i, q := range gates {
		lines, err := q.logged()
		if err != nil {
			return false, err
		}
		c := all[len(all)-len(gates)+i]
		fmt.Fprintf(out, "%s: %d requests, %d lines in its decision log\n", c.name, c.sent, lines)
		if lines < c.sent {
			return false, fmt.Errorf("%s did not log all of its requests", c.name)
		}
	}
	return p.tunnels(ctx, out, dir, source, gates[0]) && met, ctx.Err()
}

// requests warms everybody up, then measures.
func (p *plan) requests(ctx context.Context, all []*contestant) error {
	for round := -1; round < p.rounds; round++ {
		for _, c := range all {
			d := p.each
			if round < 0 {
				d = min(d, time.Second)
			}
			var before, after time.Duration
			var err error
			if c.process != nil {
				if before, err = c.process.cpu(); err != nil {
					return err
				}
			}
			s, err := c.load.run(ctx, d)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.sent += s.requests
			if c.process != nil {
				if after, err = c.process.cpu(); err != nil {
					return err
				}
			}
			if round < 0 {
				continue
			}
			c.samples = append(c.samples, s)
			c.cpu = append(c.cpu, (after-before).Seconds()/float64(s.requests))
		}
	}
	for _, c := range all {
		c.load.close()
	}
	return nil
}

// report prints the table of the requests.
func (p *plan) report(out io.Writer, all []*contestant) (met bool) {
	met = true
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "medians of the rounds\treq/s\tp50\tp99\tCPU/request\tof goproxy's\tbar\t")
	bare := all[1]
	bars := map[string]float64{"quotagate, memory store": barMemory, "quotagate, embedded store": barEmbedded}
	if p.h2 {
		bars = map[string]float64{"quotagate, memory store": barMemoryH2}
	}
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%.0f\t%v\t%v\t", c.name,
			median(c.samples, func(s sample) float64 { return s.perSec }),
			microseconds(median(c.samples, func(s sample) float64 { return s.p50.Seconds() })),
			microseconds(median(c.samples, func(s sample) float64 { return s.p99.Seconds() })))
		if c.process == nil {
			fmt.Fprint(w, "\t\t\t\n")
			continue
		}
		ratio := medianOfRatios(c.cpu, bare.cpu)
		fmt.Fprintf(w, "%v\t%.2f\t", microseconds(median(c.cpu, self)), ratio)
		if bar, ok := bars[c.name]; ok {
			fmt.Fprintf(w, "<= %.2f %s", bar, verdict(ratio <= bar, &met))
		}
		fmt.Fprint(w, "\t\n")
	}
	w.Flush()
	fmt.Fprintln(out)
	return met
}

func verdict(ok bool, met *bool) string {
	if !ok {
		*met = false
		return "MISSED"
	}
	return "met"
}
