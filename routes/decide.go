package routes

import "strings"

// decide is Werkzeug's MapAdapter.match: which rule matches, or which redirect
// or refusal comes of it. What a redirect needs stays in s.
func (t *Table) decide(s *search) (Kind, *rule) {
	r := s.run(t.machine.root)
	if r == nil && t.machine.mergeSlashes && strings.Contains(s.path, "//") {
		r = t.runMerged(s)
	}
	switch {
	case r == nil:
		return s.miss()
	case s.needsSlash || s.merged:
		return Redirect, r
	}
	return t.accept(s, r)
}

// runMerged tries again with doubled slashes merged.
func (t *Table) runMerged(s *search) *rule {
	s.path = t.behaviour.mergeSlashes(s.path)
	s.merged = true
	s.depth = 0
	r := s.run(t.machine.root)
	if r != nil && !s.needsSlash && t.behaviour.mergeOptOut && !r.route.MergeSlashes {
		return nil
	}
	return r
}

// miss says why no rule matched.
func (s *search) miss() (Kind, *rule) {
	switch {
	case s.other != nil:
		return UnexpectedMethod, s.other
	case s.mismatched != nil:
		return WebSocketOnly, s.mismatched
	}
	return UnexpectedPath, nil
}

// accept does what is left once a rule is found: its converters' checks and the
// redirects that it asks for.
func (t *Table) accept(s *search, r *rule) (Kind, *rule) {
	switch t.convert(s, r) {
	case refused:
		return s.miss()
	case raised:
		return Failed, r
	}
	switch {
	case r.route.Alias && !t.options.NoRedirectDefaults:
		return Redirect, r
	case len(r.defaultsFrom) > 0 && t.betterDefault(s, r) != nil:
		return Redirect, r
	case r.lostRedirect:
		return Failed, r
	case r.route.RedirectTo != "":
		return Redirect, r
	}
	return Found, r
}

// convert runs the converters' to_python where it could refuse anything.
func (t *Table) convert(s *search, r *rule) refusal {
	if r.bounded || r.numeric && len(s.path) > maxDigits {
		return t.check(r, s.values())
	}
	return accepted
}

// check runs the converters' to_python in order.
func (t *Table) check(r *rule, values []capture) refusal {
	for i, v := range r.variables {
		if i >= len(values) {
			break
		}
		n := v.converter.number
		if n == nil {
			continue
		}
		if !values[i].present || !v.converter.accepts(values[i].text) {
			// Groups of another converter's regex got here (before 2.3).
			return raised
		}
		if outcome := n.check(values[i].text); outcome != accepted {
			return outcome
		}
	}
	return accepted
}

// betterDefault returns the rule that the request is redirected to because its
// defaults are the values asked for.
func (t *Table) betterDefault(s *search, r *rule) *rule {
	values := r.named(s.values())
	for _, better := range r.defaultsFrom {
		if better.methods.has(s.method) && better.defaultsEqual(r, values) {
			return better
		}
	}
	return nil
}

// named returns the raw values by name.
func (r *rule) named(values []capture) map[string]string {
	out := make(map[string]string, len(values))
	for i, v := range r.variables {
		if i < len(values) && values[i].present {
			out[v.name] = values[i].text
		}
	}
	return out
}

// providesDefaultsFor is Rule.provides_defaults_for.
func (r *rule) providesDefaultsFor(o *rule) bool {
	if r.route.BuildOnly || len(r.route.Defaults) == 0 || r.sameTrace(o) || len(r.arguments) != len(o.arguments) {
		return false
	}
	for name := range r.arguments {
		if !o.arguments[name] {
			return false
		}
	}
	return true
}

// defaultsEqual says that r's defaults are what rule o made of the request.
func (r *rule) defaultsEqual(o *rule, values map[string]string) bool {
	for name, want := range r.route.Defaults {
		if own, ok := o.route.Defaults[name]; ok {
			if !equalValues(want, own) {
				return false
			}
			continue
		}
		if raw, ok := values[name]; ok && !o.converterOf(name).equals(raw, want) {
			return false
		}
	}
	return true
}

func (r *rule) converterOf(name string) *converter {
	for _, v := range r.variables {
		if v.name == name {
			return v.converter
		}
	}
	return nil
}

// equals says that to_python of the raw text equals a default of the source.
func (c *converter) equals(raw string, want any) bool {
	if c != nil && c.number != nil {
		f, ok := asFloat(want)
		return ok && compareNumber(raw, f) == 0
	}
	text, ok := want.(string)
	return ok && text == raw
}

func equalValues(a, b any) bool {
	x, ok1 := asFloat(a)
	y, ok2 := asFloat(b)
	if ok1 || ok2 {
		return ok1 && ok2 && x == y
	}
	return pythonText(a) == pythonText(b) && (a == nil) == (b == nil)
}
