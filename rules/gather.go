package rules

// All files as one: what each says is put together, and what two of them say
// is found.

// gathered is what all files say together.
type gathered struct {
	l        *loader
	services map[string]*service
	messages []*message
	refusals map[string]*refusal
	accounts map[string]*account
	defaults []*defaults
	egress   string // the strictest of all files
	limits   map[string]*limit
	credits  map[string]*credit
	order    []*limit           // the limits in the order of the files
	home     map[*limit]*loaded // the file that a limit stands in
}

func gather(l *loader) *gathered {
	g := &gathered{
		l: l, services: map[string]*service{}, refusals: map[string]*refusal{}, accounts: map[string]*account{},
		egress: open, limits: map[string]*limit{}, credits: map[string]*credit{}, home: map[*limit]*loaded{},
	}
	for _, f := range l.order {
		g.file(f)
	}
	for _, f := range l.order {
		for _, o := range f.file.Override {
			g.override(o)
		}
	}
	return g
}

func (g *gathered) file(f *loaded) {
	at := g.l.r.at
	if v := f.file.Version; v != 1 && f.file.Line > 0 && v != 0 {
		at(f.file.pos, "this file is written in version %d of the rules language, and this is a quotagate of version 1", v)
	}
	if !f.everyone {
		g.onlyLimits(f)
	}
	for name, s := range f.file.Services {
		if other := g.services[name]; other != nil {
			at(s.pos, "the service %q is described twice\nit is in %s already", name, other.pos)
			continue
		}
		g.services[name] = s
	}
	for name, r := range f.file.Refusals {
		if other := g.refusals[name]; other != nil {
			at(r.pos, "the refusal %q is described twice\nit is in %s already", name, other.pos)
			continue
		}
		g.refusals[name] = r
	}
	for _, name := range sorted(f.file.Credits) {
		c := f.file.Credits[name]
		if other := g.credits[name]; other != nil {
			at(c.pos, "the credits %q are described twice\nthey are in %s already", name, other.pos)
			continue
		}
		g.credits[name] = c
	}
	for _, name := range sorted(f.file.Accounts) {
		a := f.file.Accounts[name]
		if other := g.accounts[name]; other != nil {
			at(a.pos, "the account %q is listed twice\nit is in %s already", name, other.pos)
			continue
		}
		a.name = name
		g.accounts[name] = a
	}
	g.messages = append(g.messages, f.file.Messages...)
	if f.file.Defaults != nil {
		g.defaults = append(g.defaults, f.file.Defaults)
	}
	if f.file.Egress.S == governedOnly {
		g.egress = governedOnly
	}
	for _, lim := range f.file.Limits {
		name := lim.Name.S
		if other := g.limits[name]; other != nil {
			at(lim.Name.pos, "duplicate limit %q\nit is in %s already; to change it, write it under override:", name, other.Name.pos)
		} else if name != "" {
			g.limits[name] = lim
		}
		g.order = append(g.order, lim)
		g.home[lim] = f
	}
}

// onlyLimits: what an account uses for itself cannot speak for the others.
func (g *gathered) onlyLimits(f *loaded) {
	at := g.l.r.at
	const why = "this file is used by an account for itself alone, and cannot have %s:\nuse it at the top of the file, or move that part there"
	if f.file.Defaults != nil {
		at(f.file.Defaults.pos, why, "defaults")
	}
	if f.file.Egress.S != "" {
		at(f.file.Egress.pos, why, "egress")
	}
	for _, a := range f.file.Accounts {
		at(a.pos, why, "accounts")
	}
	for _, o := range f.file.Override {
		at(o.pos, why, "override")
	}
}

// word is a default; where two files set it, they must agree.
func (g *gathered) word(of func(*defaults) text, otherwise string) string {
	var set text
	for _, d := range g.defaults {
		w := of(d)
		switch {
		case w.S == "":
		case set.S != "" && set.S != w.S:
			g.l.r.at(w.pos, "this default is %q here and %q elsewhere\nthe other is in %s", w.S, set.S, set.pos)
		default:
			set = w
		}
	}
	if set.S == "" {
		return otherwise
	}
	return set.S
}
