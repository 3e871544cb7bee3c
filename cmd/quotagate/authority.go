package main

// This file opens the CA as the configuration says, and tells a person what it
// cannot do: hosts outside its name constraints, and its end.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"quotagate/certs"
	"quotagate/proxy"
	"quotagate/rules"
)

// rotateHint is how a CA with other limits, or another end, is made.
const rotateHint = "`quotagate ca rotate` makes the next one, while this one goes on"

// finishHint is for a next CA that waits.
const finishHint = "the next one waits: once clients trust it, `quotagate ca rotate --finish` lets it sign"

// endsSoon is how long before the CA's end a person is told, and at most the
// last third of its life. All clients have to be reached in that time.
const endsSoon = 60 * 24 * time.Hour

func (c *config) checkCA() error {
	switch c.NameConstraints {
	case "on", "off":
	default:
		return usageError{fmt.Errorf("%sNAME_CONSTRAINTS is %q; it is on or off", envPrefix, c.NameConstraints)}
	}
	if (c.CACert == "") != (c.CAKey == "") {
		return usageError{hinted(errors.New("a CA of your own needs its certificate and its key"),
			"set both %sCA_CERT and %sCA_KEY, or neither to have one made", envPrefix, envPrefix)}
	}
	return nil
}

// caOptions are how the CA is opened, or made for the hosts of the rules that
// set gives.
func (p program) caOptions(c *config, set func() (*rules.Set, error)) certs.Options {
	o := certs.Options{
		CertFile:      c.CACert,
		KeyFile:       c.CAKey,
		SystemRoots:   p.systemRoots(),
		MintPerMinute: int(c.Limits.MintPerMinute),
	}
	if c.NameConstraints == "on" {
		o.Hosts = func() ([]string, error) {
			s, err := set()
			if err != nil {
				return nil, hinted(fmt.Errorf("the CA has to be made, and is limited to the hosts that the rules name: %w", err),
					"`quotagate init` writes starter rules; %sNAME_CONSTRAINTS=off makes a CA that may sign for every host", envPrefix)
			}
			return s.Hosts(), nil
		}
	}
	return o
}

// readRules reads the rules for a verb that only wants to know what is in them.
func (c *config) readRules() (*rules.Set, error) {
	return loadRules(c.Rules, rules.Options{Hash: newHashKey([]byte("check")).sum})
}

// openCA opens the CA for the service.
func (s *service) openCA(p program) (err error) {
	o := p.caOptions(s.cfg, func() (*rules.Set, error) { return s.rules(), nil })
	o.Allow = func(h string) bool { return h == certs.Internal || s.rules().Names(h) }
	o.WrittenOut = (&writtenOut{set: s.rules}).has
	o.Changed = s.caChanged
	if s.ca, err = certs.Open(s.cfg.Data, o); err != nil {
		return withHint(err)
	}
	return writeBundle(s.cfg.Data, s.ca, s.log)
}

// writtenOut knows the hosts that the rules in force name in full.
type writtenOut struct {
	set func() *rules.Set
	of  atomic.Pointer[namesOf]
}

type namesOf struct {
	set   *rules.Set
	names map[string]bool
}

func (w *writtenOut) has(host string) bool {
	set, of := w.set(), w.of.Load()
	if of == nil || of.set != set {
		of = &namesOf{set: set, names: map[string]bool{certs.Internal: true}}
		for _, pattern := range set.Hosts() {
			name, _, _ := strings.Cut(pattern, ":")
			of.names[name] = true // a pattern with * in it is no name that is asked for
		}
		w.of.Store(of)
	}
	return of.names[host]
}

// A certifier tells the proxy why there is no certificate, in its own words.
type certifier struct{ ca *certs.Authority }

// Certificate is the CA's.
func (c certifier) Certificate(host string) (*tls.Certificate, error) {
	cert, err := c.ca.Certificate(host)
	switch {
	case errors.Is(err, certs.ErrTooMany):
		return nil, proxy.ErrMinting
	case errors.Is(err, certs.ErrOutside):
		return nil, proxy.ErrOutsideCA
	}
	return cert, err
}

// caChanged is told by the CA that its files have changed.
func (s *service) caChanged(err error) {
	if err != nil {
		s.log.Error("the CA's files changed and cannot be used; the old CA stays in force", "error", err.Error())
		return
	}
	// The CA waits for us, and must not be asked.
	go proxy.Contained(s.log, "the taking up of another CA", func() {
		s.log.Info("the CA's files changed", "signs", s.ca.Subject(), "sha256", s.ca.Fingerprint())
		if err := writeBundle(s.cfg.Data, s.ca, s.log); err != nil {
			s.log.Error("the bundle is an old one", "error", err.Error())
		}
		s.sayCA(s.rules(), time.Now())
	})
}

// watchCA says day by day that the CA ends, once it does so soon.
func (s *service) watchCA(ctx context.Context) {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		select {
		case now := <-day.C:
			s.sayEnd(now)
		case <-ctx.Done():
			return
		}
	}
}

// sayCA logs what the CA cannot do.
func (s *service) sayCA(set *rules.Set, now time.Time) {
	for _, w := range caWarnings(s.cfg, s.ca, set) {
		s.log.Warn(w.what, slog.String("hint", w.hint))
	}
	s.sayEnd(now)
}

func (s *service) sayEnd(now time.Time) {
	if w, soon := caEnd(s.ca, now); soon {
		s.log.Warn(w.what, slog.String("hint", w.hint))
	}
}

// checkAuthority is what the CA of the data directory, if there is one, cannot
// do for rules. That rules may be checked does not depend on it, so one that
// cannot be opened is for other verbs to tell of.
func (p program) checkAuthority(c *config, set *rules.Set) []caWarning {
	o := p.caOptions(c, func() (*rules.Set, error) { return set, nil })
	o.Existing = true
	ca, err := certs.Open(c.Data, o)
	if err != nil {
		return caWarnings(c, nil, set)
	}
	all := caWarnings(c, ca, set)
	if w, soon := caEnd(ca, time.Now()); soon {
		all = append(all, w)
	}
	return all
}

// A caWarning is what is not as it should be, and the way out.
type caWarning struct{ what, hint string }

func (w caWarning) String() string { return w.what + "; " + w.hint }

// caWarnings are what the CA, or nil if there is none yet, cannot do for these
// rules.
func caWarnings(c *config, ca *certs.Authority, set *rules.Set) []caWarning {
	if c.NameConstraints == "off" && (ca == nil || !ca.Brought()) {
		return outsideWarnings(ca, set)
	}
	var all []caWarning
	_, beyond := certs.Domains(set.Hosts())
	if len(beyond) > 0 && (ca == nil || !ca.Brought()) {
		all = append(all, caWarning{
			what: "no name constraint can say " + someOf(beyond) + ", so a CA for these rules may sign for every name",
			hint: "name a domain behind the *, such as *.example.com",
		})
	}
	if ca == nil {
		return all
	}
	if _, limited := ca.Limits(); !limited && !ca.Brought() && len(beyond) == 0 {
		hint := "`quotagate ca rotate` makes the next one, limited to them, while this one goes on"
		if _, waits := ca.NextOutside(nil); waits {
			hint = finishHint
		}
		all = append(all, caWarning{what: "the CA may sign for every host, not for those of the rules alone", hint: hint})
	}
	return append(all, outsideWarnings(ca, set)...)
}

// outsideWarnings name the hosts that the CA may not sign for.
func outsideWarnings(ca *certs.Authority, set *rules.Set) []caWarning {
	if ca == nil {
		return nil
	}
	outside := ca.Outside(set.Hosts())
	if len(outside) == 0 {
		return nil
	}
	hint := rotateHint + ", for these hosts too"
	left, waits := ca.NextOutside(set.Hosts())
	switch {
	case ca.Brought():
		hint = "its owner has to issue a wider one"
	case waits && len(left) == 0:
		hint = finishHint
	case waits:
		hint = "the next one, which waits, leaves out some too: `quotagate ca rotate --cancel` removes it, and `quotagate ca rotate` makes another"
	}
	return []caWarning{{
		what: "the CA's name constraints leave out " + someOf(outside) + ": connections to it are refused (503, authority)",
		hint: hint,
	}}
}

// caEnd tells that the CA ends soon.
func caEnd(ca *certs.Authority, now time.Time) (caWarning, bool) {
	left := ca.NotAfter().Sub(now)
	if left > min(endsSoon, ca.Life()/3) {
		return caWarning{}, false
	}
	hint := rotateHint
	if _, waits := ca.NextOutside(nil); waits {
		hint = finishHint
	}
	if ca.Brought() {
		hint = "its owner has to renew it"
	}
	return caWarning{
		what: fmt.Sprintf("the CA ends on %s, in %s", ca.NotAfter().UTC().Format(time.DateOnly), count(max(int(left.Hours()/24), 0), "day")),
		hint: hint,
	}, true
}

// someOf lists a few of many.
func someOf(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
