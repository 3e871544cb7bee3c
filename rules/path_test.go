package rules

import (
	"net/http"
	"strings"
	"testing"
)

func TestPathPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/", "/", true},
		{"/a", "/", false},
		{"/a/*", "/a/b", true},
		{"/a/*", "/a", false},
		{"/a/*", "/a/b/c", false},
		{"/**", "/", true},
		{"/**", "/a/b", true},
		{"/a/**", "/a", true},
		{"/a/**/z", "/a/z", true},
		{"/a/**/z", "/a/b/c/z", true},
		{"/a/**/z", "/a/b/c", false},
		{"/bot{token}/getMe", "/bot1:x/getMe", true},
		{"/bot{token}/getMe", "/bot/getMe", false},
		{"/v{n}.json", "/v12.json", true},
		{"/{a}-{b}-c", "/1-2-3-c", true},
		{"/{a}-{b}-c", "/1-c", false},
		{"(?i)/bot{token}/getMe", "/BOTAbC/GETme", true},
		{"/salesApi*", "/salesApiX", true},
	} {
		p, err := compilePath(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		var root trie
		root.insert(p).leaves = []int32{0}
		if got := len(root.walk(c.path[1:], nil)) > 0; got != c.want {
			t.Errorf("%s holds for %s: %v", c.pattern, c.path, got)
		}
	}
	for _, bad := range []string{"", "a", "/a//b", "/{a}{b}", "/{a", "/a}", "/{}", "/a?x", "/**/**", "/{a}/{a}", "/.."} {
		if _, err := compilePath(bad); err == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
}

func TestCaptures(t *testing.T) {
	for _, c := range []struct{ pattern, path, name, want string }{
		{"/bot{token}/{method}", "/botAb:C/x", "token", "Ab:C"},
		{"(?i)/bot{token}/{method}", "/BOTAb:C/sendIt", "method", "sendIt"},
		{"/a/**/{last}/z", "/a/b/c/d/z", "last", "d"},
		{"/a/**/{last}/z", "/a/d/z", "last", "d"},
		{"/{a}-{b}-c", "/1-2-3-c", "b", "2-3"},
	} {
		p, err := compilePath(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.capture(c.path, c.name); got != c.want {
			t.Errorf("%s of %s in %s is %q, want %q", c.name, c.path, c.pattern, got, c.want)
		}
	}
}

func TestHosts(t *testing.T) {
	x := newHostIndex()
	for _, p := range []string{"a.example", "*.b.example", "**.c.example", "mail.*.d.example", "p.example:8443"} {
		if _, wrong := x.entry(p); wrong != "" {
			t.Fatal(p, wrong)
		}
	}
	for host, want := range map[string]bool{
		"a.example": true, "A.EXAMPLE.": true, "x.a.example": false, "b.example": false, "x.b.example": true,
		"x.y.b.example": false, "x.c.example": true, "x.y.c.example": true, "c.example": false,
		"mail.eu.d.example": true, "mail.d.example": false, "mail.e.u.d.example": false,
		"p.example:8443": true, "p.example:443": false, "a.example:99": true,
		"p.example:08443": true, "p.example:8443x": true, "p.example:-1": true, "p.example:99999": true, "q.example:8443x": false,
		"x\n.b.example": false, "x%0a.c.example": false, "x%250a.c.example": false, "x y.b.example": false,
	} {
		name, port := splitHost(host)
		if got := len(x.find(name, port, nil)) > 0; got != want {
			t.Errorf("%s: %v, want %v", host, got, want)
		}
	}
	for in, want := range map[string]string{
		"[::1]:443": "::1", "[::1]": "::1", "::1": "::1", "BÜCHER.example:1": "xn--bcher-kva.example", "a%2eb": "a.b", "": "",
		"0:0::1": "::1", "::ffff:1.2.3.4": "1.2.3.4", "fe80::1%25eth0": "fe80::1%eth0", "A_b-1.": "a_b-1",
		// Names nothing, so that it can neither escape a rule nor be printed.
		"x%0aFAKE.slack.com": "", "x%250aFAKE.slack.com": "", "x\x1b[31m.slack.com": "", "fe80::1%0a": "", "a:b:c": "",
		"a%3a443": "", "a/b": "", "a b": "", "*.a": "", "\xff.a": "", "xn--\u2028.a": "", "a%": "", "[": "",
	} {
		if got := NormaliseHost(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	for _, p := range []string{"a.example:0", "a.example:x", "a.example:65536", "a.example:*", "a\n.example", ""} {
		if _, wrong := x.entry(p); wrong == "" {
			t.Errorf("%q is taken for a host", p)
		}
	}
}

// A port is a number: other spellings of it do not escape a rule that writes
// one, and what can be no host is named by nothing.
func TestNames(t *testing.T) {
	s := matching(t, strings.Replace(oneRule, "hosts: [chat.example]", "hosts: ['**.chat.example:0443']", 1))
	for host, want := range map[string]bool{
		"a.chat.example": true, "a.chat.example:443": true, "a.chat.example:0443": true, "a.chat.example:443 ": true,
		"a.chat.example:8443": false, "a.chat.other": false, "x%0aFAKE.chat.example": false, "x%250aFAKE.chat.example:443": false, "": false,
	} {
		if got := s.Names(host); got != want {
			t.Errorf("%q is named: %v", host, got)
		}
		if !want {
			continue
		}
		if sight := s.Look(call(t, "POST", "https://"+host+"/api/v1/send?action=create")); !sight.Message() {
			t.Errorf("a message to %q is none", host)
		}
	}
}

// The normal form of a normal form is itself, in every reading.
func FuzzNormalisePath(f *testing.F) {
	for _, p := range []string{"/", "", "/a%2fb/../c;x=y/", `/%5c\..\%252e%252e//`, "/%%%32%35%", "*", "/a/./b/%2E%2e/;/", "/%c0%af/\xff"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		list, n := readings(path)
		for _, r := range list[:n] {
			once := normalisePath(path, r)
			if twice := normalisePath(once, r); twice != once {
				t.Errorf("reading %d of %q is %q, and of that %q", r, path, once, twice)
			}
			if !strings.HasPrefix(once, "/") || len(once) > 1 && strings.HasSuffix(once, "/") || strings.Contains(once, "//") {
				t.Errorf("%q is not a normal form", once)
			}
		}
	})
}

// A body is read or unreadable; what is read can be read again from what it
// says, and nothing panics.
func FuzzReadBody(f *testing.F) {
	for _, s := range []struct{ kind, encoding, body string }{
		{"", "", `{"a":[1,2.5,1e400,"x\u0000",null,true,{"b":{}}]}`},
		{"application/x-www-form-urlencoded", "", "a=1&b=%zz&&=&c"},
		{"multipart/form-data; boundary=b", "", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"},
		{"", "", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n"},
		{"", "gzip", "\x1f\x8b\x08"}, {"", "zstd", "(\xb5/\xfd"}, {"", "br, deflate", "x"},
		{"", "", "\xff\xfe{\x00}\x00"}, {"", "", "{\"a\":1,\"a\":2}"},
	} {
		f.Add(s.kind, s.encoding, []byte(s.body))
	}
	f.Fuzz(func(t *testing.T, kind, encoding string, body []byte) {
		h := http.Header{}
		if kind != "" {
			h.Set("Content-Type", kind)
		}
		if encoding != "" {
			h.Set("Content-Encoding", encoding)
		}
		c, err := readBody(h, body, 0)
		if err != nil {
			if _, ok := err.(*UnreadableError); !ok {
				t.Errorf("%v is not an UnreadableError", err)
			}
			return
		}
		if c.hasJSON {
			text, err := encode(c.json)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readJSON(text); err != nil {
				t.Errorf("%s was read out of %q and cannot be read: %v", text, body, err)
			}
		}
	})
}
