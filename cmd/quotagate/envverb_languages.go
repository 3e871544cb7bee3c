package main

import (
	"fmt"
	"io"
	"path"
	"path/filepath"
)

// forCurl writes one request.
func forCurl(out io.Writer, w *wiring, _ map[string]string) error {
	own := ""
	if w.proxy.Scheme == "https" { // no variable says so, and --cacert is not for the proxy
		own = " --proxy-cacert " + shellQuote(w.bundle)
	}
	_, err := fmt.Fprintf(out, "curl --proxy %s%s --cacert %s URL\n", shellQuote(w.proxy.String()), own, shellQuote(w.bundle))
	return err
}

// forGo writes what a program does that has a transport of its own.
func forGo(out io.Writer, w *wiring, _ map[string]string) error {
	_, err := fmt.Fprintf(out, `// With HTTPS_PROXY=%[1]s and
// SSL_CERT_FILE=%[2]s set, http.DefaultClient needs no more.
// A program that has a transport of its own:
pem, err := os.ReadFile(%[3]s)
// …
roots := x509.NewCertPool()
roots.AppendCertsFromPEM(pem)
proxy, err := url.Parse(%[4]s)
// …
client := &http.Client{Transport: &http.Transport{
	Proxy:             http.ProxyURL(proxy),
	TLSClientConfig:   &tls.Config{RootCAs: roots},
	ForceAttemptHTTP2: true,
}}
`, shellQuote(w.proxy.String()), shellQuote(w.bundle), literal(w.bundle), literal(w.proxy.String()))
	return err
}

// forJava writes Java's own properties. Its roots are in a store of its own
// kind, of which a copy gets the certificate; "changeit" is the password that
// all of them have. https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/net/doc-files/net-properties.html,
// read 2026-11-21
func forJava(out io.Writer, w *wiring, _ map[string]string) error {
	store := path.Join(filepath.ToSlash(filepath.Dir(w.ca)), "java-roots.jks")
	host, port := w.proxy.Hostname(), w.proxy.Port()
	options := fmt.Sprintf("-Dhttps.proxyHost=%[1]s -Dhttps.proxyPort=%[2]s -Dhttp.proxyHost=%[1]s -Dhttp.proxyPort=%[2]s"+
		" -Dhttp.nonProxyHosts=localhost|127.*|[::1] -Djavax.net.ssl.trustStore=%[3]s", host, port, store)
	more := ""
	if w.proxy.Scheme == "https" {
		more += "# Java speaks no TLS to a proxy: it needs one whose port has none.\n"
	}
	if name, _, ok := w.user(); ok {
		options += " -Djdk.http.auth.tunneling.disabledSchemes="
		more += fmt.Sprintf("# The program's own java.net.Authenticator gives the user, %s, and the password.\n", literal(name))
	}
	_, err := fmt.Fprintf(out, `%scp "$JAVA_HOME/lib/security/cacerts" %s
keytool -importcert -noprompt -alias quotagate -file %s -keystore %[2]s -storepass changeit
export JAVA_TOOL_OPTIONS=%[4]s
`, more, shellQuote(store), shellQuote(w.ca), shellQuote(options))
	return err
}
