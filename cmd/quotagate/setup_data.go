package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"quotagate/certs"
	"quotagate/proxy"
	"quotagate/rules"
)

// setupData is what the page is filled with.
type setupData struct {
	Address     string // of the proxy, as this visitor reaches it
	User        string // the name that the visitor gave, or ""
	Local       bool   // the visitor is on the proxy's own machine
	Trusted     bool   // by TLS already
	Visits      visitsShown
	Fetch       string // the command that gets the files that the snippets name
	Snippets    []snippet
	Fingerprint string
	NotAfter    string
	Services    []governedService
	Limits      []limitSaid
	Shadow      bool // limits count, and refuse nothing
	Closed      bool // hosts that no rule names are refused
	Admin       string
}

// A snippet is the settings for one kind of client.
type snippet struct{ Name, Title, Text string }

// A governedService is a service of the rules, and its hosts.
type governedService struct {
	Name  string
	Hosts []string
}

// A limitSaid is a limit in words.
type limitSaid struct{ Name, On, Words string }

func (s *service) setupData(r *http.Request) (*setupData, error) {
	client := proxy.ClientOf(r.Context())
	who := s.visits.visitor(client.Addr, client.User)
	w := s.visitorsWiring(r, client)
	snippets, err := pageSnippets(w)
	if err != nil {
		return nil, err
	}
	set := s.rules()
	d := &setupData{
		Address: w.listen, User: client.User,
		// In absolute form, TLS is that of the proxy's own port.
		Trusted:     r.TLS != nil && !r.URL.IsAbs(),
		Visits:      s.visits.shown(who),
		Fetch:       fetchFiles(w),
		Snippets:    snippets,
		Fingerprint: s.ca.Fingerprint(),
		NotAfter:    s.ca.NotAfter().UTC().Format(time.DateOnly),
		Services:    governedServices(set),
		Limits:      limitsSaid(set),
		Shadow:      set.Mode() == "shadow",
		Closed:      set.GovernedOnly(),
	}
	if ap, err := netip.ParseAddrPort(client.Addr); err == nil && ap.Addr().Unmap().IsLoopback() {
		d.Local, d.Admin = true, s.back.Addr().String()
		if at := addrPortOf(s.back); at.Addr().IsUnspecified() {
			d.Admin = netip.AddrPortFrom(ap.Addr().Unmap(), at.Port()).String()
		}
	}
	return d, nil
}

// reachedBy is the proxy's address as a client reached it: its end of the
// client's connection, under the name that the client asked for where the
// proxy's port has TLS.
func (s *service) reachedBy(r *http.Request) string {
	addr := s.front.Addr().String()
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		addr = local.String()
	}
	if ap, err := netip.ParseAddrPort(addr); err == nil {
		addr = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
	}
	if r.TLS != nil && r.URL.IsAbs() && r.TLS.ServerName != "" {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			addr = net.JoinHostPort(r.TLS.ServerName, port)
		}
	}
	return addr
}

// atHome stands in paths of the snippets for the visitor's home directory,
// whose name only his own programs know.
const atHome = "@HOME@"

// filesFolder is where the snippets look for the files.
const filesFolder = "/quotagate/"

// visitorsWiring is how the visitor's programs come through the proxy.
func (s *service) visitorsWiring(r *http.Request, c *proxy.Client) *wiring {
	addr := s.reachedBy(r)
	w := &wiring{
		listen:  addr,
		proxy:   &url.URL{Scheme: s.cfg.proxyScheme(), Host: addr},
		ca:      atHome + filesFolder + certs.CertFile,
		bundle:  atHome + filesFolder + bundleFile,
		preload: atHome + filesFolder + preloadFile,
		caPEM:   s.ca.PEM(),
	}
	switch {
	case s.cfg.ProxyUsers != "" && c.User == "":
		w.proxy.User = url.UserPassword("USER", "PASSWORD")
	case s.cfg.ProxyUsers != "":
		w.proxy.User = url.UserPassword(c.User, "PASSWORD")
	case c.User != "":
		w.proxy.User = url.UserPassword(c.User, anyPassword)
	}
	return w
}

// fetchFiles is the command of a POSIX shell that gets the files.
func fetchFiles(w *wiring) string {
	return fmt.Sprintf(`mkdir -p "$HOME%[1]s" && cd "$HOME%[1]s" &&
  curl -f --proxy %[2]s --remote-name-all '%[3]s/{%[4]s,%[5]s,%[6]s}'`,
		strings.TrimSuffix(filesFolder, "/"), shellQuote(w.proxy.String()), plainOrigin, certs.CertFile, bundleFile, preloadFile)
}

// fetchByPower is the same for PowerShell.
func fetchByPower(w *wiring) string {
	user := ""
	if _, _, ok := w.user(); ok {
		user = " -ProxyCredential (Get-Credential)"
	}
	return fmt.Sprintf(`New-Item -ItemType Directory -Force "$HOME%[1]s" | Out-Null
foreach ($file in '%[2]s', '%[3]s', '%[4]s') {
  Invoke-WebRequest -Proxy %[5]s%[6]s "%[7]s/$file" -OutFile "$HOME%[1]s/$file"
}
`, strings.TrimSuffix(filesFolder, "/"), certs.CertFile, bundleFile, preloadFile, powerQuote(w.address()), user, plainOrigin)
}

// quotedHome and literalHome are strings with the home directory in them.
var (
	quotedHome  = regexp.MustCompile(`'([^'\n]*)` + atHome + `([^'\n]*)'`)
	literalHome = regexp.MustCompile(`"` + atHome + `([^"\n]*)"`)
)

// homeIn says how the languages without a $HOME in their strings write it.
var homeIn = map[string]string{
	"python": `os.path.expanduser("~$1")`,
	"go":     `os.Getenv("HOME") + "$1"`,
}

// pageSnippets are what `quotagate env --for` prints, for every kind of client.
func pageSnippets(w *wiring) ([]snippet, error) {
	var all []snippet
	for _, f := range envFormats {
		var b strings.Builder
		if err := f.write(&b, w, nil); err != nil {
			return nil, fmt.Errorf("write the settings for %s: %w", f.name, err)
		}
		text := quotedHome.ReplaceAllString(b.String(), `"${1}$$HOME${2}"`)
		if home, ok := homeIn[f.name]; ok {
			text = literalHome.ReplaceAllString(text, home)
		}
		text = strings.ReplaceAll(text, atHome, "~")
		if f.name == "powershell" || f.name == "windows" {
			text = fetchByPower(w) + text
		}
		all = append(all, snippet{f.name, f.title, text})
	}
	return all, nil
}

// governedServices are the services of the rules, those without a name last.
func governedServices(set *rules.Set) []governedService {
	var all []governedService
	for _, host := range set.Hosts() {
		example := strings.NewReplacer("**", "x", "*", "x").Replace(host)
		sight := set.Look(&rules.Call{Scheme: "https", Method: http.MethodGet, Host: example, Path: "/"})
		name := sight.Service()
		i := slices.IndexFunc(all, func(g governedService) bool { return g.Name == name })
		if i < 0 {
			all = append(all, governedService{Name: name})
			i = len(all) - 1
		}
		all[i].Hosts = append(all[i].Hosts, host)
	}
	slices.SortStableFunc(all, func(a, b governedService) int {
		switch {
		case a.Name == "" && b.Name != "":
			return 1
		case b.Name == "" && a.Name != "":
			return -1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all
}

// limitsSaid are the limits in words. The names of the accounts that one binds
// are not for every user of the proxy.
func limitsSaid(set *rules.Set) []limitSaid {
	var all []limitSaid
	for _, l := range set.Limits() {
		all = append(all, limitSaid{l.Name, strings.Join(l.On, ", "), limitWords(l)})
	}
	return all
}

func limitWords(l rules.LimitInfo) string {
	words := l.Measure
	if !l.Allow.IsZero() {
		words = l.Allow.String()
		if l.Measure != "allow" {
			words += " (" + l.Measure + ")"
		}
	}
	switch {
	case l.Pace != "":
		words = "one every " + l.Pace
	case l.Credits != "":
		words = "as many as there are credits of " + l.Credits
	case l.Per == "lifetime":
		words += " in all"
	case l.Per != "" && l.Per[0] >= '0' && l.Per[0] <= '9':
		words += " in any " + l.Per
	case l.Per != "":
		words += " a " + l.Per
	}
	if l.By != "" {
		words += ", to each " + l.By
	}
	if l.Scope != "" {
		words += ", for all accounts together"
	}
	if len(l.Plans) > 0 {
		words += ", on the plan " + strings.Join(l.Plans, ", or ")
	}
	if len(l.Accounts) > 0 {
		words += ", for some accounts"
	}
	if l.When != "" {
		words += ", when " + l.When
	}
	if l.Wait > 0 {
		words += "; held up to " + (time.Duration(l.Wait) * time.Millisecond).String()
	}
	switch l.Mode {
	case "shadow":
		words += "; only counted"
	case "warn":
		words += "; only warned of"
	}
	return words
}
