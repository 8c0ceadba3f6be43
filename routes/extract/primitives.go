package extract

import (
	"regexp"
	"strings"
)

// modelPrimitives is what the module __flask2ban__ offers to the models of
// extensions.
func modelPrimitives() map[string]func(*interp, *call) value {
	return map[string]func(*interp, *call) value{
		"open_below": openBelow, "openapi": openAPI, "view_methods": viewMethodNames,
		"camel_to_dash": camelToDash, "params": paramNames, "squeeze": squeeze,
	}
}

// openBelow lets a model say that anything may be registered:
// open_below(app_or_blueprint, prefix, reason).
func openBelow(in *interp, c *call) value {
	reason := textOf(c.or(2, "reason", ""))
	for _, t := range in.targetsIn(c.or(0, "target", none{})) {
		for _, p := range prefixes(c.or(1, "prefix", "")) {
			t.addOpening(opening{in.here(), p.text, reason})
		}
	}
	return none{}
}

// viewMethodNames gives a model the methods of a class-based view, as a list.
func viewMethodNames(_ *interp, c *call) value {
	cls, ok := c.or(0, "cls", none{}).(*class)
	if !ok {
		return &seq{open: true}
	}
	out := newSeq(listSeq)
	for _, m := range httpMethods {
		if _, _, ok := cls.find(m); ok {
			out.items = append(out.items, m)
		}
	}
	out.open = cls.foreign
	return out
}

var (
	firstCap = regexp.MustCompile(`(.)([A-Z][a-z]+)`)
	allCap   = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// camelToDash is flask_restx.utils.camel_to_dash.
func camelToDash(_ *interp, c *call) value {
	return each(c.or(0, "value", ""), func(v value) value {
		s, ok := v.(string)
		if !ok {
			return partial("a name that is not known", "", "")
		}
		return strings.ToLower(allCap.ReplaceAllString(firstCap.ReplaceAllString(s, "${1}_$2"), "${1}_$2"))
	})
}

// paramNames lists the parameters of a method that a caller must give.
func paramNames(_ *interp, c *call) value {
	v := c.or(0, "f", none{})
	if b, ok := v.(*bound); ok {
		v = b.fn
	}
	f, ok := v.(*function)
	out := newSeq(listSeq)
	if !ok {
		return out
	}
	required := f.args.Args[:len(f.args.Args)-min(len(f.defaults), len(f.args.Args))]
	for i, p := range required {
		if i > 0 {
			out.items = append(out.items, string(p.Arg))
		}
	}
	return out
}

var slashes = regexp.MustCompile(`//+`)

// squeeze makes one slash of several.
func squeeze(in *interp, c *call) value {
	return each(c.or(0, "path", ""), func(v value) value {
		if s, ok := v.(string); ok {
			return slashes.ReplaceAllString(s, "/")
		}
		return in.textOnly(v)
	})
}
