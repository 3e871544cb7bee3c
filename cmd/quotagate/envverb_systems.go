package main

import (
	"fmt"
	"io"
	"strings"
)

// forPowerShell writes the variables of this shell and of all that it starts.
func forPowerShell(out io.Writer, w *wiring, env map[string]string) error {
	var b strings.Builder
	seen := map[string]bool{} // Windows has one variable for both cases of a name
	for _, v := range w.variables(env) {
		name := strings.ToUpper(v.name)
		if !seen[name] {
			seen[name] = true
			fmt.Fprintf(&b, "$env:%s = %s\n", name, powerQuote(v.value))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// powerQuote writes a string as PowerShell takes it literally.
func powerQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// forWindows sets the proxy of the system, and trusts the certificate, for this
// user alone. https://learn.microsoft.com/en-us/windows-server/administration/windows-commands/certutil,
// read 2026-11-21
func forWindows(out io.Writer, w *wiring, _ map[string]string) error {
	_, err := fmt.Fprintf(out, `# In PowerShell. It asks whether to trust the certificate.
certutil -user -addstore Root %s
$settings = 'HKCU:\Software\Microsoft\Windows\CurrentVersion\Internet Settings'
Set-ItemProperty $settings ProxyServer %s
Set-ItemProperty $settings ProxyOverride 'localhost;127.*;[::1];<local>'
Set-ItemProperty $settings ProxyEnable 1
# Undone by: Set-ItemProperty $settings ProxyEnable 0; certutil -user -delstore Root quotagate
`, powerQuote(w.ca), powerQuote(w.systemProxy()))
	return err
}

// systemProxy is the proxy as Windows names it: with a scheme only if that is
// not the usual one.
func (w *wiring) systemProxy() string {
	if w.proxy.Scheme == "http" {
		return w.proxy.Host
	}
	return w.address()
}

// forMacOS does the same for macOS, on its Wi-Fi. See networksetup(8) and
// security(1) of macOS 15.
func forMacOS(out io.Writer, w *wiring, _ map[string]string) error {
	user := ""
	if name, password, ok := w.user(); ok {
		user = " on " + shellQuote(name) + " " + shellQuote(password)
	}
	tls := ""
	if w.proxy.Scheme == "https" {
		tls = "# macOS speaks no TLS to a proxy that is set so: name proxy.pac of the set-up page instead.\n"
	}
	_, err := fmt.Fprintf(out, `%[1]s# On Wi-Fi; networksetup -listallnetworkservices names the others.
security add-trusted-cert -r trustRoot -k ~/Library/Keychains/login.keychain-db %[2]s
networksetup -setwebproxy Wi-Fi %[3]s %[4]s%[5]s
networksetup -setsecurewebproxy Wi-Fi %[3]s %[4]s%[5]s
networksetup -setproxybypassdomains Wi-Fi localhost 127.0.0.1 ::1
# Undone by: networksetup -setwebproxystate Wi-Fi off; networksetup -setsecurewebproxystate Wi-Fi off
`, tls, shellQuote(w.ca), w.proxy.Hostname(), w.proxy.Port(), user)
	return err
}
