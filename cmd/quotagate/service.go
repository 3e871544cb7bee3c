package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"quotagate/certs"
	"quotagate/proxy"
	"quotagate/proxy/admin"
	"quotagate/rules"
)

// learnGrace is how long the end waits for the ledger to be told what was
// learned last.
const learnGrace = 5 * time.Second

// A service is a running proxy: the packages, put together.
type service struct {
	cfg       *config
	log       *slog.Logger
	stderr    io.Writer // where log writes to
	set       atomic.Pointer[rules.Set]
	broken    atomic.Pointer[error] // why the files do not load now
	options   rules.Options
	hash      func(kind, value string) string
	ca        *certs.Authority
	ledger    *ledger
	enforcer  *proxy.Enforcer
	server    *proxy.Server
	guesses   *proxy.Guesses // nil: wrong passwords have no bound
	guard     *proxy.Guard   // nil: nor have requests
	decided   *decisionLog
	recent    *admin.Recent
	meters    *meters
	unmatched *unmatchedCalls
	visits    *visits
	draining  chan struct{}
	drain     sync.Once
	patient   context.Context // ends when the end is to be at once
	hurry     context.CancelFunc
	front     net.Listener
	tls       *tls.Config  // spoken on it, or nil
	back      net.Listener // admin
	started   time.Time
}

// open builds a service up to its listening sockets. What it opened before an
// error is closed again.
func (p program) open(c *config, version string) (_ *service, err error) {
	log := p.logger(c)
	s := &service{cfg: c, log: log, stderr: p.stderr, recent: &admin.Recent{}, unmatched: &unmatchedCalls{log: log}, draining: make(chan struct{}), started: time.Now()}
	s.patient, s.hurry = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := c.makeDataDir(); err != nil {
		return nil, err
	}
	hash, err := c.openHashKey()
	if err != nil {
		return nil, err
	}
	s.options = rules.Options{Hash: hash.sum, Shadow: c.Mode == "shadow", GovernedOnly: c.Egress == "governed-only"}
	set, err := loadRules(c.Rules, s.options)
	if err != nil {
		return nil, err
	}
	s.set.Store(set)
	if err := s.openCA(p); err != nil {
		return nil, err
	}
	s.hash = hash.sum
	if s.ledger, err = openStore(context.Background(), c, hash, s.log); err != nil {
		return nil, err
	}
	if s.decided, err = openDecisionLog(c.Data); err != nil {
		return nil, err
	}
	if s.front, err = listen("the proxy", "--listen", c.Listen); err != nil {
		return nil, err
	}
	if s.tls, err = c.frontTLS(); err != nil {
		return nil, err
	}
	if s.back, err = listen("the admin interface", "--admin", c.Admin); err != nil {
		return nil, err
	}
	return s, s.build(version)
}

// build makes the proxy on what is open.
func (s *service) build(version string) error {
	roots, err := upstreamRoots(s.cfg.UpstreamCA)
	if err != nil {
		return err
	}
	pseudonym := newPseudonym()
	dialer, err := s.dialer(roots, pseudonym)
	if err != nil {
		return err
	}
	var authenticate, remembers func(user, password string) bool
	if s.cfg.ProxyUsers != "" {
		users, err := openUsers(s.cfg.ProxyUsers, s.log)
		if err != nil {
			return err
		}
		authenticate, remembers = users.check, users.remembers
	}
	s.enforcer = &proxy.Enforcer{
		Rules:     s.rules,
		Ledger:    s.ledger.Store,
		Rates:     s.ledger.rates,
		Log:       s.log,
		Next:      transport(dialer, roots, s.cfg.Limits.ResponseTime),
		Record:    s.record,
		Recorded:  s.decided.wait,
		Unmatched: s.unmatched.add,
		Draining:  s.draining,

		MaxHeld:           s.cfg.Limits.Held,
		MaxHeldPerAccount: s.cfg.Limits.HeldPerAccount,
		MaxHeldPerClient:  s.cfg.Limits.HeldPerClient,
		MaxBody:           s.cfg.Limits.BodyBytes,
		MaxBuffered:       s.cfg.Limits.BufferedBytes,
		MaxResponseTime:   s.cfg.Limits.ResponseTime,
	}
	s.visits = newVisits(s.cfg.ProxyUsers != "" || s.cfg.ClientCA != "", s.rules, time.Now)
	page, err := s.setupPage()
	if err != nil {
		return err
	}
	s.guesses, s.guard = s.newGuesses(), s.newGuard()
	s.server = proxy.New(proxy.Config{
		Rules:        s.rules,
		Certificates: certifier{s.ca},
		Transport:    s.enforcer,
		Dial:         dialer.DialContext,
		Addresses:    dialer.Addresses,
		PortAllowed:  dialer.PortAllowed,
		Pseudonym:    pseudonym,
		Authenticate: authenticate,
		Remembers:    remembers,
		Guesses:      s.guesses,
		Guard:        s.guard,
		Internal:     page,
		Visited:      s.visits.passed,
		Record:       s.record,
		TLS:          s.tls,
		Limits:       s.cfg.Limits.server(),
		Log:          s.log,

		WebSocketIdle: s.cfg.Limits.WebSocketIdleTimeout,
	})
	s.meters, err = newMeters(s.metricTable())
	return err
}

func (s *service) rules() *rules.Set { return s.set.Load() }

// bundleFile is the system's roots and the CA, for clients that can be given
// one file only.
const bundleFile = "bundle.pem"

func writeBundle(dir string, ca *certs.Authority, log *slog.Logger) error {
	pem, err := ca.Bundle()
	if err != nil {
		// The CA alone still serves every intercepted host.
		log.Warn("the bundle holds quotagate's certificate only", "cause", err.Error())
		pem = ca.PEM()
	}
	if err := writeFile(filepath.Join(dir, bundleFile), pem, 0o644); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

// writeFile replaces a file in one step.
func writeFile(name string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func listen(what, flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, hinted(fmt.Errorf("listen for %s: %w", what, err), "choose another address with %s, or stop what uses this one", flag)
	}
	return l, nil
}

// withHint keeps the way out that an error of certs knows.
func withHint(err error) error {
	var r *certs.Refusal
	if errors.As(err, &r) {
		return hinted(err, "%s", r.Hint())
	}
	return err
}

// record writes one decision everywhere it is shown.
func (s *service) record(r *proxy.Record) {
	s.decided.add(r, s.recent)
	s.visits.message(r)
	s.meters.record(r)
	for _, w := range r.Warnings {
		s.log.Warn("a limit is nearly used up", "limit", w.Limit, "account", r.Account, "used", w.Used, "allow", w.Allow)
	}
	for _, c := range r.Coolings {
		until := "someone resumes the account"
		if !c.Until.IsZero() {
			until = c.Until.UTC().Format(time.RFC3339)
		}
		s.log.Warn("the service asked to be left alone", "said", c.Name, "why", c.Why, "account", c.Account, "recipient", c.Recipient, "until", until, "status", r.Status, "id", r.ID)
	}
}

// serve runs until ctx ends.
func (s *service) serve(ctx context.Context, version string) error {
	ctx, cancel := context.WithCancel(ctx)
	back := &http.Server{
		Handler:           proxy.ContainedHandler(s.log, s.admin(version)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       120 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	go func() {
		if err := back.Serve(s.back); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the admin interface stopped", "error", err.Error())
		}
	}()
	defer back.Close()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		proxy.Contained(s.log, "the watching of the rules", func() {
			if err := s.watchRules(ctx); err != nil {
				s.log.Error("the rules files are not watched: a change needs a restart", "error", err.Error())
			}
		})
	})
	watching.Go(func() {
		proxy.Contained(s.log, "the listening to other replicas", func() {
			if err := s.enforcer.Listen(ctx); err != nil {
				s.log.Error("what other replicas change is noticed late", "error", err.Error())
			}
		})
	})
	watching.Go(func() { proxy.Contained(s.log, "the watching of the CA", func() { s.watchCA(ctx) }) })
	defer cancel()
	stop := context.AfterFunc(ctx, s.stopHolding)
	defer stop()
	cut := context.AfterFunc(s.patient, s.server.Close)
	defer cut()
	return s.server.Serve(ctx, s.front, s.cfg.Limits.Grace)
}

// stopHolding refuses what waits, so that stopping does not take as long.
func (s *service) stopHolding() { s.drain.Do(func() { close(s.draining) }) }

// watchRules swaps the set when the files change. Files that do not load leave
// the old set in force.
func (s *service) watchRules(ctx context.Context) error {
	return rules.Watch(ctx, s.cfg.Rules, s.options, func(set *rules.Set, err error) {
		if err != nil {
			s.broken.Store(&err)
			s.sayBroken(err)
			return
		}
		again := s.broken.Swap(nil) != nil
		if set.Revision() == s.rules().Revision() {
			if again {
				s.log.Info("the rules load again", "rules_rev", set.Revision())
			}
			return
		}
		s.set.Store(set)
		s.enforcer.RulesChanged()
		s.server.CloseNamedTunnels()
		s.sayCA(set, time.Now())
		s.log.Info("the rules changed", "rules_rev", set.Revision())
	})
}

// sayBroken logs why rules do not load. A person reads it as lines, with its
// carets below what they point at.
func (s *service) sayBroken(err error) {
	const what = "the rules files do not load; the old rules stay in force"
	if s.cfg.LogFormat == "json" {
		s.log.Error(what, "error", err.Error())
		return
	}
	s.log.Error(what)
	fmt.Fprintln(s.stderr, err)
}

// rulesError is why the files do not load now, or "".
func (s *service) rulesError() string {
	if err := s.broken.Load(); err != nil {
		return (*err).Error()
	}
	return ""
}

func (s *service) admin(version string) http.Handler {
	return admin.New(admin.Config{
		Rules:     s.rules,
		Ledger:    s.ledger.Store,
		Enforcer:  s.enforcer,
		Server:    s.server,
		Recent:    s.recent,
		Unmatched: s.unmatched.totals,
		Ready: func() error {
			select {
			case <-s.draining:
				return errors.New("stopping")
			default:
				return nil
			}
		},
		RulesError: s.rulesError,
		StoreError: s.ledger.down,
		Export:     s.ledger.export,
		Accept:     s.ledger.accept,
		Metrics:    s.meters.handler(),

		Now:   time.Now,
		Addr:  addrPortOf(s.back),
		Token: s.cfg.AdminToken,
		Status: admin.Status{
			Version:     version,
			PID:         os.Getpid(),
			Listen:      s.front.Addr().String(),
			TLS:         s.cfg.ListenCert != "",
			ListenCert:  s.cfg.listenCert(),
			Data:        s.cfg.Data,
			CA:          s.ca.File(),
			Bundle:      filepath.Join(s.cfg.Data, bundleFile),
			Fingerprint: s.ca.Fingerprint(),
			Store:       storeName(s.cfg.Store),
			Started:     s.started.UTC(),
		},
	})
}

// close ends everything that was opened, the ledger last.
func (s *service) close() error {
	s.stopHolding()
	var errs []error
	for _, l := range []net.Listener{s.front, s.back} {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if s.decided != nil {
		errs = append(errs, s.decided.close())
	}
	if s.ledger != nil {
		if s.enforcer != nil {
			ctx, cancel := context.WithTimeout(s.patient, learnGrace)
			if s.enforcer.Settle(ctx) != nil {
				s.log.Warn("the ledger was not told of all replies and connections that were seen: it is too slow")
			}
			cancel()
		}
		errs = append(errs, s.ledger.Close())
	}
	return errors.Join(errs...)
}
