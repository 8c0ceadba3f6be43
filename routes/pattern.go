package routes

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// partPattern is Werkzeug's routing.rules._part_re.
var partPattern = regexp.MustCompile(`^(?:(/)|([^</]+)|<(?:([a-zA-Z_][a-zA-Z0-9_]*)(?:\((.*?)\))?:)?([a-zA-Z_][a-zA-Z0-9_]*)>)`)

// weight orders the dynamic parts that may follow one state, as Werkzeug's
// routing.rules.Weighting does.
type weight struct {
	static    []int // minus the length of each literal, in code points
	arguments []int // the converters' weights
}

// compare orders more literals before fewer, longer before shorter, more
// variables before fewer, and lighter converters before heavier.
func (w weight) compare(o weight) int {
	if d := len(o.static) - len(w.static); d != 0 {
		return d
	}
	if d := compareInts(w.static, o.static); d != 0 {
		return d
	}
	if d := len(o.arguments) - len(w.arguments); d != 0 {
		return d
	}
	return compareInts(w.arguments, o.arguments)
}

func compareInts(a, b []int) int {
	for i := range min(len(a), len(b)) {
		if d := a[i] - b[i]; d != 0 {
			return d
		}
	}
	return len(a) - len(b)
}

// element is a literal or a variable inside a part.
type element struct {
	literal  string
	variable *variable // nil for a literal
}

// variable is one <converter(args):name> of a rule.
type variable struct {
	name      string
	converter *converter
}

// part is what Werkzeug calls a RulePart: the text between two slashes, or
// everything from a variable that may hold slashes to the end of the rule.
type part struct {
	elements []element
	static   bool
	final    bool
	suffixed bool
	weight   weight
	match    partMatcher // nil for static parts
}

// literal is the text of a static part.
func (p *part) literal() string {
	if len(p.elements) == 0 {
		return ""
	}
	return p.elements[0].literal
}

// key is equal for two parts exactly if Werkzeug would lead both to one state.
func (p *part) key() string {
	var b strings.Builder
	fmt.Fprint(&b, p.final, p.suffixed, p.weight)
	for _, e := range p.elements {
		if e.variable != nil {
			fmt.Fprintf(&b, "\x00<%s>", e.variable.converter.regex)
		} else {
			fmt.Fprintf(&b, "\x00%s", e.literal)
		}
	}
	return b.String()
}

// parser splits one rule into parts, as Werkzeug's Rule._parse_rule.
type parser struct {
	lookup    func(name, converter, args string) (*converter, error)
	behaviour behaviour
	parts     []*part
	variables []*variable
	trace     []element
	current   *part
}

// parse adds the parts of a rule, or of a host or subdomain pattern.
func (p *parser) parse(rule string) error {
	p.current = &part{static: true}
	for rest := rule; rest != ""; {
		m := partPattern.FindStringSubmatch(rest)
		if m == nil {
			return fmt.Errorf("malformed rule %q: werkzeug refuses it at %q", rule, rest)
		}
		rest = rest[len(m[0]):]
		switch {
		case m[1] != "":
			p.slash()
		case m[2] != "":
			p.literal(m[2])
		default:
			if err := p.variable(m[5], m[3], m[4]); err != nil {
				return fmt.Errorf("rule %q: %w", rule, err)
			}
		}
	}
	p.finish()
	return nil
}

func (p *parser) slash() {
	p.trace = append(p.trace, element{literal: "/"})
	if p.current.final {
		p.add(element{literal: "/"})
		return
	}
	p.parts = append(p.parts, p.current)
	p.current = &part{static: true}
}

func (p *parser) literal(text string) {
	p.trace = append(p.trace, element{literal: text})
	p.current.weight.static = append(p.current.weight.static, -utf8.RuneCountInString(text))
	p.add(element{literal: text})
}

func (p *parser) variable(name, converterName, args string) error {
	c, err := p.lookup(name, converterName, args)
	if err != nil {
		return err
	}
	v := &variable{name: name, converter: c}
	p.variables = append(p.variables, v)
	p.trace = append(p.trace, element{variable: v})
	p.current.static = false
	p.current.final = p.current.final || !c.isolating
	p.current.weight.arguments = append(p.current.weight.arguments, c.weight)
	p.add(element{variable: v})
	return nil
}

// add appends an element, joined with the literal before it.
func (p *parser) add(e element) {
	last := len(p.current.elements) - 1
	if e.variable == nil && last >= 0 && p.current.elements[last].variable == nil {
		p.current.elements[last].literal += e.literal
		return
	}
	p.current.elements = append(p.current.elements, e)
}

// finish closes the last part. Since 2.2.3 a trailing slash after a variable
// that may hold slashes becomes a part of its own.
func (p *parser) finish() {
	c := p.current
	if !p.behaviour.suffixed || !c.final || !c.endsInSlash() {
		p.parts = append(p.parts, c)
		return
	}
	c.suffixed = true
	last := len(c.elements) - 1
	c.elements[last].literal = strings.TrimSuffix(c.elements[last].literal, "/")
	if c.elements[last].literal == "" {
		c.elements = c.elements[:last]
	}
	p.parts = append(p.parts, c, &part{static: true})
}

func (p *part) endsInSlash() bool {
	last := p.elements[len(p.elements)-1]
	return last.variable == nil && strings.HasSuffix(last.literal, "/")
}

// mergeSlashes does what the release's re.sub does to doubled slashes: before
// 3.1.7 a lazy pattern merged them in pairs only, so that "///" became "//".
func (b behaviour) mergeSlashes(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	if !b.mergeRuns {
		return strings.ReplaceAll(path, "//", "/")
	}
	var out strings.Builder
	for i := range len(path) {
		if path[i] != '/' || i == 0 || path[i-1] != '/' {
			out.WriteByte(path[i])
		}
	}
	return out.String()
}
