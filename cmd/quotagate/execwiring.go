package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/caarlos0/env/v11"

	"quotagate/certs"
	"quotagate/proxy/admin"
)

// anyPassword stands for the password of a user that the proxy does not ask
// for one: undici, which is Node's fetch, sends a user only along with one.
const anyPassword = "any"

// wire finds out how clients come through a running proxy, and tries it: the
// proxy's own page tells whether it lets the user in.
func (p program) wire(ctx context.Context, c *config, s *admin.Status, user string) (*wiring, error) {
	w, err := newWiring(s.Listen, c.Admin, user)
	if err != nil {
		return nil, err
	}
	if s.TLS {
		w.proxy.Scheme = "https"
		w.trustFront(s.ListenCert)
	}
	if err := c.makeDataDir(); err != nil {
		return nil, err
	}
	if w.caPEM, err = w.fetch(ctx, "ca.pem"); err != nil {
		return nil, err
	}
	w.ca, w.bundle = s.CA, s.Bundle
	if there, err := os.ReadFile(s.CA); err != nil || !bytes.Equal(bytes.TrimSpace(there), bytes.TrimSpace(w.caPEM)) {
		// The proxy keeps its files where we cannot read them: in a
		// container, or as another user.
		bundle, err := w.fetch(ctx, "bundle.pem")
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(c.Data, "proxy-"+strings.NewReplacer(":", "-", "[", "", "]", "").Replace(w.listen))
		w.ca, w.bundle = filepath.Join(dir, certs.CertFile), filepath.Join(dir, bundleFile)
		err = errors.Join(os.MkdirAll(dir, 0o700), writeFile(w.ca, w.caPEM, 0o644), writeFile(w.bundle, bundle, 0o644))
		if err != nil {
			return nil, fmt.Errorf("keep the proxy's certificate: %w", err)
		}
	}
	return w, p.finish(w, c)
}

// wireBlind is how clients would come through the proxy that the configuration
// describes, which does not run.
func (p program) wireBlind(c *config, user string) (*wiring, error) {
	w, err := newWiring(c.Listen, c.Admin, user)
	if err != nil {
		return nil, err
	}
	if w.proxy.Scheme = c.proxyScheme(); w.proxy.Scheme == "https" {
		w.trustFront(c.ListenCert)
	}
	if err := c.makeDataDir(); err != nil {
		return nil, err
	}
	ca, err := certs.Open(c.Data, p.caOptions(c, c.readRules))
	if err != nil {
		return nil, withHint(err)
	}
	w.caPEM = ca.PEM()
	w.ca, w.bundle = ca.File(), filepath.Join(c.Data, bundleFile)
	if err := writeBundle(c.Data, ca, p.logger(c)); err != nil {
		return nil, err
	}
	return w, p.finish(w, c)
}

func (p program) finish(w *wiring, c *config) (err error) {
	if w.preload, err = writePreload(c.Data); err != nil {
		return err
	}
	return w.keepRoots(env.ToMap(p.env), c.Data)
}

// newWiring names the proxy that listens on an address, which was reached by
// way of another. user is a name, or name:password.
func newWiring(listen, reached, user string) (*wiring, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("read the proxy's address %q: %w", listen, err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		if host, _, err = net.SplitHostPort(reached); err != nil {
			return nil, fmt.Errorf("read the admin address %q: %w", reached, err)
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
	}
	w := &wiring{listen: net.JoinHostPort(host, port)}
	w.proxy = &url.URL{Scheme: "http", Host: w.listen}
	if user != "" {
		name, password, _ := strings.Cut(user, ":")
		if password == "" {
			password = anyPassword
		}
		w.proxy.User = url.UserPassword(name, password)
	}
	return w, nil
}

// maxPEM bounds what is read of a file of certificates; the bundles of today
// have 250 kB.
const maxPEM = 8 << 20

// fetch reads one of the proxy's own files, through the proxy.
func (w *wiring) fetch(ctx context.Context, file string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, proxyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://quotagate.internal/"+file, nil)
	if err != nil {
		return nil, err
	}
	t := &http.Transport{Proxy: http.ProxyURL(w.proxy), TLSClientConfig: w.frontTLS(), DisableKeepAlives: true}
	resp, err := t.RoundTrip(req)
	if err != nil {
		if why := w.frontError(err); why != nil {
			return nil, why
		}
		return nil, hinted(fmt.Errorf("the proxy on %s does not answer, although its admin interface does: %w", w.listen, err),
			"if it runs elsewhere, %sADMIN must be the address of that machine", envPrefix)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPEM))
	switch {
	case resp.StatusCode == http.StatusProxyAuthRequired:
		return nil, hinted(fmt.Errorf("the proxy on %s does not let this user in", w.listen),
			"name one of its users with --as NAME:PASSWORD")
	case err != nil:
		return nil, fmt.Errorf("read %s from the proxy on %s: %w", file, w.listen, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("read %s from the proxy on %s: it answered %s", file, w.listen, resp.Status)
	}
	return body, nil
}
