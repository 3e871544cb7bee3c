package proxy

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"quotagate/ratelimit"
)

// inner is what an error may wrap that nobody outside may read.
var inner = &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.MustParseAddrPort("10.1.2.3:6379")),
	Err: &fs.PathError{Op: "open", Path: "/etc/hidden", Err: errors.New("hunter2")}}

// told is an example of every error that a client may be told of.
var told = []struct {
	name   string // of the type or the variable
	err    error
	status int
	word   string
}{
	{"AddressError", &AddressError{Host: "intranet.example", Addr: netip.MustParseAddr("10.1.2.3"), Reason: "private"}, 403, "address"},
	{"PortError", &PortError{Host: "intranet.example", Port: 25}, 403, "port"},
	{"EgressError", &EgressError{Host: "intranet.example"}, 403, "egress"},
	{"DialError", &DialError{"intranet.example", "connect to", inner}, 502, "upstream"},
	{"DialError", &DialError{"intranet.example", "connect to", &net.OpError{Op: "dial", Addr: inner.Addr, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}, 502, "refused"},
	{"DialError", &DialError{"intranet.example", "connect to", os.ErrDeadlineExceeded}, 504, "timeout"},
	{"DialError", &DialError{"intranet.example", "resolve", &net.DNSError{Err: "no such host", Name: "intranet.example", Server: "10.1.2.3:53"}}, 502, "dns"},
	{"DialError", &DialError{"intranet.example", "resolve", &net.DNSError{Err: "i/o timeout", Server: "10.1.2.3:53", IsTimeout: true}}, 504, "dns"},
	{"ParentError", &ParentError{Parent: "http://10.1.2.3:3128", Err: inner}, 502, "parent"},
	{"ParentError", &ParentError{Parent: "http://10.1.2.3:3128", Err: os.ErrDeadlineExceeded}, 504, "parent"},
	{"ParentError", &ParentError{Parent: "http://10.1.2.3:3128", Status: 407}, 502, "parent"},
	{"ErrLoop", &ParentError{Parent: "http://10.1.2.3:3128", Err: ErrLoop}, 508, "loop"},
	{"clientCertificateError", clientCertificateError{inner}, 502, "tls-client-certificate"},
	{"weakKeyError", weakKeyError{512}, 502, "certificate-weak"},
	{"requestError", requestError{inner}, 400, "request"},
	{"storeError", storeError{inner}, 503, "store"},
	{"errNotWritten", errNotWritten{inner}, 502, "upstream"},
	{"answeredError", answeredError{err: inner, id: "x"}, 502, "upstream"},
	{"ErrDraining", ErrDraining, 503, "draining"},
	{"errTooManyHeld", errTooManyHeld, 503, "busy"},
	{"errTooManyOfAccount", errTooManyOfAccount, 503, "busy"},
	{"errTooManyOfClient", errTooManyOfClient, 503, "busy"},
	{"errCrowded", errCrowded, 503, "busy"},
	{"errPanicked", errPanicked, 500, "internal"},
	{"errSlowBody", errSlowBody, 408, "slow"},
	{"errSlowHeader", errSlowHeader, 408, "slow"},
	{"errLongHeader", errLongHeader, 431, "header"},
	{"errNoRoom", errNoRoom, 503, "busy"},
	{"ErrMinting", fmt.Errorf("%w: %w", ErrMinting, inner), 503, "mint"},
	{"ErrOutsideCA", fmt.Errorf("%w: %w", ErrOutsideCA, inner), 503, "authority"},
	{"errUnanswered", errUnanswered, 504, "unanswered"},
	{"errBadStatus", errBadStatus, 502, "status"},
	{"ErrStopped", fmt.Errorf("%w: %w", ratelimit.ErrStopped, inner), 503, "store"},
	{"EOF", io.ErrUnexpectedEOF, 502, "reset"},
	{"ECONNRESET", &net.OpError{Op: "read", Addr: inner.Addr, Err: os.NewSyscallError("read", syscall.ECONNRESET)}, 502, "reset"},
	{"EPIPE", &net.OpError{Op: "write", Addr: inner.Addr, Err: os.NewSyscallError("write", syscall.EPIPE)}, 502, "reset"},
	{"anything else", inner, 502, "upstream"},
}

// untold are the errors that no client is answered with by failureOf: they end
// a connection, are another answer's, or do not leave the package.
var untold = []string{
	"barredError", "errTooLarge", "errOpaque", // a refusal of the Enforcer's
	"errGovernedName", "errNameless", "errTunnelIdle", "errHelloLong", "errHelloSeen", // end a tunnel
	"errClientGone", "errLook", "errLanded", "errNoMessage", // end a wait
	"errParentAddress",     // of the configuration
	"errFlood", "errPlain", // ends a connection
}

func TestWhatClientsAreToldOfErrors(t *testing.T) {
	for _, c := range told {
		for _, err := range []error{c.err, fmt.Errorf("around: %w", c.err)} {
			f := failureOf(err)
			if f.Status != c.status || f.Word != c.word || f.Detail == "" {
				t.Errorf("%s (%v): %+v, want %d %s", c.name, err, f, c.status, c.word)
			}
			for _, hidden := range []string{"10.1.2.3", "hidden", "hunter2", "3128"} {
				if strings.Contains(f.Detail, hidden) {
					t.Errorf("%s: clients are told %q", c.name, f.Detail)
				}
			}
		}
	}
}

// TestEveryErrorHasItsAnswer reads the source: an error of the package is in
// one of the tables above, so that nobody adds one without an answer.
func TestEveryErrorHasItsAnswer(t *testing.T) {
	known := map[string]bool{}
	for _, name := range untold {
		known[name] = true
	}
	for _, c := range told {
		known[c.name] = true
	}
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	check := func(name string) {
		found++
		if !known[name] {
			t.Errorf("%s has no line in errors_test.go: what is a client told of it?", name)
		}
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "Error" && d.Recv != nil && len(d.Type.Params.List) == 0 {
					on := d.Recv.List[0].Type
					if star, ok := on.(*ast.StarExpr); ok {
						on = star.X
					}
					check(on.(*ast.Ident).Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
						for _, n := range v.Names {
							if strings.HasPrefix(strings.ToLower(n.Name), "err") {
								check(n.Name)
							}
						}
					}
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d errors found in the source", found)
	}
}
