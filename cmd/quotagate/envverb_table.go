package main

import (
	"net/url"
	"slices"
	"strings"
)

// A wiring is what clients have to be told to come through a proxy and to
// trust it.
type wiring struct {
	listen  string   // the proxy's address as clients reach it
	proxy   *url.URL // the same, with the user if one is named
	ca      string   // file of quotagate's certificate
	bundle  string   // file of the system's roots and that certificate
	preload string   // file that Node loads before the program
	caPEM   []byte   // what ca holds

	// Of the proxy's own port, where it has TLS that the system does not trust:
	// what to trust for it, in PEM, and the hash of its public key.
	front    []byte
	frontKey string
}

// A setting is a variable that some client reads.
type setting struct {
	name  string
	value func(w *wiring, old string) string // old: what the variable is now
	who   string                             // who reads it, and where that is said
}

// settings are all the variables, for exec and for env. None of them harms a
// client that does not know it.
var settings = slices.Concat(proxySettings, rootSettings, nodeSettings)

var proxySettings = []setting{
	{"http_proxy", theProxy, "curl reads this one in lower case only: curl.se/docs/manpage.html, ENVIRONMENT"},
	{"https_proxy", theProxy, "curl, Python, Ruby, wget, git"},
	{"all_proxy", theProxy, "curl and httpx, for all schemes"},
	{"no_proxy", noProxy, "all who read the three above"},
	{"HTTP_PROXY", theProxy, "Go, axios, .NET; twilio-node reads this one alone"},
	{"HTTPS_PROXY", theProxy, "Go, axios, .NET, Deno, Bun, cargo"},
	{"ALL_PROXY", theProxy, "httpx, reqwest"},
	{"NO_PROXY", noProxy, "all who read the three above"},
}

// rootSettings name files of certificates. SSL_CERT_DIR is not among them:
// OpenSSL and Go read it beside SSL_CERT_FILE, so what a user has set there
// still counts.
var rootSettings = []setting{
	{"SSL_CERT_FILE", theBundle, "OpenSSL and all on it (Python's ssl, httpx, Ruby, PHP), Go, rustls-native-certs, .NET on Linux"},
	{"REQUESTS_CA_BUNDLE", theBundle, "Python requests: requests.readthedocs.io, SSL Cert Verification"},
	{"CURL_CA_BUNDLE", theBundle, "curl with OpenSSL: curl.se/docs/sslcerts.html; requests as its second choice"},
	{"GIT_SSL_CAINFO", theBundle, "git: git-config(1), http.sslCAInfo"},
	{"AWS_CA_BUNDLE", theBundle, "AWS CLI and SDKs: AWS SDKs and Tools Reference, ca_bundle"},
	{"PIP_CERT", theBundle, "pip, so that a script which installs its packages still can: pip --cert"},
	{"HTTPLIB2_CA_CERTS", theBundle, "httplib2 and Google's Python client on it: httplib2/certs.py"},
	{"WEBSOCKET_CLIENT_CA_BUNDLE", theBundle, "Python websocket-client, Slack's socket mode: websocket/_http.py"},
	{"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", theBundle, "gRPC in C, Python, Ruby, PHP: grpc/doc/environment_variables.md"},
	{"CARGO_HTTP_CAINFO", theBundle, "cargo: Cargo Book, http.cainfo"},
	{"NIX_SSL_CERT_FILE", theBundle, "programs from Nix, instead of SSL_CERT_FILE"},
	{"PERL_LWP_SSL_CA_FILE", theBundle, "Perl's LWP: LWP::UserAgent, ssl_opts"},
	{"DENO_CERT", theCA, "Deno, beside its own roots: deno help, environment variables"},
	{"NODE_EXTRA_CA_CERTS", theCA, "Node and Bun, beside their own roots: nodejs.org/api/cli.html"},
}

var nodeSettings = []setting{
	{"NODE_USE_ENV_PROXY", func(*wiring, string) string { return "1" }, "Node from 22.21 and 24.5 on: nodejs.org/api/cli.html"},
	{"NODE_OPTIONS", nodeOptions, "Node before that, and agents that it leaves alone: preload.cjs"},
}

func theProxy(w *wiring, _ string) string  { return w.proxy.String() }
func theBundle(w *wiring, _ string) string { return w.bundle }
func theCA(w *wiring, _ string) string     { return w.ca }

// ownHosts never go through a proxy: it would not let them.
var ownHosts = []string{"localhost", "127.0.0.1", "::1"}

// noProxy keeps what the user has; "*" would keep everything off the proxy,
// which is not what someone wants who asks for it.
func noProxy(_ *wiring, old string) string {
	list := slices.Clone(ownHosts)
	for host := range strings.FieldsFuncSeq(old, func(r rune) bool { return r == ',' || r == ' ' }) {
		if host != "*" && !slices.Contains(list, host) {
			list = append(list, host)
		}
	}
	return strings.Join(list, ",")
}

// nodeOptions appends the preload to what is there. Node splits the value at
// spaces except within double quotes, where a backslash escapes.
// https://nodejs.org/api/cli.html#node_optionsoptions, read 2026-11-21
func nodeOptions(w *wiring, old string) string {
	file := w.preload
	if strings.ContainsAny(file, ` "`) {
		file = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(file) + `"`
	}
	option := "--require " + file
	switch {
	case strings.Contains(old, option):
		return old
	case strings.TrimSpace(old) == "":
		return option
	}
	return old + " " + option
}

// A variable is a setting with its value.
type variable struct{ name, value string }

// variables are the settings under an environment.
func (w *wiring) variables(env map[string]string) []variable {
	var all []variable
	for _, s := range settings {
		old := env[s.name]
		if name := strings.ToUpper(s.name); name == "NO_PROXY" {
			old = env["no_proxy"] + "," + env["NO_PROXY"]
		}
		all = append(all, variable{s.name, s.value(w, old)})
	}
	return all
}
