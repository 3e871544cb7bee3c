package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"quotagate/proxy"
)

// A metric is one line of the table: a number that a package counts anyway,
// and how it is shown. A label's values are bounded by the code or by the
// rules files: never an account, a path, a host that a client chose, a token.
type metric struct {
	name   string
	help   string
	kind   kind
	labels prometheus.Labels // fixed
	read   func() float64    // nil for those that are observed, below
}

type kind int

const (
	counter kind = iota
	gauge
	observed
)

// The metrics that are told of each decision as it is made.
const (
	metricDecisions = "quotagate_decisions_total"
	metricHeldTime  = "quotagate_held_seconds"
)

// refusedHelp is the same on every row of one name, as Prometheus wants it.
const refusedHelp = "What clients were refused because a bound was reached, by the bound."

// metricTable is every metric of ours. A new bound adds its line here, and to
// docs/reference.md.
func (s *service) metricTable() []metric {
	return append(s.refusedTable(), []metric{
		{name: metricDecisions, kind: observed, help: "Decisions about messages, by the service and by what was decided."},
		{name: metricHeldTime, kind: observed, help: "How long messages that were held had waited in the end."},
		{name: "quotagate_held", kind: gauge, help: "Requests that wait now.",
			read: func() float64 { return float64(s.enforcer.Held()) }},
		{name: "quotagate_requests_total", help: "Requests that came in, whether the rules name their host or not.",
			read: func() float64 { return float64(s.server.Counts.Requests.Load()) }},
		{name: "quotagate_intercepted_total", help: "Connections that were opened to hosts that the rules name.",
			read: func() float64 { return float64(s.server.Counts.Intercepted.Load()) }},
		{name: "quotagate_tunnels_total", help: "Tunnels that were opened.",
			read: func() float64 { return float64(s.server.Counts.Tunnels.Load()) }},
		{name: "quotagate_store_errors_total", help: "Messages of which the ledger could not be asked.",
			read: func() float64 { return float64(s.enforcer.StoreErrors()) }},
		{name: "quotagate_wrong_passwords_total", help: "Passwords given to the proxy that were no user's.",
			read: func() float64 {
				if s.guesses == nil {
					return 0
				}
				return float64(s.guesses.Wrong.Load())
			}},
		{name: "quotagate_certificates_minted_total", help: "Certificates that were made for intercepted hosts.",
			read: func() float64 { return float64(s.ca.Counts().Minted.Load()) }},
		{name: "quotagate_refused_total", help: refusedHelp, labels: prometheus.Labels{"bound": "mint"},
			read: func() float64 { return float64(s.ca.Counts().Refused.Load()) }},
		{name: "quotagate_ca_ends_seconds", kind: gauge, help: "When the CA that signs ends, in seconds since 1970.",
			read: func() float64 { return float64(s.ca.NotAfter().Unix()) }},
		{name: "quotagate_connections", kind: gauge, help: "Connections of clients that are open.",
			read: func() float64 { conns, _ := s.server.Open(); return float64(conns) }},
		{name: "quotagate_tunnels", kind: gauge, help: "Of them, those that are tunnels, intercepted, or WebSockets.",
			read: func() float64 { _, tunnels := s.server.Open(); return float64(tunnels) }},
		{name: "quotagate_buffered_bytes", kind: gauge, help: "Bytes of requests' bodies that are in memory to be looked at.",
			read: func() float64 { return float64(s.enforcer.Buffered()) }},
		{name: "quotagate_http2_broken_total", help: "HTTP/2 connections that were ended for what the client sent.",
			read: func() float64 { return float64(s.server.Counts.Broken.Load()) }},
		{name: "quotagate_panics_total", help: "Requests that ended in a mistake of quotagate's.",
			read: func() float64 { return float64(s.server.Counts.Panics.Load() + s.enforcer.Panics()) }},
	}...)
}

// refusedTable is what each bound on clients refused, or closed.
func (s *service) refusedTable() []metric {
	var table []metric
	add := func(bound string, read func() int64) {
		table = append(table, metric{
			name: "quotagate_refused_total", help: refusedHelp,
			labels: prometheus.Labels{"bound": bound},
			read:   func() float64 { return float64(read()) },
		})
	}
	add("held", func() int64 { all, _ := s.enforcer.HeldRefused(); return all })
	add("held_per_account", func() int64 { _, ofAccount := s.enforcer.HeldRefused(); return ofAccount })
	add("held_per_client", s.enforcer.HeldRefusedOfClient)
	add("egress", func() int64 { return s.server.Counts.EgressRefused.Load() })
	add("loop", func() int64 { return s.server.Counts.Loops.Load() })
	add("address", func() int64 { return s.server.Counts.AddressRefused.Load() })
	add("guesses", func() int64 {
		if s.guesses == nil {
			return 0
		}
		return s.guesses.Refused.Load()
	})
	add("user_rate", func() int64 {
		if s.guard == nil {
			return 0
		}
		return s.guard.Refused.Load()
	})
	add("client_certificate", func() int64 { return s.server.Counts.ClientCertificates.Load() })
	for _, b := range proxy.Bounds() {
		add(b.String(), func() int64 { return s.server.Refused(b) })
	}
	add("body_bytes", func() int64 { return s.enforcer.TooLarge() })
	add("response_time", func() int64 { return s.enforcer.Unanswered() })
	add("buffered_bytes", func() int64 { return s.enforcer.Crowded() })
	return table
}

// meters show the table, and the Go runtime's and the process's own numbers.
type meters struct {
	registry  *prometheus.Registry
	decisions *prometheus.CounterVec
	held      prometheus.Histogram
}

// heldBuckets reach from one wait for the same message to the longest `wait`
// that makes sense, a few minutes.
var heldBuckets = []float64{.01, .03, .1, .3, 1, 3, 10, 30, 100, 300}

func newMeters(table []metric) (*meters, error) {
	m := &meters{registry: prometheus.NewRegistry()}
	all := []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
	for _, row := range table {
		opts := prometheus.Opts{Name: row.name, Help: row.help, ConstLabels: row.labels}
		switch {
		case row.name == metricDecisions:
			m.decisions = prometheus.NewCounterVec(prometheus.CounterOpts(opts), []string{"service", "decision"})
			all = append(all, m.decisions)
		case row.name == metricHeldTime:
			m.held = prometheus.NewHistogram(prometheus.HistogramOpts{Name: row.name, Help: row.help, Buckets: heldBuckets})
			all = append(all, m.held)
		case row.kind == gauge:
			all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts), row.read))
		default:
			all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts(opts), row.read))
		}
	}
	for _, c := range all {
		if err := m.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// record counts one decision.
func (m *meters) record(r *proxy.Record) {
	m.decisions.WithLabelValues(r.Service, r.Decision).Add(float64(len(r.Messages)))
	if r.Held > 0 && r.Decision != proxy.DecisionHold {
		m.held.Observe(r.Held.Seconds())
	}
}

func (m *meters) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
