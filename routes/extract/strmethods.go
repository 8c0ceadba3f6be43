package extract

import (
	"strings"
	"unicode"
)

// strMethods are the methods of str that are computed; others give a text that
// is not known.
var strMethods = map[string]func(s string, c *call) value{
	"strip":      trimmer(strings.Trim, strings.TrimSpace),
	"lstrip":     trimmer(strings.TrimLeft, trimLeftSpace),
	"rstrip":     trimmer(strings.TrimRight, trimRightSpace),
	"lower":      inCase(strings.ToLower),
	"upper":      inCase(strings.ToUpper),
	"title":      inCase(titled),
	"capitalize": inCase(capitalized),
	"replace":    strReplace,
	"split":      strSplit,
	"rsplit":     strRSplit,
	"splitlines": splitLines,
	"partition":  strPartition,
	"rpartition": strRPartition,
	"startswith": func(s string, c *call) value { return affix(s, c, strings.HasPrefix) },
	"endswith":   func(s string, c *call) value { return affix(s, c, strings.HasSuffix) },
	"removeprefix": func(s string, c *call) value {
		return withText(c, func(p string) value { return strings.TrimPrefix(s, p) })
	},
	"removesuffix": func(s string, c *call) value {
		return withText(c, func(p string) value { return strings.TrimSuffix(s, p) })
	},
	"isupper":      func(s string, _ *call) value { return isUpper(s) },
	"islower":      func(s string, _ *call) value { return strings.ToLower(s) == s && strings.ToUpper(s) != s },
	"isdigit":      isDigit,
	"isidentifier": func(s string, _ *call) value { return isIdentifier(s) },
	"encode":       func(s string, _ *call) value { return rawBytes(s) },
	"count": func(s string, c *call) value {
		return withText(c, func(p string) value { return int64(strings.Count(s, p)) })
	},
	"find": func(s string, c *call) value {
		return withText(c, func(p string) value { return int64(strings.Index(s, p)) })
	},
	"rfind": func(s string, c *call) value {
		return withText(c, func(p string) value { return int64(strings.LastIndex(s, p)) })
	},
}

// methodOfText is a method of a string that is known, perhaps in part.
func (in *interp) methodOfText(s value, name string) value {
	return &native{name: "str." + name, call: func(in *interp, c *call) value {
		known, ok := s.(string)
		switch {
		case name == "format" && ok:
			return in.format(known, c)
		case name == "format":
			return partial("a formatted value", beforeByte(s.(*unknown).head, '{'), "")
		case name == "join":
			return in.joinText(s, c)
		case !ok:
			return partialMethod(s.(*unknown), name, c)
		}
		if f, ok := strMethods[name]; ok {
			return bounded(f(known, c))
		}
		return partial("the result of str."+name, "", "")
	}}
}

// bounded is v unless it is a text that grew too long.
func bounded(v value) value {
	if s, ok := v.(string); ok && len(s) > maxText {
		return tooLong(s)
	}
	return v
}

// partialMethod keeps what a method leaves of the known ends.
func partialMethod(u *unknown, name string, c *call) value {
	switch name {
	case "rstrip":
		return &unknown{why: u.why, text: true, head: u.head, setting: u.setting}
	case "lstrip":
		return &unknown{why: u.why, text: true, tail: u.tail, setting: u.setting}
	case "split", "rsplit", "splitlines":
		return &seq{open: true}
	case "startswith":
		p, _ := c.get(0, "prefix")
		if p, ok := p.(string); ok && strings.HasPrefix(u.head, p) {
			return true
		}
		return &unknown{why: u.why, setting: u.setting}
	case "endswith", "isdigit", "find", "count":
		return &unknown{why: u.why, setting: u.setting}
	}
	return &unknown{why: u.why, text: true, setting: u.setting}
}

func (in *interp) joinText(sep value, c *call) value {
	list, ok := c.get(0, "")
	if !ok {
		return partial("a join without a list", "", "")
	}
	items, open := in.iterate(list)
	var out value = ""
	for i, item := range items {
		if i > 0 {
			out = pairs(out, sep, concat)
		}
		out = pairs(out, each(item, in.textOnly), concat)
	}
	if open {
		out = pairs(out, partial("a join of items that are not known", "", ""), concat)
	}
	return out
}

// textOnly is v where it is text; nothing else joins.
func (in *interp) textOnly(v value) value {
	if isText(v) {
		return v
	}
	return partial("an item that is not known", "", "")
}

func trimmer(cut func(s, set string) string, space func(string) string) func(string, *call) value {
	return func(s string, c *call) value {
		v, ok := c.get(0, "chars")
		if !ok || isNone(v) {
			return space(s)
		}
		if set, ok := v.(string); ok {
			return cut(s, set)
		}
		return partial("a strip of characters that are not known", "", "")
	}
}

const spaces = " \t\r\n\v\f"

func trimLeftSpace(s string) string  { return strings.TrimLeft(s, spaces) }
func trimRightSpace(s string) string { return strings.TrimRight(s, spaces) }

// inCase is a change of case, where it is one letter for one in Python too.
func inCase(change func(string) string) func(string, *call) value {
	return func(s string, _ *call) value {
		if strings.ContainsFunc(s, oddCase) {
			return partial("the case of an unusual letter", "", "")
		}
		return change(s)
	}
}

// oddCase says that a letter becomes several, or another one by what stands around
// it (Unicode's SpecialCasing.txt), or has a title case of its own.
func oddCase(r rune) bool {
	return r == 'Σ' || r == 'İ' || unicode.IsLower(r) && unicode.ToUpper(r) == r || unicode.ToTitle(r) != unicode.ToUpper(r)
}

func titled(s string) string {
	up := true
	return strings.Map(func(r rune) rune {
		letter := unicode.ToLower(r) != unicode.ToUpper(r)
		defer func() { up = !letter }()
		if up {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, s)
}

func capitalized(s string) string {
	if s == "" {
		return s
	}
	r := []rune(s)
	return strings.ToUpper(string(r[:1])) + strings.ToLower(string(r[1:]))
}

// splitLines knows the ends of lines that are written in sources.
func splitLines(s string, c *call) value {
	if len(c.args)+len(c.kw) > 0 || strings.ContainsAny(s, "\v\f\x1c\x1d\x1e\u0085\u2028\u2029") {
		return &seq{open: true}
	}
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	if s == "" {
		return &seq{}
	}
	return texts(strings.Split(strings.TrimSuffix(s, "\n"), "\n"))
}

func isDigit(s string, _ *call) value {
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return unknownf("whether unusual digits are some")
	}
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func strReplace(s string, c *call) value {
	a, _ := c.get(0, "old")
	b, _ := c.get(1, "new")
	from, ok := a.(string)
	to, ok2 := b.(string)
	switch {
	case ok && ok2:
		count, known := c.or(2, "count", int64(-1)).(int64)
		if !known {
			return partial("a number of replacements that is not known", "", "")
		}
		if len(s)+strings.Count(s, from)*len(to) > 2*maxText {
			return tooLong("")
		}
		return strings.Replace(s, from, to, int(max(-1, count)))
	case ok && from != "":
		if i := strings.Index(s, from); i >= 0 {
			return partial("a replacement that is not known", s[:i], "")
		}
		return s
	}
	return partial("a replacement that is not known", "", "")
}

func strSplit(s string, c *call) value {
	return splitWith(s, c, func(sep string, n int) []string { return strings.SplitN(s, sep, n) })
}

func strRSplit(s string, c *call) value {
	return splitWith(s, c, func(sep string, n int) []string {
		parts := strings.Split(s, sep)
		if n > 0 && len(parts) > n {
			first := strings.Join(parts[:len(parts)-n+1], sep)
			parts = append([]string{first}, parts[len(parts)-n+1:]...)
		}
		return parts
	})
}

func splitWith(s string, c *call, split func(sep string, n int) []string) value {
	n := -1
	if v, ok := c.or(1, "maxsplit", int64(-1)).(int64); ok && v >= 0 {
		n = int(v) + 1
	}
	v, ok := c.get(0, "sep")
	if !ok || isNone(v) {
		return texts(strings.Fields(s))
	}
	if sep, ok := v.(string); ok && sep != "" {
		return texts(split(sep, n))
	}
	return &seq{open: true}
}

func texts(parts []string) *seq {
	out := newSeq(listSeq)
	for _, p := range parts {
		out.items = append(out.items, p)
	}
	return out
}

func strPartition(s string, c *call) value {
	return withText(c, func(sep string) value {
		a, b, found := strings.Cut(s, sep)
		if !found {
			return newSeq(tupleSeq, s, "", "")
		}
		return newSeq(tupleSeq, a, sep, b)
	})
}

func strRPartition(s string, c *call) value {
	return withText(c, func(sep string) value {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			return newSeq(tupleSeq, "", "", s)
		}
		return newSeq(tupleSeq, s[:i], sep, s[i+len(sep):])
	})
}

func withText(c *call, f func(string) value) value {
	v, _ := c.get(0, "")
	if s, ok := v.(string); ok && len(c.args) == 1 { // more say where to begin and end
		return f(s)
	}
	return unknownf("a method with an argument that is not known")
}

func affix(s string, c *call, has func(s, affix string) bool) value {
	v, _ := c.get(0, "")
	if t, ok := v.(*seq); ok && !t.open && len(c.args) == 1 {
		for _, item := range t.items {
			if a, ok := item.(string); ok && has(s, a) {
				return true
			}
		}
		return false
	}
	return withText(c, func(a string) value { return has(s, a) })
}

func isIdentifier(s string) bool {
	for i, r := range s {
		letter := r == '_' || strings.ToLower(string(r)) != strings.ToUpper(string(r))
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
