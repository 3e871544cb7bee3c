package main

import (
	"fmt"
	"slices"
	"strings"

	"quotagate/proxy"
)

// proxyPAC sends the hosts that the rules name through the proxy, and all others
// past it. There is no second way for the named ones: while the proxy is down
// nothing of theirs goes uncounted.
func proxyPAC(address, scheme string, patterns []string) []byte {
	kind := "PROXY"
	if scheme == "https" {
		kind = "HTTPS"
	}
	exact, labels := []string{proxy.InternalHost}, []string{}
	for _, p := range patterns {
		if i := strings.LastIndexByte(p, ':'); i >= 0 && !strings.Contains(p[i:], "]") {
			p = p[:i] // a PAC file is told no port that it could rely on
		}
		if strings.Contains(p, "*") {
			labels = append(labels, p)
		} else {
			exact = append(exact, p)
		}
	}
	return fmt.Appendf(nil, `// quotagate: the hosts that its rules name go through it, all others go straight.
var hosts = [%s];
var patterns = [%s]; // * is one label, ** in front any number
function FindProxyForURL(url, host) {
  host = host.toLowerCase().replace(/\.$/, "");
  if (hosts.indexOf(host) >= 0) return %[3]s;
  for (var i = 0; i < patterns.length; i++) {
    var want = patterns[i].split("."), have = host.split(".");
    if (want[0] == "**") {
      want.shift();
      if (have.length > want.length) have = have.slice(have.length - want.length);
      else continue;
    }
    var same = want.length == have.length;
    for (var j = 0; same && j < want.length; j++) same = want[j] == "*" || want[j] == have[j];
    if (same) return %[3]s;
  }
  return "DIRECT";
}
`, literals(exact), literals(labels), literal(kind+" "+address))
}

func literals(list []string) string {
	slices.Sort(list)
	list = slices.Compact(list)
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = literal(s)
	}
	return strings.Join(out, ", ")
}
