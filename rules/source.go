package rules

// Where values come from: a place in the request, then what is cut out of it.

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
)

// valueSource is a source made ready to run.
type valueSource struct {
	place  place
	name   string    // of the header, cookie, field, parameter or capture; the constant
	path   *jsonPath // into the body, or into the decoded value
	decode string
	after  string
	before string
	split  string
	re     *regexp.Regexp
	kind   string // what identity it yields
	param  string // the name of the one parameter that it is, if it is one
	mail   mailPart
	fold   string
	whole  bool // nothing is decoded or cut
}

type place uint8

const (
	inJSON place = iota
	inForm
	inQuery
	inPath
	inHeader
	inCookie
	inBearer
	inBasicUser
	inProxyUser
	inConst
)

// needsBody reports whether the source looks into the body.
func (v *valueSource) needsBody() bool { return v.place == inJSON || v.place == inForm }

// compileSource checks a source and makes it ready.
func compileSource(s *source, service string, at pos, report reporter) (valueSource, bool) {
	if s.Line > 0 {
		at = s.pos
	}
	v := valueSource{decode: s.Decode, after: s.After, before: s.Before, split: s.Split, fold: s.Fold, kind: s.kind(service)}
	set := 0
	take := func(on bool, p place, name string) {
		if on {
			set++
			v.place, v.name = p, name
		}
	}
	take(s.Form != "", inForm, s.Form)
	take(s.Query != "", inQuery, s.Query)
	take(s.Path != "", inPath, s.Path)
	take(s.Header != "", inHeader, s.Header)
	take(s.Cookie != "", inCookie, s.Cookie)
	take(s.Bearer, inBearer, "")
	take(s.BasicUser, inBasicUser, "")
	take(s.ProxyUser, inProxyUser, "")
	take(s.Const != "", inConst, s.Const)
	ok := true
	wrong := func(format string, args ...any) {
		report(at, format, args...)
		ok = false
	}
	if s.JSON != "" {
		if set == 0 {
			set, v.place = 1, inJSON
		} else if s.Decode != "json" {
			wrong("json beside another place needs decode: json\njson is then the path within the decoded value")
		}
		var err error
		if v.path, err = compileJSONPath(s.JSON); err != nil {
			wrong("%q is not a JSONPath: %s\nRFC 9535, for example $.message.to[*]", s.JSON, err)
		}
	}
	switch {
	case set == 0:
		wrong("a source says where its value is\none of json, form, query, path, header, cookie, bearer, basic_user, proxy_user, const")
	case set > 1:
		wrong("a source has one place, and this one has %d\na list of sources takes the first that is present", set)
	}
	switch v.place {
	case inForm, inQuery:
		v.param = v.name
	case inJSON:
		if v.path != nil && len(v.path.steps) == 1 {
			v.param, _ = v.path.member()
		}
	}
	switch s.Decode {
	case "", "json", "base64", "base64url", "mime":
	default:
		wrong("decode: %q is not known\nknown are json, base64, base64url, mime", s.Decode)
	}
	if s.Regexp != "" {
		var err error
		if v.re, err = regexp.Compile(s.Regexp); err != nil {
			wrong("%q is not a regular expression: %s", s.Regexp, regexpReason(err))
		}
	}
	v.whole = v.decode == "" && v.after == "" && v.before == "" && v.split == "" && v.re == nil && v.fold == ""
	return v, ok
}

func regexpReason(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

// values are all values that the source finds, in order, none of them empty.
// Within a batch, paths look at the item, and at the whole body only where
// the item has nothing and whole allows it (an operation of GraphQL is all that
// there is); what is found outside the item is the same for all of them, and is
// given with what was made of it before.
func (v *valueSource) values(in *input, whole bool) ([]string, *outside) {
	if !in.batch {
		return v.cut(in, v.raw(in)), nil
	}
	if v.place == inJSON {
		if found := v.cut(in, jsonValues(v.path, in.item)); len(found) > 0 || !whole || in.graphql {
			return found, nil
		}
	}
	o := in.shared[v]
	if o == nil {
		if in.shared == nil {
			in.shared = map[*valueSource]*outside{}
		}
		o = &outside{values: v.cut(in, v.raw(in))}
		in.shared[v] = o
	}
	return o.values, o
}

// raw is what stands at the source's place in the whole request.
func (v *valueSource) raw(in *input) []string {
	switch v.place {
	case inJSON:
		if in.body.hasJSON {
			return jsonValues(v.path, in.body.json)
		}
	case inForm:
		return in.body.fields.all(v.name)
	case inQuery:
		return in.queryFields().all(v.name)
	case inPath:
		return []string{in.pattern.capture(in.path, v.name)}
	case inHeader:
		return in.call.Header.Values(v.name)
	case inCookie:
		return cookies(in.call.Header, v.name)
	case inBearer:
		return authorization(in.call.Header, "bearer")
	case inBasicUser:
		var users []string
		for _, b64 := range authorization(in.call.Header, "basic") {
			if plain, ok := unbase64(b64); ok {
				user, _, _ := strings.Cut(plain, ":")
				users = append(users, user)
			}
		}
		return users
	case inProxyUser:
		return []string{in.call.ProxyUser}
	case inConst:
		return []string{v.name}
	}
	return nil
}

// cut decodes each value, then keeps what comes after and before the given
// texts, splits it, and keeps what the regular expression's first group (or
// all of it) matches. A value without the text to come after, or without a
// match, is none. Of what has several spellings it gives one. What there is
// nothing to do about is given as it is.
func (v *valueSource) cut(in *input, raw []string) []string {
	if v.whole && !slices.ContainsFunc(raw, untrimmed) {
		return raw
	}
	var out []string
	for _, s := range raw {
		for _, s := range v.decodeOne(in, s) {
			if v.after != "" {
				_, rest, ok := strings.Cut(s, v.after)
				if !ok {
					continue
				}
				s = rest
			}
			if v.before != "" {
				s, _, _ = strings.Cut(s, v.before)
			}
			parts := []string{s}
			if v.split != "" {
				parts = strings.Split(s, v.split)
			}
			for _, p := range parts {
				if v.re != nil {
					m := v.re.FindStringSubmatch(p)
					if m == nil {
						continue
					}
					p = m[min(1, len(m)-1)]
				}
				if p = strings.TrimSpace(p); p != "" {
					out = append(out, oneSpelling(v.fold, p))
				}
			}
		}
	}
	return out
}

// untrimmed reports a value that is empty or has white space around it.
func untrimmed(s string) bool { return s == "" || len(strings.TrimSpace(s)) < len(s) }

func (v *valueSource) decodeOne(in *input, s string) []string {
	switch v.decode {
	case "json":
		tree, err := readJSON([]byte(s))
		if err != nil {
			if plain, err := readScalar(s); err == nil {
				return []string{plain}
			}
			return nil
		}
		if tree, err = in.opened(tree); err != nil {
			return nil
		}
		if v.path == nil || v.place == inJSON {
			return flatten(nil, tree)
		}
		return jsonValues(v.path, tree)
	case "base64", "base64url":
		if plain, ok := unbase64(s); ok {
			return []string{plain}
		}
		return nil
	case "mime":
		return readMail(s, v.mail)
	}
	return []string{s}
}

// readScalar reads a JSON string that stands alone.
func readScalar(s string) (string, error) {
	tree, err := readJSON([]byte("[" + s + "]"))
	if err != nil {
		return "", err
	}
	return strings.Join(flatten(nil, tree), ""), nil
}

// unbase64 takes both alphabets, with and without padding.
func unbase64(s string) (string, bool) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSpace(s)), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	return string(b), err == nil
}
