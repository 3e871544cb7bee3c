package main

import (
	"fmt"
	"io"
	"net/url"
)

// What browsers are started with. Chromium is told to accept the certificate
// by its key, so that nothing has to be installed; it does so only in a profile
// of its own. https://www.chromium.org/administrators/ and
// chromium/src/services/network/public/cpp/network_switches.cc, read 2026-11-21

// address is the proxy without its user: browsers ask for that, and take none
// on the command line.
func (w *wiring) address() string {
	return (&url.URL{Scheme: w.proxy.Scheme, Host: w.proxy.Host}).String()
}

// user is who the proxy is told, and whether anybody is.
func (w *wiring) user() (name, password string, given bool) {
	if w.proxy.User == nil {
		return "", "", false
	}
	password, _ = w.proxy.User.Password()
	return w.proxy.User.Username(), password, true
}

// forPuppeteer writes launch options.
func forPuppeteer(out io.Writer, w *wiring, _ map[string]string) error {
	spki, err := w.spki()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `const browser = await puppeteer.launch({
  args: [%s, %s],
});
const page = await browser.newPage();
`, literal("--proxy-server="+w.address()), literal("--ignore-certificate-errors-spki-list="+spki))
	if name, password, ok := w.user(); ok && err == nil {
		_, err = fmt.Fprintf(out, "await page.authenticate({ username: %s, password: %s });\n", literal(name), literal(password))
	}
	return err
}

// forChromium writes a command line.
func forChromium(out io.Writer, w *wiring, _ map[string]string) error {
	spki, err := w.spki()
	if err != nil {
		return err
	}
	asks := ""
	if name, _, ok := w.user(); ok {
		asks = fmt.Sprintf("# It asks for the user, %s, and the password.\n", literal(name))
	}
	_, err = fmt.Fprintf(out, `# google-chrome, microsoft-edge and brave-browser take the same. A profile that
# you have already wants the certificate in the system's store instead.
%schromium --user-data-dir="$(mktemp -d)" \
  --proxy-server=%s \
  --ignore-certificate-errors-spki-list=%s
`, asks, shellQuote(w.address()), shellQuote(spki))
	return err
}

// forFirefox writes a profile of its own: the certificate goes to the profile's
// database, since Firefox on Linux does not look at the system's.
func forFirefox(out io.Writer, w *wiring, _ map[string]string) error {
	host, port := w.proxy.Hostname(), w.proxy.Port()
	if w.proxy.Scheme == "https" {
		_, err := fmt.Fprintf(out, `# Firefox speaks TLS to a proxy that a PAC file names, and to no other. Take
# proxy.pac of the set-up page, and name it in Settings, Network Settings,
# Automatic proxy configuration URL. Then let it trust %s in Settings,
# Certificates, Authorities.
`, w.ca)
		return err
	}
	_, err := fmt.Fprintf(out, `profile=$(mktemp -d)
cat >"$profile/user.js" <<'END'
user_pref("network.proxy.type", 1);
user_pref("network.proxy.http", %[1]s);
user_pref("network.proxy.http_port", %[2]s);
user_pref("network.proxy.ssl", %[1]s);
user_pref("network.proxy.ssl_port", %[2]s);
END
certutil -N -d "sql:$profile" --empty-password    # of libnss3-tools or nss-tools
certutil -A -d "sql:$profile" -n quotagate -t C,, -i %[3]s
firefox --no-remote --profile "$profile"
`, literal(host), port, shellQuote(w.ca))
	return err
}
