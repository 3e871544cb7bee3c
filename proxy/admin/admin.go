// Package admin is the proxy's own address: what it knows of accounts, limits
// and decisions, for the command line, for scripts, and for health checks.
//
// It is meant for the machine it runs on. Requests that a web page could make
// a browser send are refused: those with a foreign Host, and those with a
// foreign Origin.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"quotagate/proxy"
	"quotagate/ratelimit"
	"quotagate/rules"
)

// Config is what a Handler shows and steers. All but Token are required.
type Config struct {
	Rules    func() *rules.Set
	Ledger   ratelimit.Store
	Enforcer *proxy.Enforcer
	Server   *proxy.Server
	Recent   *Recent
	// Unmatched counts, by service, calls that are no message the rules know;
	// nil: nobody counts.
	Unmatched func() map[string]int64
	// Ready reports why the proxy is not ready, or nil.
	Ready func() error
	// Now is the clock.
	Now func() time.Time
	// Addr is where the handler is served, for the check of Host.
	Addr netip.AddrPort
	// Token, if set, must come as a bearer token with every request but
	// /healthz and /readyz.
	Token string
	// RulesError says why the rules files as they are now do not load, or "";
	// nil if nobody looks at them.
	RulesError func() string
	// StoreError says why a shared store is not asked now, or ""; nil if it
	// cannot fail by itself.
	StoreError func() string
	// Export writes all that the ledger has counted, and Accept takes a shared
	// store that lost its data as it is. nil: neither can be done.
	Export func(context.Context, io.Writer) error
	Accept func(context.Context) error
	// Metrics, if set, answers /metrics.
	Metrics http.Handler
	// Status is added to /api/v1/status.
	Status Status
}

// Status is what /api/v1/status says of the running proxy.
type Status struct {
	Product     string           `json:"product"` // always quotagate
	Version     string           `json:"version"`
	PID         int              `json:"pid"`
	Listen      string           `json:"listen"`
	TLS         bool             `json:"tls,omitempty"`         // on the proxy's own port
	ListenCert  string           `json:"listen_cert,omitempty"` // file of the certificate there
	Data        string           `json:"data"`
	CA          string           `json:"ca"` // file of the certificate
	Bundle      string           `json:"bundle"`
	Fingerprint string           `json:"ca_sha256"`
	Store       string           `json:"store"`
	StoreError  string           `json:"store_error,omitempty"` // why it is not asked now, and since when
	Started     time.Time        `json:"started"`
	Revision    string           `json:"rules_rev"`
	RulesError  string           `json:"rules_error,omitempty"` // why the files on the disk do not load; those in force stay
	Mode        string           `json:"mode"`
	Intercepted int64            `json:"intercepted"` // connections
	Tunnels     int64            `json:"tunnels"`
	Requests    int64            `json:"requests"`
	Held        int64            `json:"held"`
	Decisions   map[string]int64 `json:"decisions"`           // messages, by decision
	Unmatched   map[string]int64 `json:"unmatched,omitempty"` // calls, by service
	// ProxyUsers are those by which listed accounts are known.
	ProxyUsers []string `json:"proxy_users,omitempty"`
}

// An Account is an account's limits as /api/v1/accounts/{name} shows them.
type Account struct {
	Name   string           `json:"name"`
	Limits []proxy.LimitUse `json:"limits"`
	Paused bool             `json:"paused,omitempty"`
	Why    string           `json:"why,omitempty"`
	Until  time.Time        `json:"until,omitzero"`
	// Holds are all that stop it, a pause among them.
	Holds []proxy.HoldUse `json:"holds,omitempty"`
}

// An ExplainRequest is what POST /api/v1/explain takes.
type ExplainRequest struct {
	Method    string      `json:"method"`
	URL       string      `json:"url"`
	Header    http.Header `json:"header"`
	Body      []byte      `json:"body"`
	ProxyUser string      `json:"proxy_user"`
	At        time.Time   `json:"at,omitzero"`
}

type handler struct {
	Config
	mux *http.ServeMux
}

// New returns the admin address's handler.
func New(c Config) http.Handler {
	h := &handler{Config: c, mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") })
	h.mux.HandleFunc("GET /readyz", h.readyz)
	h.mux.HandleFunc("GET /api/v1/status", h.status)
	h.mux.HandleFunc("GET /api/v1/accounts", h.accounts)
	h.mux.HandleFunc("GET /api/v1/accounts/{name}", h.account)
	h.mux.HandleFunc("POST /api/v1/accounts/{name}/pause", h.pause)
	h.mux.HandleFunc("POST /api/v1/accounts/{name}/resume", h.resume)
	h.mux.HandleFunc("POST /api/v1/accounts/{name}/give", h.give)
	h.mux.HandleFunc("POST /api/v1/events", h.events)
	h.mux.HandleFunc("GET /api/v1/ledger", h.export)
	h.mux.HandleFunc("POST /api/v1/ledger/accept", h.accept)
	h.mux.HandleFunc("GET /api/v1/limits", h.limits)
	h.mux.HandleFunc("GET /api/v1/decisions", h.decisions)
	h.mux.HandleFunc("POST /api/v1/explain", h.explain)
	if c.Metrics != nil {
		h.mux.Handle("GET /metrics", c.Metrics)
	}
	h.mux.HandleFunc("GET /debug/pprof/profile", profile)
	var guarded http.Handler = h.mux
	guarded = http.NewCrossOriginProtection().Handler(guarded)
	return h.guard(guarded)
}

// guard refuses requests that name another host than this one: a page that
// rebinds its own name to this address would otherwise read what is shown.
func (h *handler) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.ownHost(r.Host) {
			problem(w, http.StatusMisdirectedRequest, "this address answers only to its own name")
			return
		}
		site := r.Header.Get("Sec-Fetch-Site")
		if o := r.Header.Get("Origin"); o != "" && o != "http://"+r.Host || site == "cross-site" || site == "same-site" {
			problem(w, http.StatusForbidden, "requests from other sites are refused")
			return
		}
		if h.Token != "" && r.URL.Path != "/healthz" && r.URL.Path != "/readyz" && !sameToken(r, h.Token) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="quotagate"`)
			problem(w, http.StatusUnauthorized, "this address wants the admin token")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// ownHost accepts IP addresses of this machine's loopback, the address that is
// served, and localhost, with our port.
func (h *handler) ownHost(hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	if port != portOf(h.Addr) {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.Unmap() == h.Addr.Addr().Unmap() || h.Addr.Addr().IsUnspecified())
}

func (h *handler) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := h.Ready(); err != nil {
		text(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	text(w, http.StatusOK, "ready")
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	s := h.Status
	s.Product = "quotagate"
	set := h.Rules()
	s.Revision, s.Mode, s.ProxyUsers = set.Revision(), set.Mode(), set.ProxyUsers()
	if h.RulesError != nil {
		s.RulesError = h.RulesError()
	}
	if h.StoreError != nil {
		s.StoreError = h.StoreError()
	}
	s.Intercepted = h.Server.Counts.Intercepted.Load()
	s.Tunnels = h.Server.Counts.Tunnels.Load()
	s.Requests = h.Server.Counts.Requests.Load()
	s.Held = h.Enforcer.Held()
	s.Decisions = h.Recent.Totals()
	if h.Config.Unmatched != nil {
		s.Unmatched = h.Config.Unmatched()
	}
	reply(w, http.StatusOK, s)
}

func (h *handler) accounts(w http.ResponseWriter, r *http.Request) {
	names, err := AccountNames(r.Context(), h.Rules(), h.Ledger)
	if err != nil {
		ledgerFailed(w, err)
		return
	}
	out := make([]Account, 0, len(names))
	for _, name := range names {
		a, err := AccountOf(r.Context(), h.Rules(), h.Ledger, name, h.Now())
		if err != nil {
			ledgerFailed(w, err)
			return
		}
		out = append(out, *a)
	}
	reply(w, http.StatusOK, map[string]any{"accounts": out})
}

func (h *handler) account(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !h.known(w, r, name) {
		return
	}
	a, err := AccountOf(r.Context(), h.Rules(), h.Ledger, name, h.Now())
	if err != nil {
		ledgerFailed(w, err)
		return
	}
	reply(w, http.StatusOK, a)
}

func (h *handler) pause(w http.ResponseWriter, r *http.Request) {
	var hold struct {
		Why   string    `json:"why"`
		Until time.Time `json:"until"`
	}
	if !decode(w, r, &hold) {
		return
	}
	rl := &ratelimit.Hold{Why: hold.Why}
	if !hold.Until.IsZero() {
		rl.Until = hold.Until.UnixMilli()
	}
	h.setHold(w, r, rl)
}

func (h *handler) resume(w http.ResponseWriter, r *http.Request) { h.setHold(w, r, nil) }

func (h *handler) setHold(w http.ResponseWriter, r *http.Request, hold *ratelimit.Hold) {
	if err := h.Ledger.Pause(r.Context(), r.PathValue("name"), hold); err != nil {
		ledgerFailed(w, err)
		return
	}
	if hold == nil { // what it holds need not wait for its time
		h.Enforcer.AccountChanged(r.PathValue("name"))
	}
	reply(w, http.StatusOK, map[string]string{"account": r.PathValue("name")})
}

func (h *handler) limits(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{"limits": h.Rules().Limits()})
}

// decisions gives the latest lines of the log, and with an Accept of
// text/event-stream the new ones as they come.
func (h *handler) decisions(w http.ResponseWriter, r *http.Request) {
	if !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for _, l := range h.Recent.Lines() {
			if _, err := w.Write(l); err != nil {
				return
			}
		}
		return
	}
	lines, stop := h.Recent.Follow()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	if rc.Flush() != nil {
		return
	}
	for {
		select {
		case l := <-lines:
			for one := range bytes.Lines(l) {
				if _, err := w.Write(append(append([]byte("data: "), one...), '\n')); err != nil {
					return
				}
			}
			if rc.Flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

func (h *handler) explain(w http.ResponseWriter, r *http.Request) {
	var q ExplainRequest
	if !decode(w, r, &q) {
		return
	}
	x, err := Explain(r.Context(), h.Enforcer, &q, h.Now())
	if err != nil {
		var bad badRequest
		if errors.As(err, &bad) {
			problem(w, http.StatusBadRequest, bad.Error())
			return
		}
		ledgerFailed(w, err)
		return
	}
	reply(w, http.StatusOK, x)
}

// maxProfile is the longest CPU profile that can be asked for, in seconds.
const maxProfile = 300

// profile is a CPU profile of the next seconds, for performance reports.
func profile(w http.ResponseWriter, r *http.Request) {
	if n, err := strconv.Atoi(r.URL.Query().Get("seconds")); err == nil && n > maxProfile {
		problem(w, http.StatusBadRequest, "a profile takes 300 seconds at most")
		return
	}
	pprof.Profile(w, r)
}

type badRequest struct{ error }

// Explain asks an Enforcer about the request that q describes.
func Explain(ctx context.Context, e *proxy.Enforcer, q *ExplainRequest, now time.Time) (*proxy.Explanation, error) {
	req, err := http.NewRequestWithContext(ctx, q.Method, q.URL, bytes.NewReader(q.Body))
	if err != nil {
		return nil, badRequest{err}
	}
	if req.URL.Host == "" {
		return nil, badRequest{errors.New("the URL names no host")}
	}
	if q.Header != nil {
		req.Header = q.Header
	}
	if !q.At.IsZero() {
		now = q.At
	}
	c := &proxy.Client{User: q.ProxyUser}
	return e.Explain(proxy.WithClient(ctx, c), req, now)
}

const maxBody = 64 << 20

func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		problem(w, http.StatusBadRequest, "the body is not the JSON that is wanted here: "+err.Error())
		return false
	}
	return true
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // a client that left needs no answer
}

func text(w http.ResponseWriter, status int, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(s + "\n"))
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
}

func ledgerFailed(w http.ResponseWriter, err error) {
	problem(w, http.StatusServiceUnavailable, "the ledger did not answer: "+err.Error())
}
