package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path"
	"path/filepath"
	"strings"
)

// forShell writes lines that any POSIX shell reads, quoted.
func forShell(out io.Writer, w *wiring, env map[string]string) error {
	var b strings.Builder
	for _, v := range w.variables(env) {
		fmt.Fprintf(&b, "export %s=%s\n", v.name, shellQuote(v.value))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// inContainer is where the files are put in a container.
const inContainer = "/etc/quotagate"

// forDocker writes a docker run with the settings and the files that they
// name. The user's own variables stay outside of the container.
func forDocker(out io.Writer, w *wiring, _ map[string]string) error {
	inside := *w
	var b strings.Builder
	host, port, err := net.SplitHostPort(w.listen)
	if err != nil {
		return err
	}
	gateway := net.JoinHostPort("host.docker.internal", port)
	if loopback(host) {
		fmt.Fprintf(&b, "# The proxy listens on %s, which a container reaches only in the host's network.\n", w.listen)
		fmt.Fprintf(&b, "# For any other, let it listen on an address of the machine, with users (QUOTAGATE_PROXY_USERS),\n")
		fmt.Fprintf(&b, "# and name it %s, with --add-host host.docker.internal:host-gateway.\n", gateway)
		b.WriteString("docker run --network host \\\n")
	} else {
		b.WriteString("docker run --add-host host.docker.internal:host-gateway \\\n")
		u := *w.proxy
		u.Host = gateway
		inside.proxy = &u
	}
	for _, file := range []*string{&inside.ca, &inside.bundle, &inside.preload} {
		outside := *file
		*file = path.Join(inContainer, filepath.Base(outside))
		fmt.Fprintf(&b, "  -v %s:%s:ro \\\n", shellQuote(outside), *file)
	}
	for _, v := range inside.variables(nil) {
		fmt.Fprintf(&b, "  -e %s=%s \\\n", v.name, shellQuote(v.value))
	}
	b.WriteString("  IMAGE\n")
	_, err = io.WriteString(out, b.String())
	return err
}

// forNode writes what a program does that sets its own agents.
func forNode(out io.Writer, w *wiring, env map[string]string) error {
	_, err := fmt.Fprintf(out, `// Before Node starts:
//   export NODE_EXTRA_CA_CERTS=%[1]s HTTPS_PROXY=%[2]s NODE_USE_ENV_PROXY=1
//   export NODE_OPTIONS=%[3]s
// That is enough for fetch and for node:https with agents of Node's own kind.
// A program that makes its own connections is told of the proxy:
import { ProxyAgent, setGlobalDispatcher } from 'undici';
import { HttpsProxyAgent } from 'https-proxy-agent';
const proxy = %[4]s;
setGlobalDispatcher(new ProxyAgent(proxy));   // fetch, undici, @slack/web-api 8
const agent = new HttpsProxyAgent(proxy);     // all that takes an agent:
//   axios:             { httpsAgent: agent, proxy: false }
//   @slack/web-api 7:  new WebClient(token, { agent })
//   grammY:            new Bot(token, { client: { baseFetchConfig: { agent } } })
`, shellQuote(w.ca), shellQuote(w.proxy.String()), shellQuote(nodeOptions(w, env["NODE_OPTIONS"])), literal(w.proxy.String()))
	return err
}

// forPython writes the same for Python.
func forPython(out io.Writer, w *wiring, env map[string]string) error {
	_, err := fmt.Fprintf(out, `import os
os.environ.update({  # before the first request; requests and httpx read it
    "HTTP_PROXY": %[1]s, "HTTPS_PROXY": %[1]s, "NO_PROXY": %[2]s,
    "REQUESTS_CA_BUNDLE": %[3]s,
    "SSL_CERT_FILE": %[3]s,
})
# A program that sets its own proxies:
proxy, bundle = os.environ["HTTPS_PROXY"], os.environ["SSL_CERT_FILE"]
# requests: session.proxies = {"http": proxy, "https": proxy}; session.verify = bundle
# httpx:    httpx.Client(proxy=proxy, verify=ssl.create_default_context(cafile=bundle))
# aiohttp:  aiohttp.ClientSession(trust_env=True)
`, literal(w.proxy.String()), literal(noProxy(w, env["no_proxy"]+","+env["NO_PROXY"])), literal(w.bundle))
	return err
}

// forPlaywright writes launch options.
func forPlaywright(out io.Writer, w *wiring, _ map[string]string) error {
	spki, err := w.spki()
	if err != nil {
		return err
	}
	user := ""
	if name, password, ok := w.user(); ok {
		user = fmt.Sprintf(", username: %s, password: %s", literal(name), literal(password))
	}
	_, err = fmt.Fprintf(out, `// Chromium only; in Python the same options are keyword arguments.
const browser = await chromium.launch({
  proxy: { server: %s%s },
  args: [%s],
});
`, literal(w.address()), user, literal("--ignore-certificate-errors-spki-list="+spki))
	return err
}

// literal is a string as JavaScript and Python write it.
func literal(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if enc.Encode(s) != nil { // a string always encodes
		return `""`
	}
	return strings.TrimSpace(b.String())
}
